import numpy as np
import pytest

from hybrid_jax.datasets import copies, sources

N = 300


def _x(shape=(1, 16, 2)):
  return np.random.default_rng(0).standard_normal((N, *shape))


FOLD = np.repeat([0, 1, 2], 100).astype(np.int8)


def _find(x, fold=FOLD):
  return copies.find(x.astype(np.float32), fold)


def test_equal_and_near_copies_are_counted():
  x = _x()
  x[110], x[205] = x[3], x[3]  # In three folds.
  x[7] = x[8]  # In one fold.
  rng = np.random.default_rng(1)
  x[210:215] = x[20:25] + 1e-3 * rng.standard_normal((5, 1, 16, 2))
  x[120] = (1 + 1e-3) * x[220]
  found = _find(x)
  assert found.public() == {
    'equal': {'train': 1, 'validation': 1, 'test': 1},
    'near': {'validation': 1, 'test': 6},
    'sampled': {'validation': 100, 'test': 100},
  }
  (line,) = found.equal_line('vectors')
  assert line.startswith(
    'vectors with equal copies in another fold: 1 of 100 in train, 1 of 100 in'
    ' validation, 1 of 100 in test. The first are 3 (train), 110 (validation),'
  )
  (line,) = found.near_line('vectors')
  assert '1 of 100 in validation, 6 of 100 in test' in line
  assert line.endswith('The first are 120 (validation), 220 (test).')


def test_other_examples_are_no_copies():
  found = _find(_x())
  assert found.public()['equal'] == {'train': 0, 'validation': 0, 'test': 0}
  assert found.near == {1: 0, 2: 0}
  assert not [*found.equal_line('x'), *found.near_line('x')]


@pytest.mark.parametrize(('noise', 'count'), [(0.004, 100), (0.1, 0)])
def test_the_threshold_is_a_hundredth(noise, count):
  x = _x((64,))
  x[200:] = x[:100] + noise * np.random.default_rng(1).standard_normal(
    (100, 64)
  )
  found = _find(x)
  assert found.near[2] == count


def test_one_channel_of_a_large_scale_hides_no_difference():
  """A slow channel is the same in all examples but for a little noise."""
  x = _x()
  x[..., 0] = 1e6 + 1e5 * _x()[:1, ..., 0]
  assert _find(x).near == {1: 0, 2: 0}
  x[..., 0] *= np.arange(N)[:, None, None]
  x[200:, ..., 0] = x[:100, ..., 0]
  assert _find(x).near == {1: 0, 2: 0}


def test_a_sample_is_compared_with_all(monkeypatch):
  monkeypatch.setattr(copies, '_QUERIES', 40)
  monkeypatch.setattr(copies, '_COMPARED', 500)
  monkeypatch.setattr(copies, '_BLOCK', 7)
  x = _x().astype(np.float32)
  x[200:] = x[:100] * np.float32(1.001)
  lazy = sources.FunctionSource(N, (1, 16, 2), np.float32, x.__getitem__)
  found = copies.find(lazy, FOLD)
  assert (found.near, found.sampled) == ({1: 0, 2: 40}, {1: 40, 2: 40})
