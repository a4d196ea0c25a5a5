"""Runs the halves of a bundle. Needs only NumPy and ai-edge-litert.

Every bundle contains a copy of this file, for devices without hybrid_jax:

    edge = Edge('bundle')
    released = edge(window)  # Sensor units; only `released` may leave.
"""

import hashlib
import json
import os
import pathlib
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def standard_normal(size: int) -> np.ndarray:
  """Returns `size` standard normal numbers, float32.

  They come from the operating system's generator (53 random bits each), never
  from a generator with a seed: the noise protects a person only if the cloud
  cannot compute it again.
  """
  generator = random.SystemRandom()
  return np.array([generator.gauss(0, 1) for _ in range(size)], np.float32)


def to_int8(array: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
  """Quantises `array` to `round(array / scale + zero_point)`.

  Args:
    array: floats.
    spec: an input's `scale` and `zero_point`: two numbers, or two lists with a
      number for each channel.

  Returns:
    int8, clipped to -128 to 127.
  """
  scale, zero_point = (np.asarray(spec[key]) for key in ('scale', 'zero_point'))
  steps = array / scale + zero_point
  return np.clip(np.round(steps), -128, 127).astype(np.int8)


class OutOfRange(ValueError):
  """A window is far outside of the training data; nothing is released."""


def order_columns(header: Sequence[str], channels: Sequence[str]) -> list[int]:
  """Returns the column of each channel.

  Names are compared without case, and units where both sides have one. Columns
  of other names are passed over.

  Args:
    header: names of columns, with units in brackets: `acc x (g)`.
    channels: those of the manifest, in its order.

  Raises:
    ValueError: a channel is missing or occurs twice, or has another unit.
  """
  columns = [_name_and_unit(name) for name in header]
  order = []
  for channel in channels:
    name, unit = _name_and_unit(channel)
    exact = [i for i, column in enumerate(columns) if column == (name, unit)]
    places = exact or [i for i, c in enumerate(columns) if c[0] == name]
    if not places:
      raise ValueError(
        f'the header has no {channel!r}: it has {", ".join(header)}; the bundle'
        f' takes {", ".join(channels)}'
      )
    if len(places) > 1:
      raise ValueError(f'the header has {header[places[0]]!r} twice')
    other = columns[places[0]][1]
    if unit and other and unit != other:
      raise ValueError(
        f'column {places[0] + 1} is {header[places[0]]!r}; the bundle takes'
        f' {channel!r}, in another unit'
      )
    order += places
  return order


def _name_and_unit(text: str) -> tuple[str, str]:
  """Returns the parts of `acc x (m/s²)`, in one spelling: `accx`, `m/s2`."""
  match = re.fullmatch(r'(.*?)(?:[(\[]([^()\[\]]*)[)\]])?', text.strip())
  name, unit = match.groups() if match else (text, '')
  unit = re.sub(r'[\s^*·⋅]', '', unit or '').replace('²', '2')
  for word, symbol in _UNITS.items():
    unit = unit.replace(word, symbol)
  return re.sub(r'[\s_.-]', '', name).casefold(), unit


_UNITS = {
  '°': 'deg',
  'degrees': 'deg',
  'degree': 'deg',
  'dps': 'deg/s',
  'sec': 's',
  's-2': '/s2',
  '//': '/',
}


class Model:
  """A TFLite file as a function of named float32 arrays.

  Use it from one thread at a time.

  Attributes:
    inputs: name to `shape` and `dtype` of each input, and for int8 also its
      `scale` and `zero_point`.
    outputs: the same for the output.
  """

  def __init__(
    self,
    data: bytes,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    batch: int = 1,
  ):
    """Loads the file.

    Args:
      data: a TFLite file with one signature, one output and a batch of 1.
      inputs: replaces the description of the inputs in the file.
      batch: resizes the first axis of every input to this.

    Raises:
      ValueError, RuntimeError: LiteRT cannot run the file with this batch.
    """
    # Imported here: the functions above work without LiteRT.
    from ai_edge_litert import interpreter as litert

    self._interpreter = litert.Interpreter(model_content=data, num_threads=1)
    if batch > 1:
      for detail in self._interpreter.get_input_details():
        shape = [batch, *map(int, detail['shape'][1:])]
        self._interpreter.resize_tensor_input(detail['index'], shape)
    self._interpreter.allocate_tensors()
    # LiteRT refuses to run while such an object exists, so it is not kept.
    signature = self._interpreter.get_signature_runner()
    details = signature.get_input_details()
    self._indices = {name: d['index'] for name, d in details.items()}
    self.inputs = inputs or _specs(details)
    details = signature.get_output_details()
    (self._output,) = (d['index'] for d in details.values())
    self.outputs = _specs(details)

  def __call__(self, **inputs: np.ndarray) -> np.ndarray:
    """Runs the file once.

    Raises:
      ValueError: an input is missing or unknown, is not finite, or has the
        wrong shape.
    """
    if set(inputs) != set(self.inputs):
      raise ValueError(
        f'inputs are {sorted(inputs)}, not {sorted(self.inputs)}'
      )
    for name, value in inputs.items():
      spec, array = self.inputs[name], np.asarray(value, np.float32)
      if array.shape != tuple(spec['shape']):
        raise ValueError(
          f'{name} has shape {array.shape}, not {tuple(spec["shape"])}'
        )
      if not np.isfinite(array).all():
        raise ValueError(f'{name} holds NaN or infinity')
      if spec['dtype'] == 'int8':
        array = to_int8(array, spec)
      self._interpreter.set_tensor(self._indices[name], array)
    self._interpreter.invoke()
    return self._interpreter.get_tensor(self._output)


class Half(Model):
  """The edge half or the cloud half of a bundle.

  Attributes:
    manifest: the content of `manifest.json`.
  """

  def __init__(self, folder: str | os.PathLike, name: str):
    """Loads the half `name`, `'edge'` or `'cloud'`, from the bundle `folder`.

    Raises:
      ValueError: the file is not the one in the manifest.
    """
    folder = pathlib.Path(folder)
    self.manifest = json.loads((folder / 'manifest.json').read_text('utf-8'))
    spec = self.manifest[name]
    path = folder / spec['file']
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != spec['sha256']:
      raise ValueError(
        f'{path} has sha256 {sha256}; the manifest says {spec["sha256"]}'
      )
    super().__init__(data, spec['inputs'])


class Edge:
  """The edge half with fresh noise in each call.

  Attributes:
    half: the edge half without the noise.
    channels: the names of the channels, with units; empty if they are unknown.
  """

  def __init__(self, folder: str | os.PathLike):
    """Loads the edge half of the bundle in `folder`."""
    self.half = Half(folder, 'edge')
    self.channels = channels_of(self.half.manifest)
    self._range = self.half.manifest['edge']['inputs']['x'].get('range')

  def __call__(
    self,
    window: np.ndarray,
    columns: Sequence[str] | None = None,
    allow_out_of_range: bool = False,
  ) -> np.ndarray:
    """Returns what is released for one window, `[1, d]`.

    Release a window only once: the average of two releases has half the noise
    variance.

    Args:
      window: in sensor units, in the shape of the manifest without the batch.
      columns: the names of its channels, if they may be in another order.
      allow_out_of_range: whether to release a window far outside of the
        training data.

    Raises:
      OutOfRange: the window is far outside of the training data.
      ValueError: the window, or a column, does not fit.
    """
    array = np.asarray(window, np.float32)
    if columns is not None and self.channels:
      array = array[..., order_columns(columns, self.channels)]
    reason = None if allow_out_of_range else self.outside(array)
    if reason:
      raise OutOfRange(reason)
    inputs = {'x': array[None]}
    if 'noise' in self.half.inputs:
      inputs['noise'] = standard_normal(self.half.inputs['noise']['shape'][0])
    return self.half(**inputs)

  def outside(self, window: np.ndarray) -> str | None:
    """Returns why a window is far outside of the training data.

    Returns:
      A sentence; None if it is not, or if the manifest has no range.
    """
    if self._range is None:
      return None
    mean, std, limit = (
      np.asarray(self._range[key], np.float32)
      for key in ('mean', 'std', 'limit')
    )
    array = np.asarray(window, np.float32)
    if array.shape[-1:] != mean.shape:
      return None  # The half names the right shape.
    distance = (np.abs(array - mean) / std).reshape(-1, len(mean)).max(axis=0)
    with np.errstate(divide='ignore', invalid='ignore'):
      excess = np.where(distance > limit, distance / limit, 0)
    if not excess.any():
      return None
    k = int(np.argmax(excess))
    name = self.channels[k] if self.channels else f'channel {k}'
    return (
      f'{name!r} is up to {distance[k]:.3g} deviations from the mean of the'
      f' training data; {limit[k]:.3g} is the limit. The noise was made for the'
      ' range of the training data, and would hide less. Are the units right?'
    )


def channels_of(manifest: Mapping[str, Any]) -> list[str]:
  """Returns the names of the channels, with units; empty if unknown."""
  spec = manifest['edge']['inputs']['x']
  if 'channels' in spec:
    return list(spec['channels'])
  names = str(spec.get('units', '')).split(', ')  # As format 2 has them.
  return names if len(names) == spec['shape'][-1] > 1 else []


def _specs(details):
  specs = {}
  for name, detail in details.items():
    specs[name] = {
      'shape': detail['shape'].tolist(),
      'dtype': np.dtype(detail['dtype']).name,
    }
    if detail['dtype'] is np.int8:
      scale, zero_point = detail['quantization']
      specs[name] |= {'scale': float(scale), 'zero_point': int(zero_point)}
  return specs
