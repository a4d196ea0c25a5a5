import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import normalization
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


def test_sensors_turn_about_one_axis():
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2000, 1, 4, 6)), jnp.float32)
  y = np.asarray(augmentation.rotate(_KEY, x, 0.4))
  triples = np.asarray(x).reshape(2000, 8, 3)
  turned = y.reshape(2000, 8, 3)
  # Lengths and angles between samples and sensors stay.
  gram = np.einsum('nij,nkj->nik', triples, triples)
  np.testing.assert_allclose(
    np.einsum('nij,nkj->nik', turned, turned), gram, atol=2e-5
  )
  # The angle, from the trace of the least-squares matrix: 1 + 2 cos(angle).
  matrices = np.stack(
    [
      np.linalg.lstsq(a, b, rcond=None)[0]
      for a, b in zip(triples, turned, strict=True)
    ]
  )
  assert np.linalg.det(matrices) == pytest.approx(1, abs=1e-3)
  trace = np.trace(matrices, axis1=1, axis2=2)
  angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))
  assert np.sqrt(np.square(angle).mean()) == pytest.approx(0.4, rel=0.05)
  np.testing.assert_array_equal(augmentation.rotate(_KEY, x, 0.0), x)


def test_a_frame_turns_in_the_units_of_the_sensors():
  x = jnp.asarray(np.random.default_rng(1).standard_normal((50, 1, 4, 3)))
  normalizer = normalization.Normalizer(
    np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32)
  )
  augment = augmentation.make({'rotate': 0.5}, normalizer)
  raw = np.asarray(x) * normalizer.std + normalizer.mean
  out = np.asarray(augment(_KEY, x)) * normalizer.std + normalizer.mean
  np.testing.assert_allclose(
    np.linalg.norm(out, axis=-1), np.linalg.norm(raw, axis=-1), rtol=1e-4
  )
  assert np.abs(out - raw).max() > 1


@pytest.mark.parametrize(('name', 'axis'), [('time_mask', 2), ('band_mask', 3)])
def test_a_mask_is_one_stretch(name, axis):
  x = jnp.ones((3000, 1, 10, 10))
  y = np.asarray(getattr(augmentation, name)(_KEY, x, 0.3))
  other = 5 - axis
  assert (y == y.take([0], axis=other)).all()
  masked = y.take(0, axis=other).reshape(3000, 10) == 0
  lengths = masked.sum(axis=1)
  assert sorted(set(lengths)) == [0, 1, 2, 3]
  assert lengths.mean() == pytest.approx(1.5, abs=0.1)
  assert (np.abs(np.diff(masked.astype(int), axis=1)).sum(axis=1) <= 2).all()
  # Every place is masked, the first and the last too.
  assert masked.any(axis=0).all()


def test_bands_are_shifted():
  x = jnp.arange(6.0) * jnp.ones((800, 1, 3, 1))
  y = np.asarray(augmentation.band_shift(_KEY, x, 2))
  moves = {tuple(row) for row in y[:, 0, 0].astype(int).tolist()}
  assert moves == {
    (2, 3, 4, 5, 5, 5),
    (1, 2, 3, 4, 5, 5),
    (0, 1, 2, 3, 4, 5),
    (0, 0, 1, 2, 3, 4),
    (0, 0, 0, 1, 2, 3),
  }


def test_one_key_switches_all_changes_off():
  config = {'enabled': False, 'gain': 0.5, 'mirror': 0.5}
  x = _signals(3)
  assert augmentation.active(config) == {}
  np.testing.assert_array_equal(augmentation.make(config)(_KEY, x), x)


@pytest.mark.parametrize(
  ('config', 'words'),
  [
    ({'rotate': 0.4}, 'the examples have 2 channels'),
    ({'band_shift': 2}, 'can be shifted by 0 to 1'),
    ({'rotat': 0.4}, "Did you mean 'rotate'"),
  ],
)
def test_what_does_not_suit_is_refused(config, words):
  with pytest.raises(errors.UserError, match=words):
    augmentation.make(config)(_KEY, _signals(3))


def test_pictures_are_zoomed_about_their_middle():
  # Each pixel is its own column, and its row times 100.
  x = jnp.arange(9.0)[:, None] * 100 + jnp.arange(7.0)
  x = x[None, ..., None].repeat(3000, axis=0)
  y = np.asarray(augmentation.zoom(_KEY, x, 0.1))[..., 0]
  np.testing.assert_allclose(y[:, 4, 3], 403, atol=1e-2)
  columns = y[:, 4, 4] - y[:, 4, 3]
  rows = (y[:, 5, 3] - y[:, 4, 3]) / 100
  np.testing.assert_allclose(rows, columns, atol=1e-3)
  assert np.log(columns).std() == pytest.approx(0.1, rel=0.05)
  # Beyond the edge, its pixels are repeated.
  assert y.min() >= 0
  assert y.max() <= 806 + 1e-2
  np.testing.assert_allclose(augmentation.zoom(_KEY, x[:5], 0.0), x[:5])


def test_a_rectangle_is_erased():
  y = np.asarray(augmentation.erase(_KEY, jnp.ones((3000, 10, 6, 2)), 0.5))
  np.testing.assert_array_equal(y[..., 0], y[..., 1])
  erased = y[..., 0] == 0
  heights, widths = erased.any(2).sum(1), erased.any(1).sum(1)
  # The sides are from 0 to half of the picture, each as often.
  assert set(heights[widths > 0]) <= set(range(6))
  assert heights[widths > 0].max() == 5
  assert widths.max() == 3
  np.testing.assert_array_equal(erased.sum((1, 2)), heights * widths)
  # Every pixel is erased, those at the corners too.
  assert erased.any(0).all()
  assert erased.mean() == pytest.approx(0.25 * 0.25, rel=0.1)
