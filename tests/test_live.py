"""What the page is given: windows, and attackers that JSON can hold."""

import types

import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors, files, live, live_attacker

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
  found = live_attacker.train(tmp_path / 'r.npz', 'person', None, 0, 10)
  assert found['found']['value'] > 0.99
  assert found['found']['chance'] == pytest.approx(1 / people, abs=0.01)
  assert found['found']['low'] <= found['found']['value']
  # The lists alone find it too.
  test = arrays['fold'] == 2
  logits = _forward(found, arrays['clean'][test])
  assert logits.shape == (200, people)
  right = logits.argmax(-1) == arrays['sensitive_person'][test]
  assert right.mean() == pytest.approx(found['found']['value'], abs=1e-9)


def test_noise_hides_one_window_and_not_their_sum(tmp_path):
  _released(tmp_path / 'r.npz', 1.0, noise=4.0)
  found = live_attacker.train(tmp_path / 'r.npz', 'person', 0.25, 0, 40)
  # By Gaussians 1 apart with sigma 4, the best rule is right in 40 %.
  assert 0.34 < found['found']['value'] < 0.5
  # Of the sum of 40, sigma is 4 / sqrt(40) = 0.63: right in 71 %.
  assert 0.5 < found['found_by_count']['40']['value'] < 0.9


@pytest.mark.filterwarnings('ignore:.*onverge')
@pytest.mark.parametrize('people', [2, 3])
def test_lists_are_what_scikit_learn_computes(people):
  rng = np.random.default_rng(1)
  x, y = rng.standard_normal((90, 4)), np.arange(90) % people
  for _, classifier in live_attacker._candidates(0):
    fitted = live_attacker.sklearn.pipeline.make_pipeline(
      live_attacker.sklearn.preprocessing.StandardScaler(),
      classifier.set_params(max_iter=5),
    ).fit(x, y)
    logits = _forward(live_attacker.as_layers(fitted), x)
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
  rows, index = live.choose_windows(_study(2), 'person', 3)
  assert len(rows) == len(index) == 6  # Three for each of the two.
  assert set(rows) <= set(range(0, 32, 2))  # Every other one overlaps.
  for row, entry in zip(rows, index, strict=True):
    assert entry['recording'] == row // 8
    assert entry['sensitive'] == row // 16
    assert entry['primary'] == row % 3
  assert [entry['session'] for entry in index] == [0, 0, 0, 1, 1, 1]


def test_a_study_that_is_not_finished_is_named(tmp_path):
  with pytest.raises(errors.UserError, match='holds no finished study'):
    live.prepare(tmp_path, tmp_path / 'live')
  assert not (tmp_path / 'live').exists()
