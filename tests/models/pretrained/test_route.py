"""From a weight file of Keras to the files of a device, in small."""

import jax
import numpy as np
import PIL.Image
import pytest

import hybrid_jax
from configs import vgg_face
from hybrid_jax.datasets import dataset
from hybrid_jax.models.pretrained import names, readers
from hybrid_jax.study import deployment, runner, validate
from hybrid_jax.training import loop
from tests.models.pretrained import keras_network, networks

_STAGES = ('data', 'train', 'release', 'attack')
_CUT = 'conv5_3'
_FROZEN = names.CONVS[: names.CONVS.index('conv5_1')]


def _write_pictures(folder):
  """Noise with a red or blue patch; the person is in its place."""
  rng = np.random.default_rng(0)
  folder.mkdir()
  rows = ['file,primary,sensitive_person']
  for i in range(60):
    pixels = rng.integers(0, 120, (64, 64, 3))
    top = 32 * (i // 2 % 2)
    pixels[top : top + 32, 10:50, 2 * (i % 2)] += 120
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(folder / f'{i}.png')
    rows.append(f'{i}.png,{("red", "blue")[i % 2]},{"ab"[i // 2 % 2]}')
  (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')


def _config(folder):
  c = vgg_face.get_config(f'{folder / "pictures"},size=64')
  c.model.options.width, c.model.options.dense = 1 / 32, 24
  c.model.pretrained.path = str(folder / 'vgg16.h5')
  c.model.split_points = (_CUT,)
  for group in (c.training, c.siamese, c.defend):
    group.batch_size = 16
  c.training.steps = c.training.every = 8
  c.training.learning_rate = 1e-2
  c.release.embeddings = {
    'simple': {'weights': 'simple'},
    'noisy': {'weights': 'simple', 'mechanisms': ('pca', 'noise')},
  }
  c.release.order = ()
  c.attack.adversaries, c.attack.measures = ('majority', 'knn'), {}
  c.attack.knn.neighbours, c.attack.draws = (1,), 1
  c.attack.windows, c.strangers.embeddings = (1,), ()
  return c


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A folder with the weight file; and the finished study."""
  import keras  # Here alone: it starts TensorFlow.

  folder = tmp_path_factory.mktemp('route')
  _write_pictures(folder / 'pictures')
  model, _ = keras_network.build(keras)
  keras_network.write_published(model, folder / 'vgg16.h5')
  with pytest.MonkeyPatch.context() as patch:
    # Eight devices of two cores take long.
    mesh = jax.make_mesh(
      (1,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
    )
    patch.setattr(loop, 'data_mesh', lambda: mesh)
    yield folder, runner.run(_config(folder), folder / 'run', _STAGES)


def test_layers_before_the_cut_are_those_of_the_file(made):
  folder, study = made
  stored = readers.read(folder / 'vgg16.h5')
  params, first = study.params('simple'), study.initial_params()
  for layer in (*names.CONVS, 'fc6', 'fc7'):
    theirs = {ours: name for name, ours in names.ALIASES.items()}
    theirs = next(
      name
      for name, ours in names.ALIASES.items()
      if ours == layer and f'{name}/{name}_W_1:0' in stored
    )
    kernel = stored[f'{theirs}/{theirs}_W_1:0']
    if layer == 'conv1_1':  # of BGR from 0 to 255 to RGB of deviation 1
      kernel = kernel[:, :, ::-1] * np.float32(60)
    trained = np.asarray(networks.part(params, layer, 'kernel'))
    if layer in _FROZEN:
      np.testing.assert_array_equal(trained, kernel, layer)
    else:
      moved = np.abs(trained - kernel).max()
      assert 0 < moved < 0.2, layer
      assert np.corrcoef(trained.ravel(), kernel.ravel())[0, 1] > 0.8, layer
  # The head is fresh, since the file has five classes, and learns faster.
  assert params['head']['kernel'].shape == (24, 2)
  head = np.abs(params['head']['kernel'] - first['head']['kernel']).max()
  assert head > 0.1


def test_the_files_of_the_device_answer_as_the_network_does(made):
  folder, study = made
  manifest = deployment.write_bundle(
    study, _CUT, 'noisy', 'float32', folder / 'bundle'
  )
  assert manifest['parity']['agreement'] == 1
  bundle = hybrid_jax.Bundle(folder / 'bundle')
  rows = study.rows(dataset.TEST)
  windows = study.data.x[rows][:4]
  released = np.concatenate([bundle.edge(window[None]) for window in windows])
  assert released.shape == (4, 4)
  stored = np.load(study.released_path(_CUT, 'noisy'))
  # The noise of four pictures is far below what PCA keeps of them.
  clean, cov = stored['clean'][rows][:4], stored['noise_cov']
  error = (released - clean) @ np.linalg.inv(np.linalg.cholesky(cov)).T
  assert np.abs(error).max() < 6
  assert np.abs(error).std() > 0.1
  logits = bundle.cloud(released[:1])
  assert logits.shape == (1, 2)


def test_the_shipped_config_is_valid(made):
  folder, _ = made
  for variant in ('', ',small', ',tune', ',full'):
    c = vgg_face.get_config(f'{folder / "pictures"},size=64{variant}')
    assert validate.prepare(c).siamese.weight['conv5_1'] == 0.001
