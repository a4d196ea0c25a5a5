"""Makes the manifest of a bundle, for devices and servers without JAX."""

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from hybrid_jax.deploy.export import convert_halves, split_functions, tflite
from hybrid_jax.deploy.formats import bundle

_INT16_STEPS = 2**15 - 1


@dataclasses.dataclass(frozen=True)
class Facts:
  """What the manifest says beyond the files themselves.

  Attributes:
    labels: the names of the classes, in the order of the logits.
    channels: the name and unit of each channel; empty if unknown.
    model: the name of the network.
    embedding: the name of the released embedding.
    sigma: the standard deviation of the noise; None without noise.
    relative_noise: `sigma` over the rms of the released vectors; None without.
    figures: the study's figures of this embedding: `utility` and `leakage`.
    hertz: samples a second of a signal; None if unknown.
    training_range: see `training_range.measure`; None if unknown.
  """

  labels: Sequence[str]
  channels: Sequence[str]
  model: str
  embedding: str
  sigma: float | None
  relative_noise: float | None
  figures: dict[str, Any]
  hertz: float | None = None
  training_range: dict[str, Any] | None = None


def make(
  split: split_functions.SplitFunctions,
  edge_file: bytes,
  cloud_file: bytes,
  facts: Facts,
  released: np.ndarray,
) -> dict[str, Any]:
  """Returns the manifest of both files.

  Args:
    split: the split network.
    edge_file: `edge.tflite`.
    cloud_file: `cloud.tflite`.
    facts: what else the manifest says.
    released: examples of released vectors, `[n, 1, d]`, for their range.
  """
  vector = {'released': {'shape': [1, split.dim], 'dtype': 'float32'}}
  logits = {'logits': {'shape': [1, len(facts.labels)], 'dtype': 'float32'}}
  edge = _describe_file(
    'edge.tflite', edge_file, _edge_inputs(split, edge_file, facts), vector
  )
  cloud = _describe_file('cloud.tflite', cloud_file, vector, logits)
  return {
    'format': bundle.FORMAT,
    'edge': edge | {'paired_with': cloud['sha256']},
    'cloud': cloud | {'paired_with': edge['sha256']},
    'labels': list(facts.labels),
    'model': facts.model,
    'split_point': split.split_point,
    'embedding': facts.embedding,
    'grid': split.grid,
    'sigma': facts.sigma,
    'relative_noise': facts.relative_noise,
    'wire': _wire_format(split.grid, released),
    'figures': facts.figures,
    'tested_with': {'ai_edge_litert': metadata.version('ai-edge-litert')},
  }


def _edge_inputs(split, edge_file, facts):
  units = {
    'x': ', '.join(facts.channels) or 'as in the data set',
    'noise': 'standard normal, fresh for each input; see device.py',
  }
  specs = {
    name: spec | {'units': units[name]}
    for name, spec in convert_halves.input_specs(split, edge_file).items()
  }
  specs['x'] |= {
    'channels': list(facts.channels),
    'hertz': facts.hertz,
    'range': facts.training_range,
  }
  return specs


def _wire_format(grid, released):
  """Returns how to send steps of the grid; None if int16 is too small.

  Twice the range of the examples must fit.
  """
  if grid is None or 2 * np.abs(released).max() / grid > _INT16_STEPS:
    return None
  return {'dtype': 'int16', 'grid': grid}


def _describe_file(name, data, inputs, outputs):
  return {
    'file': name,
    'bytes': len(data),
    'sha256': hashlib.sha256(data).hexdigest(),
    'least_litert_version': tflite.least_version(data),
    'operations': tflite.operations(data),
    'inputs': inputs,
    'outputs': outputs,
  }
