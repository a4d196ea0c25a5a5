import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import number_checks

RNG = np.random.default_rng(0)
NOISE = 20 * RNG.standard_normal((50, 64, 2))


def _offset(value, dtype=np.float64, channel=0):
  x = NOISE.copy()
  x[..., channel] += value
  return x.round().astype(dtype)


@pytest.mark.parametrize(
  'x',
  [
    NOISE,
    NOISE.astype(np.float32) + np.float32(2e8),  # What is lost was lost before.
    _offset(2e6),  # Steps of a quarter, and a deviation of 20.
    _offset(1000, np.int64),
    np.full((5, 8, 1), 2e8),  # A constant loses nothing.
    np.full((5, 8, 1), 0.1) + 1e-17 * RNG.standard_normal((5, 8, 1)),
    RNG.integers(0, 256, (5, 8, 8, 3), np.uint8),
    RNG.lognormal(9, 1, (400, 10)),
  ],
)
def test_what_float32_holds(x):
  number_checks.check_real('x', x)


@pytest.mark.parametrize(
  ('x', 'part'),
  [
    (_offset(2e8), "'x' (float64), channel 0: the values are about 2e+08 and"),
    (_offset(2e8, np.int64, 1), "'x' (int64), channel 1: the values are"),
    (
      _offset(2e9, np.uint32, 1)[..., 1:],
      "'x' (uint32): the values are",
    ),
    (_offset(-2e8, np.int32), 'float32 has steps of 16: most of the signal'),
    # Beyond the whole numbers of float64.
    (2**60 + NOISE.astype(np.int64), 'are about 1.15292e+18'),
    # An offset of its own in each example is no signal.
    (NOISE + 1e8 * np.arange(1, 51)[:, None, None], 'differ by 1'),
    # Of a table, each column.
    (np.stack([NOISE[0, :, 0], 1e9 + NOISE[0, :, 1]], 1), 'channel 1'),
    # Of series without an axis of channels, each series.
    (NOISE[..., 0] + 1e9 * np.arange(1, 51)[:, None], 'differ by'),
  ],
)
def test_what_it_does_not_hold(x, part):
  with pytest.raises(errors.UserError) as caught:
    number_checks.check_real('x', x)
  assert part in str(caught.value)


def test_the_threshold_by_hand():
  """Steps of 16 change a square wave of amplitude a by 4 of a, rms 4."""
  wave = np.where(np.arange(64) % 2, 1.0, -1.0)[None, :, None]
  # 2e8 is a multiple of 16, so a multiple plus 4 rounds down by 4.
  number_checks.check_resolution('x', 2e8 + 4 + 16 * 26 * wave)
  with pytest.raises(errors.UserError, match='differ by 384'):
    number_checks.check_resolution('x', 2e8 + 4 + 16 * 24 * wave)


def test_the_channel_is_named():
  with pytest.raises(errors.UserError, match='turn rate: the values'):
    number_checks.check_resolution('x', _offset(2e8), ['turn rate', 'light'])
