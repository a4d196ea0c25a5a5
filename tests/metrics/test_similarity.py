import sys

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.metrics import similarity

# Two items of four samples; the second channel never moves.
MOVING = np.array([[0, 0, 2, 2], [1, 1, 3, 3]])
ORIGINAL = np.stack([MOVING, np.full((2, 4), 5)], axis=-1)[:, None]
GROUP = np.array([3, 8])


def _rebuilt():
  # The first item as it was, the second upside down; the other channel is off
  # by a half.
  y = ORIGINAL.astype(np.float32)
  y[1, 0, :, 0] *= -1
  y[..., 1] += 0.5
  return y


def test_signal_by_hand():
  figures = similarity.signal(ORIGINAL, _rebuilt(), GROUP)
  moving, still = figures['correlation']['channels']
  assert moving == pytest.approx({'value': 0, 'low': -1, 'high': 1})
  assert still == {'value': 0, 'low': 0, 'high': 0}
  # About 1.5 the squares are 2.25 and 0.25 by halves: 1.25. The second item is
  # off by 2, 2, 6 and 6.
  moving, still = figures['error']['channels']
  assert moving == pytest.approx({'value': 8, 'low': 0, 'high': 20 / 1.25})
  assert still == pytest.approx({'value': 0.25, 'low': 0.25, 'high': 0.25})
  assert figures['error']['overall'] == pytest.approx(
    {'value': 8.25 / 2, 'low': 0.25 / 2, 'high': 16.25 / 2}
  )
  assert figures['correlation']['overall']['high'] == pytest.approx(1 / 2)


def test_perfect_and_useless_signals():
  x = np.random.default_rng(0).standard_normal((6, 1, 20, 3))
  group = np.arange(6) // 2
  perfect = similarity.signal(x, x, group)
  assert perfect['correlation']['overall']['value'] == pytest.approx(1)
  assert perfect['error']['overall']['value'] == 0
  mean = np.broadcast_to(x.mean(axis=(0, 1, 2)), x.shape)
  useless = similarity.signal(x, mean, group)
  assert useless['correlation']['overall']['value'] == 0
  for channel in useless['error']['channels']:
    assert channel['value'] == pytest.approx(1)


def test_correlation_equals_numpys():
  rng = np.random.default_rng(1)
  x, y = rng.standard_normal((2, 4, 1, 9, 2)) + 100
  want = [
    np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    for p, q in zip(*(a[:, 0].transpose(2, 0, 1) for a in (x, y)), strict=True)
  ]
  found = similarity.signal(x, y, np.arange(4))['correlation']
  np.testing.assert_allclose([c['value'] for c in found['channels']], want)
  assert found['overall']['value'] == pytest.approx(np.mean(want))


def test_one_group_has_no_interval():
  figures = similarity.signal(ORIGINAL, _rebuilt(), np.zeros(2, int))
  moving = figures['correlation']['channels'][0]
  assert (moving['low'], moving['high']) == (-1, 1)
  assert figures['error']['channels'][0] == pytest.approx(
    {'value': 8, 'low': 0, 'high': 16}
  )


def _images():
  """One grey throughout, one of black and white stripes: `[2, 8, 8, 1]`."""
  x = np.full((2, 8, 8, 1), 0.5)
  x[1] = (np.arange(8) % 2)[:, None]
  return x


def test_images_by_hand():
  x = _images()
  same = similarity.image(x, x, GROUP)
  assert same['ssim'] == pytest.approx({'value': 1, 'low': 1, 'high': 1})
  assert same['psnr'] == pytest.approx({'value': 100, 'low': 100, 'high': 100})
  y = x.copy()
  y[0] = 0.25
  figures = similarity.image(x, y, GROUP)
  # Wang et al.: (2 a b + c) / (a^2 + b^2 + c), c = (0.01 * range)^2, where
  # nothing varies.
  ssim = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
  assert figures['ssim']['value'] == pytest.approx((ssim + 1) / 2)
  assert figures['ssim']['low'] == pytest.approx(ssim)
  # 10 log10(1 / 0.25^2) = 12.04.
  assert figures['psnr']['low'] == pytest.approx(12.0412, abs=1e-4)
  assert figures['psnr']['value'] == pytest.approx(112.0412 / 2, abs=1e-4)


def test_figures_of_images_do_not_depend_on_the_unit():
  x = np.random.default_rng(2).random((3, 9, 12, 3))
  y = x + 0.5 * np.random.default_rng(3).random(x.shape)
  one, other = (similarity.image(k * x, k * y, np.arange(3)) for k in (1, 40))
  assert one['ssim']['value'] < 0.99
  for name in ('ssim', 'psnr'):
    assert one[name] == pytest.approx(other[name])


def test_small_images():
  x = _images()[:, :4, :5]
  figures = similarity.image(x, 1 - x, GROUP)
  # The grey one is its own negative, the stripes are opposite.
  assert figures['ssim']['high'] == pytest.approx(1)
  assert figures['ssim']['low'] < 0
  with pytest.raises(errors.UserError, match='2 by 5 pixels'):
    similarity.image(x[:, :2], x[:, :2], GROUP)


def test_without_scikit_image_its_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'skimage', None)
  with pytest.raises(errors.UserError, match=r'hybrid-jax\[images\]'):
    similarity.image(_images(), _images(), GROUP)


def test_measure_chooses_by_the_shape():
  x = _images()
  assert similarity.measure(x, x, GROUP).keys() == {'ssim', 'psnr'}
  want = similarity.signal(ORIGINAL, _rebuilt(), GROUP)
  assert similarity.measure(ORIGINAL, _rebuilt(), GROUP) == want
  assert similarity.measure(ORIGINAL[:, 0], _rebuilt()[:, 0], GROUP) == want
  flat = similarity.measure(MOVING, _rebuilt()[:, 0, :, 0], GROUP)
  assert flat['error']['channels'] == want['error']['channels'][:1]
  # A map of two channels is no image.
  maps = np.random.default_rng(0).random((2, 8, 8, 2))
  assert len(similarity.measure(maps, maps, GROUP)['error']['channels']) == 2


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('which', [0, 1])
def test_values_that_are_not_finite_are_refused(value, which):
  for x in (_images(), ORIGINAL.astype(float), MOVING.astype(float)):
    pair = [x, x.copy()]
    pair[which] = x.copy()
    pair[which].flat[3] = value
    with pytest.raises(errors.UserError, match='NaN or infinity'):
      similarity.measure(*pair, GROUP)


def test_shapes_that_differ_are_refused():
  with pytest.raises(errors.UserError, match='shapes must be equal'):
    similarity.signal(ORIGINAL, ORIGINAL[..., :1], GROUP)


def test_the_class_mean_by_hand():
  x = np.array([0, 2, 7, 100, 30, 40, 50], float)[:, None]
  primary = np.array([0, 0, 1, 1, 1, 0, 2])
  fold = np.array([0, 0, 0, 1, 2, 2, 2])
  # Class 2 is not in the training fold; validation counts for nothing.
  np.testing.assert_array_equal(
    similarity.class_mean(x, primary, fold), [[7], [1], [3]]
  )
