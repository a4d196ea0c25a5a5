"""Against Keras's own answers, from the files that Keras writes."""

import h5py
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.models.pretrained import names, weights
from tests.models.pretrained import keras_network, networks


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A folder of files, the network's input, and its answers by split point."""
  import keras  # Here alone: it starts TensorFlow.

  folder = tmp_path_factory.mktemp('keras')
  model, every = keras_network.build(keras)
  model.save(folder / 'model.h5')
  model.save_weights(folder / 'model.weights.h5')
  keras_network.write_published(model, folder / 'applications.h5')
  with h5py.File(folder / 'face.h5', 'w') as f:
    for layer in model.layers:
      ours = names.ALIASES.get(layer.name, '').replace('head', 'fc8')
      for array, part in zip(
        layer.get_weights(), ('kernel', 'bias'), strict=False
      ):
        f[f'{ours}/{ours}/{part}:0'] = array
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
  return folder, x, {k: np.asarray(v) for k, v in every(x).items()}


@pytest.mark.parametrize(
  'name', ['model.h5', 'model.weights.h5', 'applications.h5', 'face.h5']
)
def test_every_split_point_answers_as_keras_does(name, made):
  folder, x, answers = made
  network = networks.model()
  params, summary = weights.load(
    folder / name, networks.zeros(network), 'vgg16', head='must'
  )
  assert summary.loaded == names.LAYERS
  assert not summary.unused
  networks.assert_same_outputs(network, params, x, answers)


def test_a_truncated_file(made, tmp_path):
  folder, _, _ = made
  path = tmp_path / 'short.h5'
  path.write_bytes((folder / 'model.h5').read_bytes()[:20_000])
  with pytest.raises(errors.UserError, match=r'short\.h5 is damaged'):
    weights.load(path, networks.zeros(networks.model()), 'vgg16')


def test_one_without_dense_layers(made, tmp_path):
  """As with Keras's `include_top=False`; the rest stays fresh if asked to."""
  folder, _, _ = made
  path = tmp_path / 'notop.h5'
  with h5py.File(folder / 'applications.h5') as f, h5py.File(path, 'w') as g:
    for name in f:
      if name.startswith('block'):
        f.copy(name, g)
  params = networks.zeros(networks.model())
  with pytest.raises(errors.UserError, match='the kernel of fc6 is missing'):
    weights.load(path, params, 'vgg16')
  for wish in ('skip', 'match'):
    loaded, summary = weights.load(
      path, params, 'vgg16', dense=wish, head='match'
    )
    assert summary.loaded == names.CONVS
    assert summary.fresh == ('fc6', 'fc7', 'head')
    assert np.any(networks.part(loaded, 'conv5_3', 'kernel'))
    assert not np.any(networks.part(loaded, 'fc6', 'kernel'))


def test_layers_by_class_with_another_head_behind(tmp_path):
  """Keras 3 counts from no number: `dense` is fc6, `dense_2` the head."""
  expected = networks.random(networks.zeros(networks.model()))
  path = tmp_path / 'x.weights.h5'
  order = [
    *((c, f'conv2d_{i}'.removesuffix('_0')) for i, c in enumerate(names.CONVS)),
    ('fc6', 'dense'),
    ('fc7', 'dense_1'),
    ('head', 'dense_2'),
  ]
  with h5py.File(path, 'w') as f:
    for ours, theirs in order:
      f[f'layers/{theirs}/vars/0'] = expected[ours]['kernel']
      f[f'layers/{theirs}/vars/1'] = expected[ours]['bias']
    f['layers/dense_3/vars/0'] = np.ones((5, 7), np.float32)
    f['optimizer/vars/2'] = np.ones((3, 3, 3, 2), np.float32)
  params, summary = weights.load(
    path, networks.zeros(networks.model()), 'vgg16', head='must'
  )
  networks.assert_loaded(params, expected)
  assert summary.unused == ('layers/dense_3/vars/0',)
