"""Weight files to arrays by name; nothing is unpickled, nothing is renamed."""

import contextlib
import importlib.util
import pathlib
import pickle
from collections.abc import Iterator

import numpy as np

from hybrid_jax import errors, files

ENDINGS = ('.h5', '.hdf5', '.safetensors', '.pt', '.pth', '.npz')
KERAS, TORCH, NUMPY = 'Keras', 'PyTorch', 'NumPy'

_HDF5, _ZIP = b'\x89HDF\r\n\x1a\n', b'PK\x03\x04'
_PICKLE = b'\x80'  # What PyTorch wrote before version 1.6.
_PACKAGES = {
  '.h5': 'h5py',
  '.hdf5': 'h5py',
  '.safetensors': 'safetensors',
  '.pt': 'torch',
  '.pth': 'torch',
}
_ADVICE = (
  ' Where PyTorch is, save it again: safetensors.torch.save_file(model'
  ".state_dict(), 'weights.safetensors')."
)
# How files of an ending begin; safetensors are told otherwise.
_FIRST = {
  '.h5': _HDF5,
  '.hdf5': _HDF5,
  '.npz': _ZIP,
  '.pt': (_ZIP, _PICKLE),
  '.pth': (_ZIP, _PICKLE),
}


def source(path: pathlib.Path) -> str:
  """Who writes files of this ending: `KERAS`, `TORCH` or `NUMPY`.

  Raises:
    UserError: no reader knows the ending.
  """
  ending = path.suffix.lower()
  if ending not in ENDINGS:
    raise errors.UserError(
      f'{path} has an ending that no reader knows. Known: {", ".join(ENDINGS)}.'
    )
  if ending in ('.h5', '.hdf5'):
    return KERAS
  return NUMPY if ending == '.npz' else TORCH


def check(path: pathlib.Path) -> None:
  """Refuses a file by its name and its first bytes; the weights are not read.

  Raises:
    UserError: it is not there, has an unknown ending, needs a package that is
      not installed, or does not begin as files of its ending do.
  """
  source(path)
  if not path.is_file():
    raise errors.UserError(f'model.pretrained.path: {path} is not there.')
  ending = path.suffix.lower()
  if not _installed(_PACKAGES.get(ending, 'numpy')):
    _refuse_without(_PACKAGES[ending], path)
  try:
    size = path.stat().st_size
    with open(path, 'rb') as f:
      first = f.read(9)
  except OSError as e:
    raise errors.UserError(f'{path} cannot be read: {e.strerror or e}.') from e
  if ending == '.safetensors':
    # How long the names are, in eight bytes, and then JSON of the names.
    good = first[8:] == b'{' and int.from_bytes(first[:8], 'little') < size
  else:
    good = first.startswith(_FIRST[ending])
  if not good:
    raise errors.UserError(
      f'{path} is damaged, or is not what its ending says: it has {size} bytes'
      f' and begins with {first!r}. Fetch or save it again.'
    )


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Every array of a file under the name that it has there.

  Names keep the file's separators: `block1_conv1/block1_conv1_W_1:0`,
  `features.0.weight`. An optimizer's arrays are left out.

  Raises:
    UserError: the file is not there, is damaged or pickled, has an unknown
      ending, or needs a package that is not installed.
  """
  kind = source(path)
  if not path.is_file():
    raise errors.UserError(f'{path} is not there.')
  if kind == NUMPY:
    return files.read_npz(
      path, 'Weights are read as plain arrays; what is pickled is refused.'
    )
  if kind == KERAS:
    return _read_h5(path)
  if path.suffix.lower() == '.safetensors':
    return _read_safetensors(path)
  return _read_torch(path)


def _read_h5(path):
  with _needs('h5py', path):
    import h5py  # Only here, so that a study without it needs no h5py.
  arrays = {}

  def keep(name, item):
    if isinstance(item, h5py.Dataset) and not name.startswith('optimizer'):
      arrays[name] = item[()]

  with _damage(path), h5py.File(path, 'r') as f:
    f.visititems(keep)
  return arrays


def _read_safetensors(path):
  with _needs('safetensors', path):
    import safetensors.numpy  # Only here, as above.
  with _damage(path):
    return safetensors.numpy.load_file(path)


def _read_torch(path):
  with _needs('torch', path):
    import torch  # Only here: nothing else uses it.
  with _damage(path):
    # Without `weights_only` it would run whatever the file's pickle says.
    try:
      state = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
      state = None  # PyTorch's own message tells how to run it nevertheless.
    if not isinstance(state, dict):
      raise TypeError('it is no state dict of plain tensors')
    state = state.get('state_dict', state)
    return {
      name: _to_numpy(value)
      for name, value in state.items()
      if isinstance(value, torch.Tensor)
    }


def _to_numpy(tensor):
  # NumPy has no bfloat16.
  plain = tensor.detach()
  return (plain.float() if plain.is_floating_point() else plain).numpy()


def _installed(package):
  try:
    return importlib.util.find_spec(package) is not None
  except ValueError:  # It is there, and was not found as others are.
    return True


def _refuse_without(package, path):
  raise errors.UserError(
    f'{path} is read with the package {package}, which is not installed: pip'
    f' install {package}.{_ADVICE if package == "torch" else ""}'
  )


@contextlib.contextmanager
def _needs(package: str, path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except ImportError:
    _refuse_without(package, path)


@contextlib.contextmanager
def _damage(path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except Exception as e:  # Each package raises errors of its own.
    reason = (str(e).splitlines() or [type(e).__name__])[0].rstrip('. ')
    raise errors.UserError(
      f'{path} is damaged, or is not what its ending says: {reason}. Fetch or'
      ' save it again.'
    ) from e
