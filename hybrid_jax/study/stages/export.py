"""Exports the recommended row, and counts the cost of every split point."""

from collections.abc import Mapping

import jax
import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.deploy.export import (
  convert_halves,
  operation_counts,
  split_functions,
)
from hybrid_jax.models import split_model
from hybrid_jax.study import context, deployment, results


def run(study: context.Study) -> None:
  """Writes `bundle/` and `results/export.json`, the cost of each split point.

  Does nothing if both exist.
  """
  point = results.recommend(study)
  folder = study.workdir / 'bundle'
  if study.result('export').exists() and (folder / 'manifest.json').exists():
    return
  costs = {}
  with progress.Progress(
    'export', len(study.split_points), unit='split point'
  ) as bar:
    for split_point in study.split_points:
      embedding = embedding_at(study, split_point, point)
      split = deployment.split_network(study, split_point, embedding)
      if split_point == point['split_point']:
        manifest = deployment.write_bundle(
          study, split_point, embedding, 'float32', folder
        )
        edge_bytes = manifest['edge']['bytes']
        of_bundle = {
          'cloud_bytes': manifest['cloud']['bytes'],
          'parity': manifest['parity'],
        }
      else:
        network = convert_halves.convert_network(split)
        edge_bytes = len(convert_halves.add_noise_part(split, network))
        of_bundle = {}
      costs[split_point] = (
        count(split)
        | {'edge_bytes': edge_bytes, 'embedding': embedding}
        | of_bundle
      )
      bar.advance(1, edge_bytes=edge_bytes)
  files.write_json(
    study.result('export'),
    {'recommended': point['split_point'], 'split_points': costs},
  )


def embedding_at(
  study: context.Study, split_point: str, point: Mapping[str, str]
) -> str:
  """Returns the recommended embedding if it is released here, else the last."""
  names = [
    n for n in study.embeddings if split_point in study.split_points_of(n)
  ]
  return point['embedding'] if point['embedding'] in names else names[-1]


def count(split: split_functions.SplitFunctions) -> dict[str, int]:
  """Counts parameters, multiply-adds, and what is sent, for both halves."""
  edge_params, cloud_params = split_model.split_params(
    split.model, split.params, split.split_point
  )
  inputs = [_shape(shape) for shape in split.edge_inputs().values()]
  return {
    'edge_parameters': operation_counts.parameters(edge_params),
    'cloud_parameters': operation_counts.parameters(cloud_params),
    'edge_multiply_adds': operation_counts.multiply_adds(split.edge(), *inputs),
    'cloud_multiply_adds': operation_counts.multiply_adds(
      split.cloud(), _shape((1, split.dim))
    ),
    'released_numbers': split.dim,
    'released_bytes': 4 * split.dim,
    'raw_bytes': 4 * int(np.prod(split.example_shape)),
  }


def _shape(shape):
  return jax.ShapeDtypeStruct(shape, np.float32)
