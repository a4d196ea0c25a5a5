"""NumPy files, options, and what is refused; no other program's answers."""

import pathlib
import pickle
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.models.pretrained import names, weights
from tests.models.pretrained import networks


@pytest.fixture(scope='module')
def params():
  return networks.zeros(networks.model())


@pytest.fixture(scope='module')
def expected(params):
  return networks.random(params)


def _hwio(expected):
  """Under the names of VGG-16's first TensorFlow file: `conv1_1_W`."""
  arrays = {}
  for layer, parts in expected.items():
    theirs = layer.replace('head', 'fc8')
    arrays[f'{theirs}_W'] = parts['kernel']
    arrays[f'{theirs}_b'] = parts['bias']
  return arrays


def _caffe(expected):
  """As Caffe keeps them; each place of fc6's input is worked out by hand."""
  arrays = {}
  for layer, parts in expected.items():
    theirs, kernel = layer.replace('head', 'fc8'), parts['kernel']
    if kernel.ndim == 4:
      kernel = np.einsum('hwio->oihw', kernel)
    elif layer == 'fc6':
      turned = np.empty((24, 16 * 2 * 2), np.float32)
      for c in range(16):
        for h in range(2):
          for w in range(2):
            turned[:, c * 4 + h * 2 + w] = kernel[h * 32 + w * 16 + c]
      kernel = turned
    else:
      kernel = kernel.T
    arrays[f'{theirs}/weights'] = kernel
    arrays[f'{theirs}/biases'] = parts['bias']
  return arrays


def _save(tmp_path, arrays, name='x.npz'):
  np.savez(tmp_path / name, **arrays)
  return tmp_path / name


@pytest.mark.parametrize('write', [_hwio, _caffe])
def test_numpy_files_of_both_orders_of_axes(write, params, expected, tmp_path):
  path = _save(tmp_path, write(expected))
  loaded, summary = weights.load(path, params, 'vgg16', head='must')
  networks.assert_loaded(loaded, expected)
  assert jax.tree.structure(loaded) == jax.tree.structure(params)
  assert summary.fresh == ()
  # The network's own parameters are not written over.
  assert not any(np.any(a) for a in jax.tree.leaves(params))


def test_the_choices_for_the_head(params, expected, tmp_path):
  path = _save(tmp_path, _hwio(expected))
  loaded, summary = weights.load(path, params, 'vgg16')
  assert summary.fresh == ('head',)
  assert not np.any(loaded['head']['kernel'])
  networks.assert_loaded(loaded, expected, names.LAYERS[:-1])
  loaded, summary = weights.load(path, params, 'vgg16', head='match')
  assert summary.fresh == ()
  networks.assert_loaded(loaded, expected)

  other = networks.zeros(networks.model(classes=7))
  loaded, summary = weights.load(path, other, 'vgg16', head='match')
  assert summary.fresh == ('head',)
  assert loaded['head']['kernel'].shape == (24, 7)
  with pytest.raises(errors.UserError) as caught:
    weights.load(path, other, 'vgg16', head='must')
  for word in ('head', 'fc8_W', '(24, 5)', '(24, 7)'):
    assert word in str(caught.value)


def test_pictures_of_another_size(expected, tmp_path):
  path = _save(tmp_path, _caffe(expected))
  params = networks.zeros(networks.model(), (1, 32, 32, 3))
  with pytest.raises(errors.UserError) as caught:
    weights.load(path, params, 'vgg16')
  for word in ('fc6', 'fc6/weights', '(64, 24)', '(16, 24)', "dense to 'skip'"):
    assert word in str(caught.value)
  loaded, summary = weights.load(
    path, params, 'vgg16', dense='match', head='match'
  )
  # fc7 fits, but its input is random.
  assert summary.fresh == ('fc6', 'fc7', 'head')
  networks.assert_loaded(loaded, expected, names.CONVS)


