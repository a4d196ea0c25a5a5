"""What the page is given: windows, and attackers that JSON can hold."""

import types

import ml_collections
import numpy as np
import pytest

from configs import watch
from hybrid_jax import errors, files
from hybrid_jax.deploy.export import tflite
from hybrid_jax.deploy.server import page_files
from hybrid_jax.study import page_attacker, page_demo, runner

_PEOPLE = 3


def _released(path, leak, noise=None, people=_PEOPLE):
  """Vectors of two numbers; each person's are `leak` apart."""
  rng = np.random.default_rng(0)
  n = 600
  person = np.arange(n) % people
  clean = rng.standard_normal((n, 2)) * 0.1
  clean[:, 0] += leak * person
  arrays = {
    'clean': clean.astype(np.float32),
    'primary': rng.integers(0, 2, n),
    'sensitive_person': person,
    'recording': np.arange(n) // 30,
    'fold': np.repeat([0, 1, 2], n // 3),
  }
  if noise is not None:
    arrays['noise_cov'] = np.eye(2) * noise**2
  files.write_npz(path, arrays)
  return arrays


def _forward(attacker, x):
  """The network that the lists stand for, in NumPy."""
  values = (x - attacker['mean']) / np.array(attacker['scale'])
  for i, layer in enumerate(attacker['layers']):
    values = values @ np.array(layer['weights']) + layer['bias']
    if i < len(attacker['layers']) - 1:
      values = np.maximum(values, 0)
  return values


@pytest.mark.parametrize('people', [2, 3])
def test_the_attacker_finds_a_planted_leak(tmp_path, people):
  arrays = _released(tmp_path / 'r.npz', 1.0, people=people)
  attacker = page_attacker.train(tmp_path / 'r.npz', 'person', None, 0, 10)
  assert attacker['accuracy']['value'] > 0.99
  assert attacker['accuracy']['chance'] == pytest.approx(1 / people, abs=0.01)
  assert attacker['accuracy']['low'] <= attacker['accuracy']['value']
  # The lists alone find it too.
  test = arrays['fold'] == 2
  logits = _forward(attacker, arrays['clean'][test])
  assert logits.shape == (200, people)
  right = logits.argmax(-1) == arrays['sensitive_person'][test]
  assert right.mean() == pytest.approx(attacker['accuracy']['value'], abs=1e-9)


def test_noise_hides_one_window_and_not_their_sum(tmp_path):
  _released(tmp_path / 'r.npz', 1.0, noise=4.0)
  attacker = page_attacker.train(tmp_path / 'r.npz', 'person', 0.25, 0, 40)
  # By Gaussians 1 apart with sigma 4, the best rule is right in 40 %.
  assert 0.34 < attacker['accuracy']['value'] < 0.5
  # Of the sum of 40, sigma is 4 / sqrt(40) = 0.63: right in 71 %.
  assert 0.5 < attacker['accuracy_by_count']['40']['value'] < 0.9
  assert np.exp(attacker['log_prior']).sum() == pytest.approx(1)


@pytest.mark.filterwarnings('ignore:.*onverge')
@pytest.mark.parametrize('people', [2, 3])
def test_lists_are_what_scikit_learn_computes(people):
  rng = np.random.default_rng(1)
  x, y = rng.standard_normal((90, 4)), np.arange(90) % people
  x = np.concatenate([x, np.zeros((90, 1)), x[:, :1] * 3], axis=1)  # No news.
  for _, steps in page_attacker._candidates(0):
    fitted = page_attacker.sklearn.pipeline.make_pipeline(
      page_attacker.sklearn.preprocessing.StandardScaler(),
      *steps[:-1],
      steps[-1].set_params(max_iter=5),
    ).fit(x, y)
    logits = _forward(page_attacker.as_layers(fitted), x)
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, fitted.predict_proba(x), atol=1e-6)


