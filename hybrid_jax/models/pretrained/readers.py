"""Reads weight files as arrays by name, without unpickling anything."""

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
_PICKLE = b'\x80'  # The format of PyTorch before version 1.6.
_PACKAGES = {
  '.h5': 'h5py',
  '.hdf5': 'h5py',
  '.safetensors': 'safetensors',
  '.pt': 'torch',
  '.pth': 'torch',
}
_ADVICE = (
  ' Or convert the file where PyTorch is: safetensors.torch.save_file(model'
  ".state_dict(), 'weights.safetensors')."
)
# The first bytes of a file by its ending. Safetensors have no fixed ones.
_MAGIC = {
  '.h5': _HDF5,
  '.hdf5': _HDF5,
  '.npz': _ZIP,
  '.pt': (_ZIP, _PICKLE),
  '.pth': (_ZIP, _PICKLE),
}


def source(path: pathlib.Path) -> str:
  """Returns the program of a file's ending: `KERAS`, `TORCH` or `NUMPY`.

  Raises:
    UserError: the ending is unknown.
  """
  ending = path.suffix.lower()
  if ending not in ENDINGS:
    raise errors.UserError(
      f'{path} has an unknown ending. Known: {", ".join(ENDINGS)}.'
    )
  if ending in ('.h5', '.hdf5'):
    return KERAS
  return NUMPY if ending == '.npz' else TORCH


def check(path: pathlib.Path) -> None:
  """Checks a file by its name and its first bytes, without reading the weights.

  Raises:
    UserError: the file does not exist, has an unknown ending, needs a package
      that is not installed, or has other first bytes than its ending requires.
  """
  source(path)
  if not path.is_file():
    raise errors.UserError(f'model.pretrained.path: {path} is not there.')
  ending = path.suffix.lower()
  if not _installed(_PACKAGES.get(ending, 'numpy')):
    _raise_missing(_PACKAGES[ending], path)
  try:
    size = path.stat().st_size
    with open(path, 'rb') as f:
      first = f.read(9)
  except OSError as e:
    raise errors.UserError(f'{path} cannot be read: {e.strerror or e}.') from e
  if ending == '.safetensors':
    # Eight bytes with the length of the header, then the header in JSON.
    valid = first[8:] == b'{' and int.from_bytes(first[:8], 'little') < size
  else:
    valid = first.startswith(_MAGIC[ending])
  if not valid:
    raise errors.UserError(
      f'{path} is damaged or does not match its ending: it has {size} bytes and'
      f' begins with {first!r}. Download or save it again.'
    )


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads all arrays of a file, except those of an optimizer.

  Returns:
    The arrays by their names in the file, such as `features.0.weight` or
    `block1_conv1/block1_conv1_W_1:0`.

  Raises:
    UserError: the file does not exist, is damaged or pickled, has an unknown
      ending, or needs a package that is not installed.
  """
  kind = source(path)
  if not path.is_file():
    raise errors.UserError(f'{path} is not there.')
  if kind == NUMPY:
    return files.read_npz(
      path, 'Weights must be plain arrays; anything pickled is refused.'
    )
  if kind == KERAS:
    return _read_h5(path)
  if path.suffix.lower() == '.safetensors':
    return _read_safetensors(path)
  return _read_torch(path)


def _read_h5(path):
  with _needs('h5py', path):
    import h5py  # Optional.
  arrays = {}

  def keep(name, item):
    if isinstance(item, h5py.Dataset) and not name.startswith('optimizer'):
      arrays[name] = item[()]

  with _damage(path), h5py.File(path, 'r') as f:
    f.visititems(keep)
  return arrays


def _read_safetensors(path):
  with _needs('safetensors', path):
    import safetensors.numpy  # Optional.
  with _damage(path):
    return safetensors.numpy.load_file(path)


def _read_torch(path):
  with _needs('torch', path):
    import torch  # Optional; nothing else uses it.
  with _damage(path):
    # Without `weights_only` it would run the code in the file's pickle.
    try:
      state = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
      state = None  # PyTorch's message would advise to run the code.
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
  detached = tensor.detach()
  if detached.is_floating_point():
    detached = detached.float()
  return detached.numpy()


def _installed(package):
  try:
    return importlib.util.find_spec(package) is not None
  except ValueError:  # The package is imported, and has no spec.
    return True


def _raise_missing(package, path):
  # PyTorch is no extra: a study needs nothing else of it.
  wanted = 'torch' if package == 'torch' else "'hybrid-jax[pretrained]'"
  raise errors.UserError(
    f'{path} is read with the package {package}, which is not installed: pip'
    f' install {wanted}.{_ADVICE if package == "torch" else ""}'
  )


@contextlib.contextmanager
def _needs(package: str, path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except ImportError:
    _raise_missing(package, path)


@contextlib.contextmanager
def _damage(path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except Exception as e:  # Each package raises its own types.
    reason = (str(e).splitlines() or [type(e).__name__])[0].rstrip('. ')
    raise errors.UserError(
      f'{path} is damaged or does not match its ending: {reason}. Download or'
      ' save it again.'
    ) from e
