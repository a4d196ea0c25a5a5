"""The bundle: equal to the network, free of the cloud, alone on a device."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from configs import watch
from hybrid_jax import study
from hybrid_jax.export import device, tflite
from hybrid_jax.stages import export as stage
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
steps = first / edge._half.manifest['grid']
assert np.abs(steps - np.round(steps)).max() < 1e-3
logits = device.Half(sys.argv[1], 'cloud')(released=first)
print(edge._half.manifest['labels'][int(logits.argmax())])
"""


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """A bundle of the noisy point, whatever the small study recommends."""
  workdir = tmp_path_factory.mktemp('export') / 'run'
  stages = '--stages=data,train,siamese,defend,release,attack,export'
  done = studies.run(
    workdir,
    stages,
    "--config.attack.adversaries=('majority','linear')",
    '--config.recommend.utility_loss=1.0',
    '--config.release.embeddings.bounded.split_points=()',
    '--config.release.embeddings.snapped.split_points=()',
  )
  assert done.returncode == 0, done.stderr
  config = watch.get_config('small')
  config.attack.adversaries = ('majority', 'linear')
  config.recommend.utility_loss = 1.0
  for name in ('bounded', 'snapped'):
    config.release.embeddings[name].split_points = ()
  return workdir, study.base.Study(config, workdir)


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


def test_the_edge_file_holds_no_cloud_weights(exported):
  workdir, asked = exported
  params = asked.params('siamese', 'dense1')
  edge = (workdir / 'bundle/edge.tflite').read_bytes()
  cloud = (workdir / 'bundle/cloud.tflite').read_bytes()
  head = np.asarray(params['head']['kernel']).T.tobytes()
  assert head in cloud
  assert head not in edge
  assert np.asarray(params['head']['bias']).tobytes() not in edge


def test_noise_is_shaped_to_the_stated_covariance(exported):
  workdir, asked = exported
  manifest = _manifest(workdir)
  cut = stage.make_halves(asked, 'dense1', 'noisy_reduced_siamese')
  run = tflite.runner((workdir / 'bundle/edge.tflite').read_bytes())
  x = asked.data.x[:1]
  silent = run(x=x, noise=np.zeros(6))
  rng = np.random.default_rng(0)
  draws = np.concatenate(
    [run(x=x, noise=rng.standard_normal(6)) - silent for _ in range(4000)]
  )
  covariance = np.cov(draws.T) / manifest['sigma'] ** 2
  np.testing.assert_allclose(covariance, np.eye(6), atol=0.1)
  assert cut.grid == pytest.approx(manifest['grid'])


def test_runs_with_numpy_and_litert_alone(exported, tmp_path):
  workdir, asked = exported
  np.save(tmp_path / 'window.npy', asked.data.x[0])
  done = subprocess.run(
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
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() in _manifest(workdir)['labels']


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
  monkeypatch.setattr(device.os, 'urandom', lambda n: bytes(n))
  fixed = device.standard_normal(4)
  np.testing.assert_array_equal(fixed, device.standard_normal(4))
  np.random.seed(0)
  np.testing.assert_array_equal(fixed, device.standard_normal(4))


def test_every_cut_has_its_cost(exported):
  workdir, asked = exported
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
  del asked