def test_channels_and_units(params, expected, tmp_path):
  """The first convolution has the output of the file's network."""
  path = _save(tmp_path, _hwio(expected))
  kernel = expected['conv1_1']['kernel']
  rgb = np.random.default_rng(2).standard_normal((1, 9, 9, 3), np.float32)

  def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
      jnp.asarray(x),
      jnp.asarray(kernel),
      (1, 1),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )

  loaded, _ = weights.load(
    path, params, 'vgg16', channel_order='bgr', scale=58.0
  )
  np.testing.assert_allclose(
    convolve(rgb, loaded['conv1_1']['conv']['kernel']),
    convolve(58 * rgb[..., [2, 1, 0]], kernel),
    rtol=1e-4,
    atol=1e-3,
  )
  grey = networks.zeros(networks.model(), (1, 64, 64, 1))
  loaded, _ = weights.load(path, grey, 'vgg16', grey=True)
  np.testing.assert_allclose(
    convolve(rgb[..., :1], loaded['conv1_1']['conv']['kernel']),
    convolve(np.repeat(rgb[..., :1], 3, -1), kernel),
    rtol=1e-4,
    atol=1e-4,
  )
  with pytest.raises(errors.UserError) as caught:
    weights.load(path, grey, 'vgg16')
  for word in ('conv1_1', '(3, 3, 3, 2)', '(3, 3, 1, 2)', 'pretrained.grey'):
    assert word in str(caught.value)


def _without(name):
  return lambda arrays: {k: v for k, v in arrays.items() if k != name}


def _with(name, array):
  return lambda arrays: {**arrays, name: array}


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (
      _without('conv4_2_W'),
      ('kernel of conv4_2 is missing', 'conv4_1, conv4_3', 'fc7, head'),
    ),
    (_without('conv5_3_W'), ('kernel of conv5_3 is missing',)),
    (_without('fc7_b'), ('bias of fc7 is missing',)),
    (
      _with('conv3_1_W', np.ones((3, 3, 4, 9), np.float32)),
      ('conv3_1', "'conv3_1_W'", '(3, 3, 4, 9)', '(3, 3, 4, 8)'),
    ),
    (
      _with('conv2_1_b', np.ones((1, 4), np.float32)),
      ('bias of conv2_1', '(1, 4)', '(4,)'),
    ),
    (
      _with('conv2_1_b', np.array([1, np.nan, 1, 1], np.float32)),
      ('conv2_1_b', 'NaN'),
    ),
    (_with('conv2_1_b', np.ones(4, np.int8)), ('conv2_1_b', 'int8')),
    (
      _with('conv2_1/W', np.ones((3, 3, 2, 4), np.float32)),
      ('two arrays', "'conv2_1_W'", "'conv2_1/W'"),
    ),
    (
      _with('conv3_4_W', np.ones((3, 3, 8, 8), np.float32)),
      ('conv3_4_W', 'another network'),
    ),
    (
      _with('conv3_1_W', np.ones((5, 5, 4, 8), np.float32)),
      ('[3, 3, in, out]', '(5, 5, 4, 8)'),
    ),
    (lambda arrays: {'stem/w': np.ones(3)}, ('any known name', "'stem/w'")),
  ],
)
def test_a_file_that_does_not_fit(change, words, params, expected, tmp_path):
  path = _save(tmp_path, change(_hwio(expected)))
  with pytest.raises(errors.UserError) as caught:
    weights.load(path, params, 'vgg16', head='must')
  message = str(caught.value)
  for word in (str(path), *words):
    assert word in message
  assert '\n' not in message


def test_pickled_arrays_are_rejected(params, tmp_path):
  path = _save(tmp_path, {'conv1_1_W': np.array([{'a': 1}], dtype=object)})
  with pytest.raises(errors.UserError, match='pickled is refused'):
    weights.load(path, params, 'vgg16')


@pytest.mark.parametrize('name', ['x.npz', 'x.h5', 'x.safetensors'])
def test_a_file_of_something_else(name, params, tmp_path):
  path = tmp_path / name
  path.write_bytes(b'<html>not found</html>')
  with pytest.raises(errors.UserError, match='is damaged'):
    weights.load(path, params, 'vgg16')


@pytest.mark.parametrize(
  ('name', 'word'), [('x.caffemodel', '.safetensors'), ('x.h5', 'not there')]
)
def test_a_missing_file_or_unknown_ending(name, word, params, tmp_path):
  with pytest.raises(errors.UserError, match=name) as caught:
    weights.load(tmp_path / name, params, 'vgg16')
  assert word in str(caught.value)


