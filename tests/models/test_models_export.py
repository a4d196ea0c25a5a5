"""Both halves of each network as TFLite files of builtin operations."""

import numpy as np
import pytest

from hybrid_jax.deploy.export import tflite
from hybrid_jax.models import split_model
from tests.models import small

pytest.importorskip('tensorflow')

# A cut in the middle: each operation of the network is in one of the files.
CUTS = {
  'vgg16': 'pool3',
  'vgg_s': 'pool2',
  'resnet': 'stage2',
  'mobilenet': 'block4',
  'transformer': 'block2',
}


@pytest.mark.parametrize(('name', 'cut'), CUTS.items())
def test_both_halves_are_files_of_builtin_operations(name, cut):
  model, x = small.make(name), small.examples(name, batch=1)
  params = small.params(model, x)
  edge_params, cloud_params = split_model.split_params(model, params, cut)
  # An operation that is not builtin raises.
  edge = tflite.convert(
    lambda x: model.apply({'params': edge_params}, x, cut, method='edge'),
    {'x': x.shape},
    'features',
  )
  features = tflite.load(edge)(x=x)
  cloud = tflite.convert(
    lambda f: model.apply({'params': cloud_params}, f, cut, method='cloud'),
    {'features': features.shape},
    'logits',
  )
  logits = tflite.load(cloud)(features=features)
  whole = np.asarray(small.quick(model.apply)({'params': params}, x))
  np.testing.assert_allclose(
    logits, whole, atol=1e-4 * np.sqrt(np.mean(whole**2))
  )


# How far the logits may be off, relative to their rms: weights that nobody
# trained, and for mobilenet its depthwise layers, which 8 bits hurt most.
IN_8_BITS = {'resnet': 0.1, 'mobilenet': 0.4, 'transformer': 0.1}


@pytest.mark.parametrize(('name', 'within'), IN_8_BITS.items())
def test_both_halves_in_8_bits(name, within):
  cut = CUTS[name]
  model, x = small.make(name), np.asarray(small.examples(name, batch=8))
  params = small.params(model, x)
  edge_params, cloud_params = split_model.split_params(model, params, cut)

  def edge(x):
    return model.apply({'params': edge_params}, x, cut, method='edge')

  def cloud(f):
    return model.apply({'params': cloud_params}, f, cut, method='cloud')

  features = np.asarray(small.quick(edge)(x))
  runners = [
    tflite.load(
      tflite.convert(
        half,
        {'given': (1, *given.shape[1:])},
        'found',
        'int8',
        [(one[None],) for one in given],
      )
    )
    for half, given in ((edge, x), (cloud, features))
  ]
  logits = np.concatenate(
    [runners[1](given=runners[0](given=one[None])) for one in x]
  )
  whole = np.asarray(small.quick(model.apply)({'params': params}, x))
  error = np.sqrt(np.mean((logits - whole) ** 2) / np.mean(whole**2))
  assert 1e-4 < error < within


def test_a_depthwise_convolution_is_one_operation():
  model, x = small.make('mobilenet', norm=False), small.examples('mobilenet', 1)
  params = small.params(model, x)
  edge, _ = split_model.split_params(model, params, 'block2')
  data = tflite.convert(
    lambda x: model.apply({'params': edge}, x, 'block2', method='edge'),
    {'x': x.shape},
    'features',
  )
  operations = tflite.operations(data)
  assert {'DEPTHWISE_CONV_2D', 'CONV_2D', 'HARD_SWISH'} <= set(operations)
  # Nothing of a convolution that was taken apart.
  assert not {'SLICE', 'STRIDED_SLICE', 'PAD'} & set(operations)
