"""Every variant sends what the network does, noise and grid included."""

import jax
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.export import half_files, tflite, variants
from tests.deploy.export import cuts

pytest.importorskip('tensorflow')

# How far a variant may be off, relative to the rms of what is released: the
# rounding of float32, of 11 bits, and of 8 bits over some layers.
WITHIN = {'float32': 1e-5, 'float16': 2e-3, 'dynamic': 3e-2, 'int8': 6e-2}


@pytest.fixture(scope='module')
def cut():
  return cuts.make()


@pytest.fixture(scope='module')
def made(cut):
  return half_files.examples(cut, cuts.windows(64, seed=1), 0)


@pytest.fixture(scope='module')
def networks(cut, made):
  return {v: half_files.network(cut, v, made) for v in variants.VARIANTS}


@pytest.fixture(scope='module')
def edges(cut, networks):
  return {v: half_files.edge(cut, data) for v, data in networks.items()}


@pytest.mark.parametrize('variant', variants.VARIANTS)
def test_the_edge_before_the_grid(cut, networks, variant):
  run = tflite.runner(half_files.edge(cut, networks[variant], rounded=False))
  there = jax.jit(cut.edge(rounded=False))
  noise = np.random.default_rng(2).standard_normal((16, cuts.DIM), np.float32)
  pairs = [
    (run(x=x[None], noise=e), there(x[None], e))
    for x, e in zip(cuts.windows(16), noise, strict=True)
  ]
  found, wanted = (np.stack(side) for side in zip(*pairs, strict=True))
  error = np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2))
  assert error < WITHIN[variant]
  if variant != 'float32':
    assert error > 1e-5  # It is another file.


@pytest.mark.parametrize('variant', variants.VARIANTS)
def test_noise_and_grid_stay_float(cut, edges, variant):
  run = tflite.runner(edges[variant])
  x = cuts.windows(1)
  silent = run(x=x, noise=np.zeros(cuts.DIM))
  # Far outside of what int8 was scaled by: it would be cut off there.
  for size in (0.1, 1.0, 40.0):
    noise = size * np.array([1.0, -2.0, 0.5, 3.0])
    released = run(x=x, noise=noise)
    steps = released / cut.grid
    np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)
    np.testing.assert_allclose(
      released - silent,
      (np.asarray(cuts.scale()) @ noise)[None],
      atol=1.01 * cut.grid,
    )


def test_the_network_is_in_8_bits(networks, edges):
  for files in (networks, edges):
    for variant, wanted in (('float32', 0), ('int8', 5)):
      details = tflite.load(files[variant]).get_tensor_details()
      weights = [
        d
        for d in details
        if d['dtype'] is np.int8 and len(d['shape']) in (2, 4)
      ]
      assert len(weights) >= wanted
      assert bool(weights) == bool(wanted)
  assert len(networks['float16']) < 0.8 * len(networks['float32'])


@pytest.mark.parametrize('variant', variants.VARIANTS)
def test_the_cloud(cut, made, variant):
  run = tflite.runner(half_files.cloud(cut, variant, made))
  there = jax.jit(cut.cloud())
  found = np.stack([run(released=r) for r in made.released[:32]])
  wanted = np.stack([there(r) for r in made.released[:32]])
  error = np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2))
  assert error < WITHIN[variant]


def test_without_noise_there_is_no_tail():
  cut = cuts.make(noisy=False)
  network = half_files.network(cut)
  assert half_files.edge(cut, network) == network
  x = cuts.windows(1)
  np.testing.assert_allclose(
    tflite.runner(network)(x=x), jax.jit(cut.edge())(x), atol=1e-5
  )


def test_a_file_of_a_named_batch(cut, made):
  data = half_files.cloud(cut, batch=3)
  vectors = made.released[:3, 0]
  np.testing.assert_allclose(
    tflite.runner(data)(released=vectors),
    jax.jit(cut.cloud())(vectors),
    atol=1e-5,
  )
  with pytest.raises(errors.UserError, match='have the batch 1'):
    tflite.convert(cut.cloud(), {'released': (3, cuts.DIM)}, 'logits')


def test_noise_drawn_inside_is_of_the_same_law(cut, networks):
  data = half_files.edge(cut, networks['float32'], inside=True)
  assert 'RANDOM_STANDARD_NORMAL' in tflite.operations(data)
  run = tflite.runner(data)
  x = cuts.windows(1)
  draws = np.concatenate([run(x=x) for _ in range(4000)])
  scale = np.asarray(cuts.scale())
  np.testing.assert_allclose(
    np.cov(draws.T), scale @ scale.T, atol=0.1 * np.max(scale @ scale.T)
  )


def test_windows_of_8_bits(cut, made, networks):
  data = half_files.network(cut, 'int8', made, int8_input=True)
  kind = half_files.input_kinds(cut, data)['x']
  assert kind['dtype'] == 'int8'
  # 255 steps over all that was seen, of each channel in its own unit.
  seen = (made.windows - cuts.MEAN) / cuts.STD
  np.testing.assert_allclose(
    kind['scale'], cuts.STD * (seen.max() - seen.min()) / 255, rtol=0.01
  )
  # The file is given the integers that the other makes of floats inside.
  run = tflite.runner(data, {'x': kind})
  whole = tflite.runner(networks['int8'])
  pairs = [(run(x=x[None]), whole(x=x[None])) for x in cuts.windows(16)]
  found, wanted = (np.stack(side) for side in zip(*pairs, strict=True))
  error = np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2))
  assert error < 0.01
  with pytest.raises(errors.UserError, match='only the variant int8'):
    half_files.network(cut, 'dynamic', made, int8_input=True)


def test_an_unknown_variant_lists_the_known_ones(cut):
  with pytest.raises(errors.UserError, match='float32, float16, dynamic, int8'):
    half_files.network(cut, 'int4')
  with pytest.raises(errors.UserError, match='needs examples'):
    half_files.network(cut, 'int8')
