"""Both halves of each network as TFLite files of builtin operations."""

import numpy as np
import pytest

from hybrid_jax.export import tflite
from hybrid_jax.models import base
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
  edge_params, cloud_params = base.split_params(model, params, cut)
  # An operation that is not builtin raises.
  edge = tflite.convert(
    lambda x: model.apply({'params': edge_params}, x, cut, method='edge'),
    {'x': x.shape},
    'features',
  )
  features = tflite.runner(edge)(x=x)
  cloud = tflite.convert(
    lambda f: model.apply({'params': cloud_params}, f, cut, method='cloud'),
    {'features': features.shape},
    'logits',
  )
  logits = tflite.runner(cloud)(features=features)
  whole = np.asarray(small.quick(model.apply)({'params': params}, x))
  np.testing.assert_allclose(
    logits, whole, atol=1e-4 * np.sqrt(np.mean(whole**2))
  )


def test_a_depthwise_convolution_is_one_operation():
  model, x = small.make('mobilenet', norm=False), small.examples('mobilenet', 1)
  params = small.params(model, x)
  edge, _ = base.split_params(model, params, 'block2')
  data = tflite.convert(
    lambda x: model.apply({'params': edge}, x, 'block2', method='edge'),
    {'x': x.shape},
    'features',
  )
  operations = tflite.operations(data)
  assert {'DEPTHWISE_CONV_2D', 'CONV_2D', 'HARD_SWISH'} <= set(operations)
  # Nothing of a convolution that was taken apart.
  assert not {'SLICE', 'STRIDED_SLICE', 'PAD'} & set(operations)