@pytest.mark.parametrize(
  ('package', 'name', 'install'),
  [
    ('torch', 'x.pth', 'torch'),
    ('h5py', 'x.h5', r"'hybrid-jax\[pretrained\]'"),
    ('safetensors', 'x.safetensors', r"'hybrid-jax\[pretrained\]'"),
  ],
)
def test_a_package_that_is_absent(
  package, name, install, params, tmp_path, monkeypatch
):
  (tmp_path / name).write_bytes(b'')
  monkeypatch.setitem(sys.modules, package, None)
  monkeypatch.delitem(sys.modules, f'{package}.numpy', raising=False)
  with pytest.raises(errors.UserError, match=f'pip install {install}'):
    weights.check({'path': str(tmp_path / name)}, 'vgg16')
  with pytest.raises(errors.UserError, match=f'pip install {install}'):
    weights.load(tmp_path / name, params, 'vgg16')


class _Tensor:
  """The part of a tensor's interface that the reader uses."""

  def __init__(self, array):
    self._array = array

  def detach(self):
    return self

  def is_floating_point(self):
    return True

  def float(self):
    return self

  def numpy(self):
    return self._array


@pytest.mark.parametrize(
  'wrap', [dict, lambda s: {'epoch': 3, 'state_dict': s}]
)
def test_pytorch_loads_with_weights_only(
  wrap, params, expected, tmp_path, monkeypatch
):
  """With a stand-in for PyTorch, which is large."""
  options_used = {}
  state = {
    k.replace('/weights', '.weight').replace('/biases', '.bias'): _Tensor(v)
    for k, v in _caffe(expected).items()
  }

  def load(path, **options):
    options_used.update(options)
    return wrap(state)

  stand_in = types.SimpleNamespace(load=load, Tensor=_Tensor)
  monkeypatch.setitem(sys.modules, 'torch', stand_in)
  (tmp_path / 'x.pth').write_bytes(b'PK\x03\x04')
  loaded, _ = weights.load(tmp_path / 'x.pth', params, 'vgg16', head='must')
  assert options_used['weights_only'] is True
  networks.assert_loaded(loaded, expected)


@pytest.mark.parametrize(
  'answer', [pickle.UnpicklingError('do it anyway'), [1, 2]]
)
def test_a_pickle_of_other_objects_is_rejected(
  answer, params, tmp_path, monkeypatch
):
  def load(path, **options):
    if isinstance(answer, Exception):
      raise answer
    return answer

  stand_in = types.SimpleNamespace(load=load, Tensor=_Tensor)
  monkeypatch.setitem(sys.modules, 'torch', stand_in)
  (tmp_path / 'x.pt').write_bytes(b'\x80')
  with pytest.raises(
    errors.UserError, match='no state dict of plain'
  ) as caught:
    weights.load(tmp_path / 'x.pt', params, 'vgg16')
  assert 'anyway' not in str(caught.value)


def _config(**more):
  return ml_collections.FrozenConfigDict(
    {'path': '', 'head': 'skip', 'grey': False, 'channel_order': 'rgb', **more}
  )


def test_a_config_without_a_path_changes_nothing(params):
  for config in (_config(), ml_collections.ConfigDict()):
    loaded, summary = weights.from_config(config, params, 'cnn1d')
    assert loaded == params
    assert summary is None


def test_a_config_with_a_path(params, expected, tmp_path):
  path = _save(tmp_path, {**_hwio(expected), 'step': np.ones(1)})
  config = _config(path=str(path), head='must', channel_order='bgr')
  loaded, summary = weights.from_config(config, params, 'vgg16')
  np.testing.assert_array_equal(
    loaded['conv1_1']['conv']['kernel'],
    expected['conv1_1']['kernel'][:, :, [2, 1, 0]],
  )
  assert summary.line() == (
    f'x.npz: loaded {", ".join(names.LAYERS)}; fresh: none; not used: step;'
    ' taken to expect BGR pictures of scale 1'
  )


def test_the_line_of_a_keras_file_says_what_it_may_expect():
  line = weights.Summary(pathlib.Path('x.h5'), ('conv1_1',), (), ()).line()
  assert 'taken to expect RGB pictures of scale 1. Published files' in line
  assert 'model.pretrained.channel_order=bgr' in line
  for more in ({'channel_order': 'bgr'}, {'scale': 58.0}):
    line = weights.Summary(pathlib.Path('x.h5'), (), (), (), **more).line()
    assert 'Published' not in line


