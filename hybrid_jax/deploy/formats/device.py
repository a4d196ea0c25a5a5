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
from collections.abc import Mapping
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
  """

  def __init__(self, folder: str | os.PathLike):
    """Loads the edge half of the bundle in `folder`."""
    self.half = Half(folder, 'edge')

  def __call__(self, window: np.ndarray) -> np.ndarray:
    """Returns what is released for one window, `[1, d]`.

    Release a window only once: the average of two releases has half the noise
    variance.

    Args:
      window: in sensor units, in the shape of the manifest without the batch.
    """
    inputs = {'x': np.asarray(window, np.float32)[None]}
    if 'noise' in self.half.inputs:
      inputs['noise'] = standard_normal(self.half.inputs['noise']['shape'][0])
    return self.half(**inputs)


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
