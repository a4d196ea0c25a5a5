"""The recommended point as files for a device, and what each cut costs."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.deploy.export import (
  bundle,
  half_files,
  operation_counts,
  split_functions,
)
from hybrid_jax.models import split_model
from hybrid_jax.report import rows
from hybrid_jax.study import context, results


def run(study: context.Study) -> None:
  """Writes `bundle/`, and `results/export.json` with the cost of every cut."""
  table = results.gather(study)
  point = rows.recommend(table, study.config.recommend.utility_loss)
  folder = study.workdir / 'bundle'
  if study.result('export').exists() and (folder / 'manifest.json').exists():
    return
  cuts = {}
  with progress.Progress(
    'export', len(study.split_points), unit='split point'
  ) as bar:
    for split_point in study.split_points:
      embedding = embedding_at(study, split_point, point)
      cut = split_functions.make(study, split_point, embedding)
      if split_point == point['split_point']:
        manifest = bundle.write(
          study, split_point, embedding, 'float32', folder
        )
        size = manifest['edge']['bytes']
        written = {
          'cloud_bytes': manifest['cloud']['bytes'],
          'parity': manifest['parity'],
        }
      else:
        size, written = len(half_files.edge(cut, half_files.network(cut))), {}
      cuts[split_point] = (
        count(cut) | {'edge_bytes': size, 'embedding': embedding} | written
      )
      bar.advance(1, edge_bytes=size)
  files.write_json(
    study.result('export'),
    {'recommended': point['split_point'], 'split_points': cuts},
  )


def embedding_at(
  study: context.Study, split_point: str, point: Mapping[str, str]
) -> str:
  """The recommended one, or the study's last that this cut has."""
  there = [
    n for n in study.embeddings if split_point in study.split_points_of(n)
  ]
  return point['embedding'] if point['embedding'] in there else there[-1]


def count(cut: split_functions.Halves) -> dict[str, int]:
  """What both halves hold, compute and send, counted in the network."""
  edge_params, cloud_params = split_model.split_params(
    cut.model, cut.params, cut.split_point
  )
  inputs = [jnp.zeros(shape) for shape in cut.edge_inputs().values()]
  return {
    'edge_parameters': operation_counts.parameters(edge_params),
    'cloud_parameters': operation_counts.parameters(cloud_params),
    'edge_multiply_adds': operation_counts.multiply_adds(cut.edge(), *inputs),
    'cloud_multiply_adds': operation_counts.multiply_adds(
      cut.cloud(), jnp.zeros((1, cut.dim))
    ),
    'released_numbers': cut.dim,
    'released_bytes': 4 * cut.dim,
    'raw_bytes': 4 * int(np.prod(cut.example_shape)),
  }