@pytest.mark.parametrize(
  ('more', 'model', 'words'),
  [
    ({'heads': 'skip'}, 'vgg16', ("'heads'", "Did you mean 'head'?")),
    ({'head': 'yes'}, 'vgg16', ("'yes'", 'match, skip, must')),
    ({'dense': 'no'}, 'vgg16', ("'no'", 'match, skip, must')),
    ({'channel_order': 'gbr'}, 'vgg16', ("'gbr'", 'rgb, bgr')),
    ({'scale': 0.0}, 'vgg16', ('scale is 0.0',)),
    ({'grey': 1}, 'vgg16', ('grey is 1', 'True or False')),
    ({}, 'cnn1d', ("'cnn1d'", 'vgg16')),
  ],
)
def test_invalid_settings_are_found_before_the_file_is_read(
  more, model, words, tmp_path
):
  path = tmp_path / 'x.npz'
  path.write_bytes(b'PK\x03\x04 damaged, which is not noticed')
  weights.check(_config(path=str(path)), 'vgg16')
  with pytest.raises(errors.UserError) as caught:
    weights.check(_config(path=str(path), **more), model)
  for word in words:
    assert word in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('x.h5', b'PK\x03\x04'),
    ('x.hdf5', b''),
    ('x.npz', b'\x93NUMPY'),
    ('x.pt', b'<!DOCTYPE html>'),
    ('x.pth', b'version https://git-lfs.github.com/spec/v1'),
    ('x.safetensors', b'\x00' * 40),
    # Names that would be longer than the file.
    ('x.safetensors', b'\x80\x00\x00\x00\x00\x00\x00\x00{"a": 1}'),
  ],
)
def test_check_finds_wrong_first_bytes(name, content, tmp_path, monkeypatch):
  (tmp_path / name).write_bytes(content)
  # PyTorch need not be installed for it.
  monkeypatch.setitem(sys.modules, 'torch', types.SimpleNamespace())
  with pytest.raises(errors.UserError, match='does not match its ending') as e:
    weights.check({'path': str(tmp_path / name)}, 'vgg16')
  assert str(tmp_path / name) in str(e.value)
  assert f'{len(content)} bytes' in str(e.value)


def test_check_accepts_good_files(params, expected, tmp_path):
  import h5py
  import safetensors.numpy

  path = _save(tmp_path, _hwio(expected))
  weights.check({'path': str(path)}, 'vgg16')
  with h5py.File(tmp_path / 'x.h5', 'w') as f:
    f['a'] = 1.0
  weights.check({'path': str(tmp_path / 'x.h5')}, 'vgg16')
  arrays = {'a': np.ones(3, np.float32)}
  safetensors.numpy.save_file(arrays, tmp_path / 'x.safetensors')
  weights.check({'path': str(tmp_path / 'x.safetensors')}, 'vgg16')


def test_a_path_in_the_home_folder(params, expected, tmp_path, monkeypatch):
  _save(tmp_path, _hwio(expected))
  monkeypatch.setenv('HOME', str(tmp_path))
  loaded, _ = weights.from_config(
    _config(path='~/x.npz', head='must'), params, 'vgg16'
  )
  networks.assert_loaded(loaded, expected)
  with pytest.raises(errors.UserError, match=r'path: .*y\.npz is not there'):
    weights.check({'path': '~/y.npz'}, 'vgg16')


def test_the_option_for_normalization_is_rejected(expected, tmp_path):
  path = str(_save(tmp_path, _hwio(expected)))
  weights.check({'path': path}, 'vgg16', {'norm': False, 'width': 0.5})
  with pytest.raises(errors.UserError, match=r'model\.options\.norm is True'):
    weights.check({'path': path}, 'vgg16', {'norm': True})
  weights.check({'path': ''}, 'vgg16', {'norm': True})


def test_a_network_with_normalization_is_rejected(expected, tmp_path):
  path = _save(tmp_path, _hwio(expected))
  params = networks.zeros(networks.model(norm=True))
  with pytest.raises(errors.UserError, match=r'conv1_1 has .*norm to False'):
    weights.load(path, params, 'vgg16')


def test_tensorflow_and_torch_are_not_imported(expected, tmp_path):
  path = _save(tmp_path, _hwio(expected))
  program = (
    'import sys, pathlib\n'
    'from hybrid_jax.models.pretrained import readers, weights\n'
    'packages = ("h5py", "safetensors", "torch", "keras", "tensorflow")\n'
    'print(*(p for p in packages if p in sys.modules))\n'
    'readers.read(pathlib.Path(sys.argv[1]))\n'
    'print(*(p for p in packages if p in sys.modules))\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', program, str(path)],
    capture_output=True,
    text=True,
    timeout=60,
    check=True,
  )
  assert done.stdout == '\n\n'
