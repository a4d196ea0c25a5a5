"""The bundle equals the network, hides the cloud, and needs only LiteRT."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.export import parity, tflite
from hybrid_jax.deploy.formats import bundle, device
from hybrid_jax.study import deployment, runner
from tests import studies

pytest.importorskip('tensorflow')

_BARE = """
import sys

class Nothing:  # Only NumPy and LiteRT, as on a device.
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] in (
        'jax', 'jaxlib', 'flax', 'tensorflow', 'hybrid_jax', 'scipy'):
      raise ImportError(name)

sys.meta_path.insert(0, Nothing())
sys.path.insert(0, sys.argv[1])
import numpy as np
import device

edge = device.Edge(sys.argv[1])
window = np.load(sys.argv[2])
first, second = edge(window), edge(window)
assert first.shape == (1, 6), first.shape
assert not np.array_equal(first, second)  # Fresh noise for each.
steps = first / edge.half.manifest['grid']
assert np.abs(steps - np.round(steps)).max() < 1e-3
logits = device.Half(sys.argv[1], 'cloud')(released=first)
print(edge.half.manifest['labels'][int(logits.argmax())])
"""


def _manifest(workdir):
  return json.loads((workdir / 'bundle/manifest.json').read_text())


def test_the_manifest_describes_the_files(exported):
  workdir, _ = exported
  manifest = _manifest(workdir)
  assert manifest['embedding'] == 'noisy_reduced_siamese'
  assert manifest['edge']['inputs']['x']['shape'] == [1, 1, 128, 6]
  assert manifest['edge']['inputs']['noise']['shape'] == [6]
  assert manifest['grid'] == pytest.approx(manifest['sigma'] / 16, rel=1e-5)
  assert len(manifest['labels']) == 7
  assert manifest['format'] == 3
  assert manifest['variant'] == 'float32'
  assert manifest['wire'] == {'dtype': 'int16', 'grid': manifest['grid']}
  assert manifest['edge']['paired_with'] == manifest['cloud']['sha256']
  assert manifest['cloud']['paired_with'] == manifest['edge']['sha256']
  for half in ('edge', 'cloud'):
    path = workdir / 'bundle' / manifest[half]['file']
    assert path.stat().st_size == manifest[half]['bytes']
    operations = manifest[half]['operations']
    assert not any(o.startswith(('Flex', 'STABLEHLO')) for o in operations)
  assert {'CONV_2D', 'MAX_POOL_2D'} <= set(manifest['edge']['operations'])


def test_files_equal_the_network(exported):
  workdir, _ = exported
  parity = _manifest(workdir)['parity']
  assert parity['edge_error'] < 1e-4
  assert parity['cloud_error'] < 1e-4
  assert parity['numbers'] >= 64 * 6
  assert parity['agreement'] == 1


def test_the_edge_file_holds_no_cloud_weights(exported):
  workdir, study = exported
  params = study.params('siamese', 'dense1')
  edge = (workdir / 'bundle/edge.tflite').read_bytes()
  cloud = (workdir / 'bundle/cloud.tflite').read_bytes()
  head = np.asarray(params['head']['kernel']).T.tobytes()
  assert head in cloud
  assert head not in edge
  assert np.asarray(params['head']['bias']).tobytes() not in edge


def test_noise_is_shaped_to_the_stated_covariance(exported):
  workdir, study = exported
  manifest = _manifest(workdir)
  split = deployment.split_network(study, 'dense1', 'noisy_reduced_siamese')
  run = tflite.load((workdir / 'bundle/edge.tflite').read_bytes())
  x = study.data.x[:1]
  silent = run(x=x, noise=np.zeros(6))
  rng = np.random.default_rng(0)
  draws = np.concatenate(
    [run(x=x, noise=rng.standard_normal(6)) - silent for _ in range(4000)]
  )
  covariance = np.cov(draws.T) / manifest['sigma'] ** 2
  np.testing.assert_allclose(covariance, np.eye(6), atol=0.1)
  assert split.grid == pytest.approx(manifest['grid'])


def test_runs_with_numpy_and_litert_alone(exported, tmp_path):
  workdir, study = exported
  np.save(tmp_path / 'window.npy', study.data.x[0])
  completed = subprocess.run(
    [
      sys.executable,
      '-c',
      _BARE,
      str(workdir / 'bundle'),
      str(tmp_path / 'window.npy'),
    ],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=False,
  )
  assert completed.returncode == 0, completed.stderr
  assert completed.stdout.strip() in _manifest(workdir)['labels']


def test_the_device_refuses_what_does_not_fit(exported, tmp_path):
  workdir, _ = exported
  edge = device.Half(workdir / 'bundle', 'edge')
  x, noise = np.zeros((1, 1, 128, 6)), np.zeros(6)
  with pytest.raises(ValueError, match=r'shape \(1, 1, 64, 6\)'):
    edge(x=x[:, :, :64], noise=noise)
  with pytest.raises(ValueError, match='NaN'):
    edge(x=x * np.nan, noise=noise)
  with pytest.raises(ValueError, match=r"not \['noise', 'x'\]"):
    edge(x=x)
  broken = tmp_path / 'broken'
  shutil.copytree(workdir / 'bundle', broken)
  with open(broken / 'edge.tflite', 'ab') as f:
    f.write(b'0')
  with pytest.raises(ValueError, match='sha256'):
    device.Edge(broken)


def test_noise_comes_from_the_operating_system(monkeypatch):
  draws = device.standard_normal(200_001)
  assert draws.shape == (200_001,)
  assert draws.dtype == np.float32
  assert abs(draws.mean()) < 0.01
  assert abs(draws.std() - 1) < 0.01
  # 1.96 standard deviations leave 5 % outside.
  assert abs((np.abs(draws) > 1.96).mean() - 0.05) < 0.003
  # The standard library's own name for `os.urandom`.
  monkeypatch.setattr(device.random, '_urandom', lambda n: bytes(range(n)))
  fixed = device.standard_normal(4)
  np.testing.assert_array_equal(fixed, device.standard_normal(4))
  np.random.seed(0)
  device.random.seed(0)
  np.testing.assert_array_equal(fixed, device.standard_normal(4))


def test_every_cut_has_its_cost(exported):
  workdir, _ = exported
  costs = json.loads((workdir / 'results/export.json').read_text())
  cost = costs['split_points']['dense1']
  # By hand: convolutions over 128, 64 and 32 steps with kernels of 3, a dense
  # layer on 16 x 64 features, PCA from 64 to 6, and 6 x 6 for the noise.
  edge = 128 * 3 * 6 * 32 + 64 * 3 * 32 * 64 + 32 * 3 * 64 * 64
  edge += 16 * 64 * 64 + 64 * 6 + 6 * 6
  assert cost['edge_multiply_adds'] == edge
  assert cost['cloud_multiply_adds'] == 6 * 64 + 64 * 7
  assert cost['cloud_parameters'] == 64 * 7 + 7
  assert cost['raw_bytes'] == 128 * 6 * 4
  assert cost['released_bytes'] == 24
  assert cost['edge_bytes'] == (workdir / 'bundle/edge.tflite').stat().st_size


def test_a_work_directory_has_its_config(exported, tmp_path):
  _, study = exported
  assert study.config.attack.adversaries == ('majority', 'linear', 'kde')
  assert study.config.model.options.widths == (32, 64, 64)
  assert study.split_points == ('dense1',)
  with pytest.raises(errors.UserError, match='no work directory'):
    runner.open_study(tmp_path)
  (tmp_path / 'config.json').write_text('{"seed": 0}')
  with pytest.raises(errors.UserError, match='no config of a study'):
    runner.open_study(tmp_path)


def test_any_row_in_any_variant_from_the_command_line(exported, tmp_path):
  workdir, study = exported
  completed = _command(
    '--embedding=reduced',
    '--split_point=dense1',
    '--variant=int8',
    '--int8-input',
    '--min-agreement=0.9',  # The network is hardly trained.
    f'--workdir={workdir}',
    f'--out={tmp_path / "b"}',
    f'--jax-export={tmp_path / "cloud.jax_export"}',
  )
  assert completed.returncode == 0, completed.stderr
  assert (tmp_path / 'cloud.jax_export').exists()
  read = bundle.read(tmp_path / 'b')
  assert read.manifest['variant'] == 'int8'
  assert read.manifest['embedding'] == 'reduced'
  assert read.manifest['wire'] is None
  assert read.manifest['edge']['inputs']['x']['dtype'] == 'int8'
  assert len(read.manifest['edge']['inputs']['x']['scale']) == 6
  assert f'{len(read.files["edge"]):,} bytes' in completed.stdout
  float32 = (workdir / 'bundle/edge.tflite').stat().st_size
  assert len(read.files['edge']) < 0.5 * float32
  # The figures of the manifest, computed again without its code.
  edge, split = (
    device.Edge(tmp_path / 'b'),
    deployment.split_network(study, 'dense1', 'reduced'),
  )
  cloud = device.Half(tmp_path / 'b', 'cloud')
  test = np.flatnonzero(study.rows(2))
  test = test[:: len(test) // 256][:256]
  x = study.data.x[test]
  released = [edge(window) for window in x]
  labels = [cloud(released=r).argmax() for r in released]
  trained = np.asarray(split.cloud()(split.edge()(x))).argmax(axis=1)
  parity = read.manifest['parity']
  assert parity['windows'] == 256
  assert parity['agreement'] == pytest.approx(np.mean(labels == trained))
  assert parity['agreement'] > 0.9
  expected = np.asarray(split.edge()(x))
  error = np.concatenate(released) - expected
  relative = np.sqrt(np.mean(error**2) / np.mean(expected**2))
  assert parity['edge_rms_error'] == pytest.approx(relative, rel=1e-3)
  assert 1e-4 < relative < 0.1


def _command(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'launch.export', *arguments],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )


def test_files_that_disagree_with_the_network_are_not_written(
  exported, tmp_path, monkeypatch
):
  _, study = exported
  monkeypatch.setattr(
    parity, 'check', lambda *_, **__: {'agreement': 0.94, 'windows': 256}
  )
  row = ('dense1', 'reduced', 'dynamic', tmp_path / 'b')
  with pytest.raises(
    errors.UserError, match=r'94\.0% of 256 test windows; 95\.0% is needed'
  ):
    deployment.write_bundle(study, *row)
  assert not (tmp_path / 'b').exists()
  deployment.write_bundle(study, *row, min_agreement=0.94)
  assert bundle.read(tmp_path / 'b').manifest['parity']['agreement'] == 0.94


def test_unknown_names_list_the_known_ones(exported, tmp_path):
  _, study = exported
  for names, known in (
    (('conv1', 'reduced', 'float32'), 'Known: dense1'),
    (('dense1', 'redced', 'float32'), "Did you mean 'reduced'"),
    (('dense1', 'bounded', 'float32'), 'Known: simple, reduced, siamese'),
    (('dense1', 'reduced', 'int4'), 'float32, float16, dynamic, int8'),
  ):
    with pytest.raises(errors.UserError, match=known):
      deployment.write_bundle(study, *names, tmp_path)


def test_a_bundle_is_checked_when_it_is_read(exported, tmp_path):
  workdir, _ = exported
  whole = bundle.read(workdir / 'bundle')
  assert whole.files['edge'] == (workdir / 'bundle/edge.tflite').read_bytes()
  shutil.copytree(workdir / 'bundle', tmp_path / 'b')
  manifest = _manifest(workdir)

  def error_after(change, files=()):
    changed = json.loads(json.dumps(manifest))
    change(changed)
    (tmp_path / 'b/manifest.json').write_text(json.dumps(changed))
    for name, data in files:
      (tmp_path / 'b' / name).write_bytes(data)
    with pytest.raises(errors.UserError) as e:
      bundle.read(tmp_path / 'b')
    return str(e.value)

  newer = bundle.FORMAT + 1
  assert f'format {newer}' in error_after(lambda m: m.update(format=newer))
  assert 'no cloud half' in error_after(lambda m: m.pop('cloud'))
  assert 'halves are of two bundles' in error_after(
    lambda m: m['edge'].update(sha256='0')
  )
  assert 'sha256' in error_after(lambda m: None, [('edge.tflite', b'0')])
  (tmp_path / 'b/edge.tflite').write_bytes(whole.files['edge'])
  assert 'outside' in error_after(lambda m: m['edge'].update(file='../x'))
  assert 'halves are of two bundles' in error_after(
    lambda m: m['cloud'].update(paired_with='0' * 64)
  )
  shapes = manifest['edge']['inputs']['x']['shape']
  message = error_after(
    lambda m: m['edge']['inputs']['x'].update(
      shape=[1, 2], range=None, channels=[]
    )
  )
  assert str(shapes) in message
  assert '[1, 2]' in message
  newer = _of_version(whole.files['edge'], 99)
  sha256 = hashlib.sha256(newer).hexdigest()

  def describe_newer(manifest):
    manifest['edge']['sha256'] = manifest['cloud']['paired_with'] = sha256
    manifest['tested_with']['ai_edge_litert'] = '99.0.0'

  message = error_after(describe_newer, [('edge.tflite', newer)])
  assert 'cannot run' in message
  assert 'tested with ai-edge-litert 99.0.0' in message


def _of_version(data, version):
  """The file with operations of a version that no runtime has."""
  import flatbuffers
  from ai_edge_litert import schema_py_generated as schema

  model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
  for code in model.operatorCodes:
    code.version = version
  builder = flatbuffers.Builder(1024)
  builder.Finish(model.Pack(builder), file_identifier=b'TFL3')
  return bytes(builder.Output())
