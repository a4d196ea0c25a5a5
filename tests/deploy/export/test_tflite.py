"""Unsupported operations are refused by name and layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from hybrid_jax import errors
from hybrid_jax.deploy.export import concat_tflite, tflite

pytest.importorskip('tensorflow')


class _Odd(nn.Module):
  """Its second layer is a pooling over one axis, which has no kernel."""

  @nn.compact
  def __call__(self, x):
    x = nn.Dense(4, name='first')(x)
    return nn.max_pool(x, (2,), (2,))


def test_a_leftover_is_named_with_its_layer():
  model = _Odd()
  x = np.zeros((1, 8, 3), np.float32)
  params = model.init(jax.random.key(0), x)
  with pytest.raises(errors.UserError, match='STABLEHLO_REDUCE_WINDOW') as e:
    tflite.convert(lambda x: model.apply(params, x), {'x': x.shape}, 'y')
  assert '_Odd' in str(e.value)


class _Spectrum(nn.Module):
  @nn.compact
  def __call__(self, x):
    return jnp.fft.fft(x).real


class _Random(nn.Module):
  @nn.compact
  def __call__(self, x):
    return x + jax.random.normal(jax.random.key(0), x.shape)


@pytest.mark.parametrize(
  ('odd', 'op'), [(_Spectrum, 'fft'), (_Random, 'right_shift')]
)
def test_what_cannot_be_converted_is_named(odd, op):
  model = nn.Sequential([nn.Dense(8), odd(), nn.Dense(2)])
  x = np.zeros((1, 8), np.float32)
  params = model.init(jax.random.key(0), x)
  with pytest.raises(errors.UserError, match='does not support') as e:
    tflite.convert(lambda x: model.apply(params, x), {'x': x.shape}, 'y')
  assert op in str(e.value)
  assert 'Sequential/layers_1' in str(e.value).split('(at ')[1]


@pytest.fixture(scope='module')
def parts():
  first = tflite.convert(
    lambda x: jnp.tanh(x @ jnp.arange(12.0).reshape(3, 4) / 12),
    {'x': (1, 3)},
    'middle',
  )
  second = tflite.convert(
    lambda shift, middle: jnp.round(middle * 8) + shift[None],
    {'shift': (4,), 'middle': (1, 4)},
    'y',
  )
  return first, second


def test_the_join_is_one_after_the_other(parts):
  run = tflite.load(concat_tflite.concat(*parts))
  x, shift = np.float32([[0.3, -2.0, 1.1]]), np.float32([1, 2, 3, 4])
  matrix = np.arange(12.0).reshape(3, 4) / 12
  expected = np.round(np.tanh(x @ matrix) * 8) + shift
  np.testing.assert_array_equal(run(x=x, shift=shift), expected)


def test_a_joined_file_is_laid_out_as_the_schema_asks(parts):
  from ai_edge_litert import schema_py_generated as schema

  data = concat_tflite.concat(*parts)
  model = schema.Model.GetRootAs(data, 0)
  whole = np.frombuffer(data, np.uint8)
  sizes = []
  for i in range(model.BuffersLength()):
    array = model.Buffers(i).DataAsNumpy()
    if not isinstance(array, int):
      offset = array.ctypes.data - whole.ctypes.data
      assert offset % 16 == 0
      sizes.append(array.size)
  assert 12 * 4 in sizes
  assert model.Buffers(0).DataLength() == 0
  versions = [tflite.least_version(part) for part in (*parts, data)]
  one, two, both = (tuple(map(int, v.split('.'))) for v in versions)
  assert both == max(one, two)


def test_what_does_not_fit_is_not_joined(parts):
  first, second = parts
  with pytest.raises(ValueError, match='has no input'):
    concat_tflite.concat(second, first)
