"""Writes small bundles of untrained networks, with a complete manifest."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax.deploy.export import convert_halves, manifest, split_functions


def write(
  folder: pathlib.Path,
  split: split_functions.SplitFunctions,
  labels: Sequence[str],
  **facts: Any,
) -> dict[str, Any]:
  """Writes `split` as a float32 bundle into `folder`; returns the manifest.

  Args:
    folder: where to write.
    split: the halves.
    labels: of the classes.
    **facts: more of `manifest.Facts`.
  """
  network = convert_halves.convert_network(split)
  edge_file = convert_halves.add_noise_part(split, network)
  cloud_file = convert_halves.convert_cloud(split)
  defaults = {
    'channels': (),
    'model': 'cnn1d',
    'embedding': 'test',
    'sigma': None,
    'relative_noise': None,
    'figures': {},
  }
  all_facts = manifest.Facts(labels=labels, **(defaults | facts))
  content = manifest.make(
    split, edge_file, cloud_file, all_facts, np.ones((1, 1, split.dim))
  ) | {'variant': 'float32'}
  folder.mkdir(exist_ok=True)
  (folder / 'edge.tflite').write_bytes(edge_file)
  (folder / 'cloud.tflite').write_bytes(cloud_file)
  (folder / 'manifest.json').write_text(json.dumps(content))
  return content
