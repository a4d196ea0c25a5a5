"""Files of every variant release what the network does, with noise and grid."""

import jax
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.export import convert_halves, tflite, variants
from tests.deploy.export import small_split

pytest.importorskip('tensorflow')
litert = pytest.importorskip('ai_edge_litert.interpreter')

# The largest error, relative to the rms of the released vectors: the
# rounding of float32, of 11 bits, and of 8 bits over some layers.
WITHIN = {'float32': 1e-5, 'float16': 2e-3, 'dynamic': 3e-2, 'int8': 6e-2}


@pytest.fixture(scope='module')
def split():
  return small_split.make()


@pytest.fixture(scope='module')
def calibration(split):
  return convert_halves.calibrate(split, small_split.windows(64, seed=1), 0)


@pytest.fixture(scope='module')
def networks(split, calibration):
  return {
    v: convert_halves.convert_network(split, v, calibration)
    for v in variants.VARIANTS
  }


@pytest.fixture(scope='module')
def edges(split, networks):
  return {
    v: convert_halves.add_noise_part(split, data)
    for v, data in networks.items()
  }


@pytest.mark.parametrize('variant', variants.VARIANTS)
def test_the_edge_before_the_grid(split, networks, variant):
  run = tflite.load(
    convert_halves.add_noise_part(split, networks[variant], rounded=False)
  )
  in_jax = jax.jit(split.edge(rounded=False))
  noise = np.random.default_rng(2).standard_normal(
    (16, small_split.DIM), np.float32
  )
  pairs = [
    (run(x=x[None], noise=e), in_jax(x[None], e))
    for x, e in zip(small_split.windows(16), noise, strict=True)
  ]
  actual, expected = (np.stack(side) for side in zip(*pairs, strict=True))
  error = np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2))
  assert error < WITHIN[variant]
  if variant != 'float32':
    assert error > 1e-5  # It is a different file.


def test_extremes_of_few_windows_set_no_range():
  windows = small_split.windows(64)
  clipped = convert_halves.clip_extremes(windows)
  # Peaks of ordinary windows are within twice the range of the others.
  np.testing.assert_array_equal(clipped, windows)
  maxima = np.sort(windows.max(axis=(1, 2)), axis=0)
  wild = windows.copy()
  wild[0, 0, 0] = 3000 * small_split.STD
  middle = np.median(wild, axis=(0, 1, 2))
  # Without the two largest of 64, of which one is wild.
  high = np.sort(wild.max(axis=(1, 2)), axis=0)[61]
  np.testing.assert_allclose(
    convert_halves.clip_extremes(wild).max(axis=(0, 1, 2)),
    middle + 2 * (high - middle),
    rtol=1e-5,
  )
  assert (high <= maxima[62]).all()


def test_a_wild_window_ruins_no_int8(split):
  windows = small_split.windows(64, seed=1)
  windows[0] *= 3000
  calibration = convert_halves.calibrate(split, windows, 0)
  network = convert_halves.convert_network(split, 'int8', calibration)
  run, in_jax = tflite.load(network), jax.jit(split.edge_without_noise())
  pairs = [(run(x=x[None]), in_jax(x[None])) for x in small_split.windows(16)]
  actual, expected = (np.stack(side) for side in zip(*pairs, strict=True))
  error = np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2))
  assert error < 2 * WITHIN['int8']


@pytest.mark.parametrize('variant', variants.VARIANTS)
def test_noise_and_grid_stay_float(split, edges, variant):
  run = tflite.load(edges[variant])
  x = small_split.windows(1)
  silent = run(x=x, noise=np.zeros(small_split.DIM))
  # Far outside of the range of the calibration, where int8 would clip.
  for size in (0.1, 1.0, 40.0):
    noise = size * np.array([1.0, -2.0, 0.5, 3.0])
    released = run(x=x, noise=noise)
    steps = released / split.grid
    np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)
    np.testing.assert_allclose(
      released - silent,
      (np.asarray(small_split.scale()) @ noise)[None],
      atol=1.01 * split.grid,
    )


def test_the_network_is_in_8_bits(networks, edges):
  for files in (networks, edges):
    for variant, least in (('float32', 0), ('int8', 5)):
      details = litert.Interpreter(
        model_content=files[variant]
      ).get_tensor_details()
      weights = [
        d
        for d in details
        if d['dtype'] is np.int8 and len(d['shape']) in (2, 4)
      ]
      assert len(weights) >= least
      assert bool(weights) == bool(least)
  assert len(networks['float16']) < 0.8 * len(networks['float32'])


@pytest.mark.parametrize('variant', variants.VARIANTS)
def test_the_cloud(split, calibration, variant):
  run = tflite.load(convert_halves.convert_cloud(split, variant, calibration))
  in_jax = jax.jit(split.cloud())
  actual = np.stack([run(released=r) for r in calibration.released[:32]])
  expected = np.stack([in_jax(r) for r in calibration.released[:32]])
  error = np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2))
  assert error < WITHIN[variant]


def test_without_noise_the_network_is_the_edge_file():
  split = small_split.make(noisy=False)
  network = convert_halves.convert_network(split)
  assert convert_halves.add_noise_part(split, network) == network
  x = small_split.windows(1)
  np.testing.assert_allclose(
    tflite.load(network)(x=x), jax.jit(split.edge())(x), atol=1e-5
  )


def test_a_batch_is_refused(split):
  with pytest.raises(errors.UserError, match='must have the batch 1'):
    tflite.convert(split.cloud(), {'released': (3, small_split.DIM)}, 'logits')


def test_windows_of_8_bits(split, calibration, networks):
  data = convert_halves.convert_network(
    split, 'int8', calibration, int8_input=True
  )
  spec = convert_halves.input_specs(split, data)['x']
  assert spec['dtype'] == 'int8'
  # 255 steps over the range of the calibration, in the unit of each channel.
  normalized = (calibration.windows - small_split.MEAN) / small_split.STD
  np.testing.assert_allclose(
    spec['scale'],
    small_split.STD * (normalized.max() - normalized.min()) / 255,
    rtol=0.01,
  )
  # The other file quantises floats to the same integers inside.
  run = tflite.load(data, {'x': spec})
  with_floats = tflite.load(networks['int8'])
  pairs = [
    (run(x=x[None]), with_floats(x=x[None])) for x in small_split.windows(16)
  ]
  actual, expected = (np.stack(side) for side in zip(*pairs, strict=True))
  error = np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2))
  assert error < 0.01
  with pytest.raises(errors.UserError, match='only the variant int8'):
    convert_halves.convert_network(
      split, 'dynamic', calibration, int8_input=True
    )


def test_an_unknown_variant_lists_the_known_ones(split):
  with pytest.raises(errors.UserError, match='float32, float16, dynamic, int8'):
    convert_halves.convert_network(split, 'int4')
  with pytest.raises(errors.UserError, match='needs examples'):
    convert_halves.convert_network(split, 'int8')
