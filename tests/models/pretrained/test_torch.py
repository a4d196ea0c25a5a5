"""Against PyTorch's own answers, kept by `make_torch_fixture.py`."""

import pathlib

import numpy as np
import pytest
import safetensors.numpy

from hybrid_jax import errors
from hybrid_jax.models.pretrained import names, weights
from tests.models.pretrained import networks

_FOLDER = pathlib.Path(__file__).parent
_PATH = _FOLDER / 'vgg16_torch.safetensors'


def _state():
  return safetensors.numpy.load_file(_PATH)


def test_every_split_point_answers_as_pytorch_does():
  network = networks.model()
  params, summary = weights.load(
    _PATH, networks.zeros(network), 'vgg16', head='must'
  )
  assert summary.loaded == names.LAYERS
  assert not summary.fresh
  assert not summary.unused
  with np.load(_FOLDER / 'vgg16_torch.npz') as stored:
    answers = dict(stored)
  x = answers.pop('pixels').astype(np.float32) / 128 - 1
  networks.assert_same_outputs(network, params, x, answers)


def test_other_names_give_the_same(tmp_path):
  """Those of timm, of VGG-Face, and of a network wrapped for many devices."""
  state, network = _state(), networks.model()
  expected, _ = weights.load(
    _PATH, networks.zeros(network), 'vgg16', head='must'
  )
  timm, face = {}, {}
  dense = {'classifier.0': 'fc6', 'classifier.3': 'fc7', 'classifier.6': 'fc8'}
  for name, array in state.items():
    where, _, part = name.rpartition('.')
    face[f'{dense.get(where) or names.ALIASES[where]}.{part}'] = array
    if where == 'classifier.0':
      # A convolution of the whole picture, of 2 x 2 pixels in 16 channels.
      shape = (24, 16, 2, 2) if part == 'weight' else 24
      timm[f'pre_logits.fc1.{part}'] = array.reshape(shape)
    elif where == 'classifier.3':
      shape = (24, 24, 1, 1) if part == 'weight' else 24
      timm[f'pre_logits.fc2.{part}'] = array.reshape(shape)
    elif where == 'classifier.6':
      timm[f'head.fc.{part}'] = array
    else:
      timm[name] = array
  wrapped = {f'module.{name}': array for name, array in state.items()}
  for i, arrays in enumerate((timm, face, wrapped)):
    path = tmp_path / f'{i}.safetensors'
    safetensors.numpy.save_file(arrays, path)
    loaded, _ = weights.load(
      path, networks.zeros(network), 'vgg16', head='must'
    )
    networks.assert_loaded(
      loaded,
      {
        layer: {
          part: networks.part(expected, layer, part)
          for part in ('kernel', 'bias')
        }
        for layer in names.LAYERS
      },
    )


def test_half_precision_is_read(tmp_path):
  path = tmp_path / 'half.safetensors'
  half = {k: v.astype(np.float16) for k, v in _state().items()}
  safetensors.numpy.save_file(half, path)
  params, _ = weights.load(path, networks.zeros(networks.model()), 'vgg16')
  bias = networks.part(params, 'conv3_2', 'bias')
  assert bias.dtype == np.float32
  np.testing.assert_array_equal(bias, half['features.12.bias'])


def test_batch_normalization_is_refused(tmp_path):
  path = tmp_path / 'bn.safetensors'
  more = {'features.1.running_mean': np.zeros(2, np.float32)}
  safetensors.numpy.save_file(_state() | more, path)
  with pytest.raises(errors.UserError, match=r'features\.1\.running_mean'):
    weights.load(path, networks.zeros(networks.model()), 'vgg16')


def test_another_networks_convolutions_are_refused(tmp_path):
  path = tmp_path / 'vgg19.safetensors'
  more = {'features.16.weight': np.zeros((8, 8, 3, 3), np.float32)}
  safetensors.numpy.save_file(_state() | more, path)
  with pytest.raises(errors.UserError, match=r'features\.16\.weight.*another'):
    weights.load(path, networks.zeros(networks.model()), 'vgg16')


def test_a_truncated_file(tmp_path):
  path = tmp_path / 'short.safetensors'
  path.write_bytes(_PATH.read_bytes()[:40_000])
  with pytest.raises(errors.UserError, match=r'short\.safetensors is damaged'):
    weights.load(path, networks.zeros(networks.model()), 'vgg16')
