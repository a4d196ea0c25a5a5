"""Runs a bundle's edge half on a device: needs NumPy and LiteRT alone.

A copy of this file lies in every bundle. It takes no other part of the project:

    edge = Edge('bundle')
    released = edge(window)  # raw sensor units; all that may leave the device
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def standard_normal(size: int) -> np.ndarray:
  """`size` standard normal numbers, float32, from the system's generator.

  The noise hides a person only if the cloud cannot draw it again, so it comes
  from `os.urandom` (53 bits a number, Box and Muller's transform), not from a
  generator with a seed.
  """
  pairs = (size + 1) // 2
  bits = np.frombuffer(os.urandom(16 * pairs), np.uint64) >> np.uint64(11)
  uniform = (bits.astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1)
  radius = np.sqrt(-2 * np.log(uniform[:pairs]))
  angle = 2 * np.pi * uniform[pairs:]
  normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
  return normal[:size].astype(np.float32)


def to_int8(array: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
  """`array` in the 8 bits of an input, by its `scale` and `zero_point`.

  Both may be lists, one number for each channel, and then normalise too.
  """
  scale, zero_point = (np.asarray(spec[key]) for key in ('scale', 'zero_point'))
  steps = array / scale + zero_point
  return np.clip(np.round(steps), -128, 127).astype(np.int8)


class Half:
  """One half of a bundle, as a function of named arrays."""

  def __init__(self, folder: str | os.PathLike, name: str):
    """Loads `folder/NAME.tflite`, where `name` is `'edge'` or `'cloud'`.

    Raises:
      ValueError: the file is not the one that the manifest describes.
    """
    from ai_edge_litert import interpreter as litert  # Only where it runs.

    folder = pathlib.Path(folder)
    self.manifest = json.loads((folder / 'manifest.json').read_text())
    self.spec = self.manifest[name]
    data = (folder / self.spec['file']).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != self.spec['sha256']:
      raise ValueError(
        f'{folder / self.spec["file"]} has sha256 {found}; the manifest says'
        f' {self.spec["sha256"]}'
      )
    interpreter = litert.Interpreter(model_content=data, num_threads=1)
    self._run = interpreter.get_signature_runner()

  def __call__(self, **inputs: np.ndarray) -> np.ndarray:
    """Runs the half once.

    Raises:
      ValueError: an input is missing, unknown, not finite, or has another
        shape than the manifest says.
    """
    expected = self.spec['inputs']
    if set(inputs) != set(expected):
      raise ValueError(f'inputs are {sorted(inputs)}, not {sorted(expected)}')
    arrays = {}
    for name, value in inputs.items():
      array = np.asarray(value, np.float32)
      shape = tuple(expected[name]['shape'])
      if array.shape != shape:
        raise ValueError(f'{name} has shape {array.shape}, not {shape}')
      if not np.isfinite(array).all():
        raise ValueError(f'{name} holds NaN or infinity')
      if expected[name].get('dtype') == 'int8':
        array = to_int8(array, expected[name])
      arrays[name] = array
    (output,) = self._run(**arrays).values()
    return output


class Edge:
  """The device's half: a window in raw sensor units to what is released."""

  def __init__(self, folder: str | os.PathLike):
    """Loads the edge half of the bundle in `folder`."""
    self._half = Half(folder, 'edge')
    self._inputs = self._half.spec['inputs']

  def __call__(self, window: np.ndarray) -> np.ndarray:
    """One window, shaped as the manifest says without its batch, to `[1, d]`.

    Each call draws fresh noise. Send an input once: what is released twice is
    blurred half as much.
    """
    inputs = {'x': np.asarray(window, np.float32)[None]}
    if 'noise' in self._inputs:
      inputs['noise'] = standard_normal(self._inputs['noise']['shape'][0])
    return self._half(**inputs)
