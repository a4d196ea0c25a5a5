"""What a bundle says of itself, for a device and a server that know no JAX."""

import hashlib
from importlib import metadata
from typing import Any

import numpy as np

from hybrid_jax.deploy.export import half_files, split_functions, tflite
from hybrid_jax.report import rows
from hybrid_jax.study import context

FORMAT = 2
_MOST_STEPS = 2**15 - 1  # of what crosses the network as int16


def make(
  study: context.Study,
  cut: split_functions.Halves,
  edge_file: bytes,
  cloud_file: bytes,
  row: rows.Row,
  released: np.ndarray,
) -> dict[str, Any]:
  """The manifest of both files.

  Args:
    study: it has the labels and channels.
    cut: the halves.
    edge_file: `edge.tflite`.
    cloud_file: `cloud.tflite`.
    row: the study's figures of what is released.
    released: examples `[n, 1, d]` of it, from which its range is known.
  """
  dim = {'released': {'shape': [1, cut.dim], 'dtype': 'float32'}}
  classes = {
    'logits': {'shape': [1, len(study.data.primary_names)], 'dtype': 'float32'}
  }
  edge = _describe(
    'edge.tflite', edge_file, _edge_inputs(study, cut, edge_file), dim
  )
  cloud = _describe('cloud.tflite', cloud_file, dim, classes)
  return {
    'format': FORMAT,
    'edge': edge | {'paired_with': cloud['sha256']},
    'cloud': cloud | {'paired_with': edge['sha256']},
    'labels': list(study.data.primary_names),
    'model': study.config.model.name,
    'split_point': row['split_point'],
    'embedding': row['embedding'],
    'grid': cut.grid,
    'sigma': row['sigma'],
    'relative_noise': row['relative_noise'],
    'wire': _wire(cut.grid, released),
    'figures': {
      'utility': row['utility'],
      'leakage': rows.public(row)['leakage'],
    },
    'tested_with': {
      'ai_edge_litert': metadata.version('ai-edge-litert'),
    },
  }


def batched(
  cloud: dict[str, Any], name: str, data: bytes, batch: int
) -> dict[str, Any]:
  """What a cloud of another batch is: `cloud`'s inputs and outputs, but that.

  Args:
    cloud: the description of the cloud of batch 1.
    name: the file's.
    data: the file.
    batch: its batch.
  """
  inputs, outputs = (
    {
      tensor: spec | {'shape': [batch, *spec['shape'][1:]]}
      for tensor, spec in cloud[key].items()
    }
    for key in ('inputs', 'outputs')
  )
  return _describe(name, data, inputs, outputs)


def _edge_inputs(study, cut, edge_file):
  units = {
    'x': ', '.join(study.data.channels) or 'as in the data set',
    'noise': 'standard normal, fresh for each input; see device.py',
  }
  return {
    name: kind | {'units': units[name]}
    for name, kind in half_files.input_kinds(cut, edge_file).items()
  }


def _wire(grid, released):
  """How steps of the grid may cross the network; `None` where they do not fit.

  Twice the range of the examples must fit.
  """
  if grid is None or 2 * np.abs(released).max() / grid > _MOST_STEPS:
    return None
  return {'dtype': 'int16', 'grid': grid}


def _describe(name, data, inputs, outputs):
  return {
    'file': name,
    'bytes': len(data),
    'sha256': hashlib.sha256(data).hexdigest(),
    'least_litert_version': tflite.least_version(data),
    'operations': tflite.operations(data),
    'inputs': inputs,
    'outputs': outputs,
  }
