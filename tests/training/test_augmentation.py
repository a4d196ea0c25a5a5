import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.training import augmentation

_KEY = jax.random.key(0)


def _signals(count=4000, time=9):
  return jnp.ones((count, 1, time, 2)) * jnp.arange(time)[:, None]


def test_an_empty_config_leaves_the_examples():
  x = _signals(3)
  np.testing.assert_array_equal(augmentation.make({})(_KEY, x), x)
  np.testing.assert_array_equal(augmentation.identity(_KEY, x), x)


def test_each_channel_has_its_gain():
  factor = (
    augmentation.gain(_KEY, _signals(), 0.2)[:, 0, 1:]
    / (jnp.arange(1, 9)[:, None])
  )
  np.testing.assert_allclose(factor, factor[:, :1] * jnp.ones((8, 1)), 1e-5)
  assert float(factor[:, 0].std()) == pytest.approx(0.2, rel=0.05)
  assert float(factor[:, 0].mean()) == pytest.approx(1, abs=0.02)
  assert abs(np.corrcoef(factor[:, 0].T)[0, 1]) < 0.1


def test_time_is_stretched_about_the_middle():
  # The signal is time itself, so that its slope is the factor.
  y = augmentation.time_scale(_KEY, _signals(time=9), 0.05)[:, 0, :, 0]
  np.testing.assert_allclose(y[:, 4], 4, atol=1e-5)
  slope = np.asarray(y[:, 5] - y[:, 4])
  np.testing.assert_allclose(y[:, 4] - y[:, 3], slope, atol=1e-4)
  assert np.log(slope).std() == pytest.approx(0.05, rel=0.05)
  # Beyond the ends the last value stays.
  assert y.min() >= 0
  assert y.max() <= 8
  np.testing.assert_array_equal(
    augmentation.time_scale(_KEY, _signals(5), 0.0), _signals(5)
  )


def test_pictures_are_mirrored_or_not():
  x = jnp.arange(12.0).reshape(1, 2, 3, 2).repeat(1000, axis=0)
  y = np.asarray(augmentation.mirror(_KEY, x, 0.5))
  turned = (y == np.asarray(x)[:, :, ::-1]).all(axis=(1, 2, 3))
  same = (y == np.asarray(x)).all(axis=(1, 2, 3))
  assert (turned ^ same).all()
  assert turned.mean() == pytest.approx(0.5, abs=0.05)


def test_pictures_are_shifted_by_whole_pixels():
  x = jnp.arange(25.0).reshape(1, 5, 5, 1).repeat(500, axis=0)
  y = np.asarray(augmentation.shift(_KEY, x, 1))[..., 0]
  # The middle pixel tells the move: 12 is where it was, 5 a row, 1 a column.
  assert set(np.unique(y[:, 2, 2])) == {6, 7, 8, 11, 12, 13, 16, 17, 18}
  moved = y[y[:, 2, 2] == 7][0]
  padded = np.pad(np.arange(25.0).reshape(5, 5), 1, mode='edge')
  np.testing.assert_array_equal(moved, padded[0:5, 1:6])


def test_contrast_is_the_same_for_all_values_of_an_example():
  x = _signals(3000, 5)
  y = np.asarray(augmentation.contrast(_KEY, x, 0.1))[:, 0]
  slope = y[:, 1] - y[:, 0]
  np.testing.assert_allclose(y[:, 4] - y[:, 3], slope, atol=1e-4)
  np.testing.assert_allclose(slope[:, 0], slope[:, 1], atol=1e-4)
  assert slope.std() == pytest.approx(0.1, rel=0.05)
  assert y[:, 0].std() == pytest.approx(0.1, rel=0.05)


def test_changes_are_drawn_anew_for_each_key():
  augment = augmentation.make({'gain': 0.1, 'time_scale': 0.1})
  x = _signals(10)
  one, two = augment(_KEY, x), augment(jax.random.key(1), x)
  assert not np.allclose(one, two)
  np.testing.assert_array_equal(one, augment(_KEY, x))


REFUSED = {
  'a share above one': ({'mirror': 7}, 'augment.mirror is 7', 'from 0 to 1'),
  'a shift back': ({'shift': -2}, 'augment.shift is -2', 'whole number'),
  'half a pixel': ({'shift': 1.5}, 'augment.shift is 1.5', 'whole number'),
  'a negative deviation': ({'gain': -1}, 'augment.gain is -1', 'from 0 to 1'),
  'NaN': (
    {'contrast': float('nan')},
    'augment.contrast is nan',
    'from 0 to 1',
  ),
  'infinity': (
    {'time_scale': float('inf')},
    'augment.time_scale is inf',
    'from 0 to 1',
  ),
  'text': ({'gain': '0.1'}, "augment.gain is '0.1'", 'from 0 to 1'),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_strengths_out_of_range(case):
  config, *parts = case
  with pytest.raises(errors.UserError) as caught:
    augmentation.make(config)
  for part in parts:
    assert part in str(caught.value)


@pytest.mark.parametrize(
  ('config', 'shape', 'part'),
  [
    ({'mirror': 0.5}, (1, 9, 2), r'augment.mirror is 0.5, .*\[1, 9, 2\]'),
    ({'shift': 1}, (1, 9, 2), 'augment.shift is 1, and is for pictures'),
    ({'mirror': 0.5}, (9,), 'augment.mirror'),
    ({'shift': 6}, (6, 9, 3), 'pictures of 6 by 9 can be shifted by 0 to 5'),
    ({'time_scale': 0.1}, (1, 1, 2), 'augment.time_scale is 0.1'),
    ({'time_scale': 0.1}, (9,), 'augment.time_scale is 0.1'),
  ],
)
def test_changes_suit_the_examples(config, shape, part):
  with pytest.raises(errors.UserError, match=part):
    augmentation.check(config, shape)
  with pytest.raises(errors.UserError, match=part):
    augmentation.make(config)(_KEY, jnp.zeros((2, *shape)))


def test_suitable_changes_and_zero_strengths_are_valid():
  off = dict.fromkeys(augmentation.KNOWN, 0)
  for shape in ((1, 9, 2), (9,), (1, 1, 1), (6, 9, 3)):
    augmentation.check(off, shape)
  augmentation.check({'gain': 1, 'mirror': 1.0, 'shift': 5}, (6, 9, 3))
  augmentation.check({'shift': 500})  # No shape is known.
  augmentation.check({'gain': 0.1, 'time_scale': 0.1}, (1, 9, 2))


def test_an_unknown_change_lists_the_known_ones():
  with pytest.raises(errors.UserError, match=r"'gian'.*'gain'.*mirror"):
    augmentation.make({'gian': 0.1})