def _study(fold):
  """Two people, two recordings each, of eight windows half of which overlap."""
  n = 32
  data = types.SimpleNamespace(
    recording=np.arange(n) // 8,
    primary=np.arange(n) % 3,
    sensitive={'side': np.zeros(n, int), 'person': np.arange(n) // 16},
  )
  return types.SimpleNamespace(
    data=data,
    config=ml_collections.FrozenConfigDict(
      {'seed': 0, 'data': {'window': 128, 'hop': 64}}
    ),
    rows=lambda asked: np.full(n, asked == fold),
  )


def test_windows_are_of_the_test_fold_and_share_no_sample():
  rows, index = page_demo.choose_windows(_study(2), 'person', 3)
  assert len(rows) == len(index) == 6  # Three for each of the two.
  assert set(rows) <= set(range(0, 32, 2))  # Every other one overlaps.
  for row, entry in zip(rows, index, strict=True):
    assert entry['recording'] == row // 8
    assert entry['sensitive'] == row // 16
    assert entry['primary'] == row % 3
  assert [entry['session'] for entry in index] == [0, 0, 0, 1, 1, 1]


def test_a_study_that_is_not_finished_is_named(tmp_path):
  with pytest.raises(errors.UserError, match='holds no finished study'):
    page_demo.prepare(tmp_path, tmp_path / 'live')
  assert not (tmp_path / 'live').exists()


@pytest.fixture(scope='module')
def finished(one_device, tmp_path_factory):
  """A study of two embeddings, hardly trained, of which the noisy one wins."""
  pytest.importorskip('tensorflow')
  config = watch.get_config('small')
  config.model.options.widths, config.model.options.dense = (8, 8, 8), 16
  config.training.steps = config.training.every = 10
  config.data.hop = 128
  config.release.embeddings = ml_collections.ConfigDict(
    {
      'simple': {'weights': 'simple', 'mechanisms': ()},
      'noisy': {'weights': 'simple', 'mechanisms': ('pca', 'noise')},
    }
  )
  config.strangers.embeddings = ('noisy',)
  config.recommend.utility_loss = 1.0
  config.attack.measures = ml_collections.ConfigDict()
  workdir = tmp_path_factory.mktemp('live') / 'run'
  study = runner.run(config, workdir, ('data', 'train', 'release'))
  for name, accuracy in (('simple', 0.9), ('noisy', 0.2)):
    figures = {
      'value': accuracy,
      'low': accuracy,
      'high': accuracy,
      'chance': 0.1,
      'validation': accuracy,
      'validation_chance': 0.1,
    }
    files.write_json(
      study.result('leakage', f'dense1-{name}'), {'person': figures}
    )
  runner.run(config, workdir, ('export',))
  return study


def test_a_finished_study_becomes_a_page(finished, tmp_path):
  folder = tmp_path / 'live'
  page = page_demo.prepare(finished.workdir, folder, per_value=5)
  assert page == files.read_json(folder / 'live.json')
  assert page['embedding'] == 'noisy'
  assert page['labels'] == list(finished.data.primary_names)
  assert page['names'] == [str(i) for i in range(1, 11)]
  assert page['rate'] == 50
  manifest = files.read_json(folder / 'bundle' / 'manifest.json')
  assert page['strongest']['private']['value'] == 0.2
  assert page['strongest']['open']['value'] == 0.9
  assert page['utility'] == manifest['figures']['utility']
  for name in ('edge.tflite', 'cloud.tflite', 'device.py'):
    copied = (folder / 'bundle' / name).read_bytes()
    assert copied == (finished.workdir / 'bundle' / name).read_bytes()

  windows = np.fromfile(folder / 'windows.f32', '<f4').reshape(-1, 1, 128, 6)
  assert len(windows) == len(page['windows']) == 50
  for window, entry in zip(windows[::7], page['windows'][::7], strict=True):
    same = (finished.data.x == window).all(axis=(1, 2, 3))
    (row,) = np.flatnonzero(same)
    assert finished.data.fold[row] == 2
    assert finished.data.primary[row] == entry['primary']
    assert finished.data.sensitive['person'][row] == entry['sensitive']

  # The open edge is the features, which the attacker learnt from.
  run = tflite.load((folder / 'open' / 'edge.tflite').read_bytes())
  released = files.read_npz(finished.released_path('dense1', 'simple'))
  np.testing.assert_allclose(
    run(x=finished.data.x[:1]), released['clean'][:1], rtol=1e-3, atol=1e-4
  )
  opened = files.read_json(folder / 'open' / 'manifest.json')
  assert opened['grid'] is None
  attackers = page['attackers']
  assert len(attackers['private']['mean']) == 6
  assert len(attackers['open']['mean']) == 16
  for attacker in attackers.values():
    assert len(attacker['layers'][-1]['bias']) == 10
    assert set(attacker['accuracy_by_count']) == {'1', '5'}
  assert (
    tuple(n for n in page_files._PREPARED if (folder / n).is_file())
    == page_files._PREPARED
  )


def test_what_is_there_for_this_bundle_is_kept(finished, tmp_path):
  folder = tmp_path / 'live'
  edge = files.read_json(finished.workdir / 'bundle/manifest.json')['edge']
  kept = {'format': 2, 'edge_sha256': edge['sha256'], 'mine': 1}
  files.write_json(folder / 'live.json', kept)
  assert page_demo.prepare(finished.workdir, folder) == kept
  assert [p.name for p in folder.iterdir()] == ['live.json']


def test_both_releases_are_needed(finished, tmp_path):
  path = finished.released_path('dense1', 'simple')
  moved = path.rename(tmp_path / 'moved.npz')
  try:
    with pytest.raises(
      errors.UserError, match="compares 'noisy' with 'simple'"
    ):
      page_demo.prepare(finished.workdir, tmp_path / 'live')
  finally:
    moved.rename(path)
