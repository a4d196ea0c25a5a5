"""Windows that only attackers learn from."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.attacks import released_vectors
from hybrid_jax.datasets import dataset, folds


def _data(windows, recordings=6):
  """Recordings of two people; half of each trains."""
  recording = np.repeat(np.arange(recordings), windows)
  n = len(recording)
  place = np.tile(np.arange(windows), recordings)
  return dataset.Dataset(
    x=np.arange(n, dtype=np.float32)[:, None],
    primary=(np.arange(n) % 2).astype(np.int32),
    sensitive={'who': (recording % 2).astype(np.int32)},
    recording=recording.astype(np.int32),
    fold=np.where(place < windows - 4, 0, np.where(place < windows - 2, 1, 2)),
    primary_names=('a', 'b'),
    sensitive_names={'who': ('x', 'y')},
  )


def _config(**settings):
  return ml_collections.ConfigDict(settings)


def test_the_last_windows_are_held_back_without_overlap():
  data = _data(windows=24)
  found = folds.hold_back(
    data, _config(attack_fold=0.25, window=128, hop=32, gap=32)
  )
  # Of 20 training windows the last 5 are held back. Windows start 32 samples
  # apart: the 4 before them are nearer than a window and the gap.
  for recording in range(6):
    rows = found.recording == recording
    start = 24 * recording
    for fold, places in ((0, range(11)), (3, range(15, 20)), (1, (20, 21))):
      np.testing.assert_array_equal(
        found.x[rows & (found.fold == fold), 0], start + np.array(places)
      )
  np.testing.assert_array_equal(found.primary, found.x[:, 0] % 2)
  np.testing.assert_array_equal(found.sensitive['who'], found.recording % 2)
  assert folds.hold_back(data, _config(attack_fold=0.0)) is data


def test_short_recordings_are_held_back_as_a_whole():
  data = _data(windows=6, recordings=40)
  found = folds.hold_back(data, _config(attack_fold=0.3))
  held = found.fold == dataset.ATTACK
  assert len(found.fold) == len(data.fold)
  both = set(found.recording[held]) & set(found.recording[found.fold == 0])
  assert not both
  assert len(set(found.recording[held])) == 12
  assert set(found.sensitive['who'][held]) == {0, 1}
  np.testing.assert_array_equal(
    found.fold[data.fold > 0], data.fold[data.fold > 0]
  )


def test_a_class_that_would_be_missing_is_an_error():
  data = _data(windows=24)
  rare = data.primary.copy()
  rare[data.fold == 0] = 0
  rare[0] = 1
  with pytest.raises(errors.UserError, match=r"attack_fold=0.25 .* class 'b'"):
    folds.hold_back(
      dataclasses.replace(data, primary=rare),
      _config(attack_fold=0.25),
    )


def test_attackers_learn_from_the_fold_of_their_own(tmp_path):
  rng = np.random.default_rng(0)
  fold = np.repeat([0, 1, 2, 3], 10)
  arrays = {
    'clean': rng.standard_normal((40, 2)).astype(np.float32),
    'primary': np.arange(40) % 2,
    'sensitive_who': np.arange(40) % 2,
    'recording': np.arange(40),
    'fold': fold,
  }
  np.savez(tmp_path / 'a.npz', **arrays)
  problem = released_vectors.read(tmp_path / 'a.npz', 1)
  np.testing.assert_array_equal(problem.rows(0), fold == 3)
  again = problem.relearn([])
  np.testing.assert_array_equal(again.rows(0), np.isin(fold, (1, 3)))
  np.testing.assert_allclose(
    problem.mean, arrays['clean'][fold == 3].mean(axis=0), rtol=1e-5
  )
  # A class that is in the training fold alone is unknown to the attacker.
  arrays['sensitive_who'][fold == 3] = 0
  np.savez(tmp_path / 'b.npz', **arrays)
  with pytest.raises(errors.UserError, match="'sensitive_who' is empty"):
    released_vectors.read(tmp_path / 'b.npz', 1)
