"""Measures what each split point costs, on files in fresh processes."""

import dataclasses
import itertools
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.datasets import dataset
from hybrid_jax.deploy.export import (
  latency,
  operation_counts,
  split_functions,
  tflite,
  variants,
)
from hybrid_jax.release import embeddings
from hybrid_jax.report import rows
from hybrid_jax.study import context, cut_recommendation, deployment, results
from hybrid_jax.study.stages import export

# Bytes of HTTP and JSON around a vector, as `deploy.device` sends it.
ENVELOPE = 450


@dataclasses.dataclass(frozen=True)
class Link:
  """A network connection between device and cloud.

  Attributes:
    name: a name for the tables.
    mbit: upload speed in megabits per second.
    round_trip: in milliseconds.
  """

  name: str
  mbit: float
  round_trip: float

  def ms(self, sent: int) -> float:
    """Returns the milliseconds to send `sent` bytes and get the response."""
    return self.round_trip + 8e-3 * (sent + ENVELOPE) / self.mbit


LINKS = (Link('3G', 1, 100), Link('4G', 10, 50), Link('Wi-Fi', 50, 5))


def run(
  study: context.Study,
  requested: Sequence[str] = tuple(variants.VARIANTS),
  seconds: float = 0.5,
  links: Sequence[Link] = LINKS,
  weights: Mapping[str, float] = cut_recommendation.WEIGHTS,
) -> dict[str, Any]:
  """Measures every split point in every variant, and the two extremes.

  The extremes are the whole network on the device, and the raw input sent to
  the cloud.

  Args:
    study: a study whose attack stage is done.
    requested: the variants to measure.
    seconds: how long each file is called.
    links: the connections for which the time to the response is computed.
    weights: for the recommended split point; see `cut_recommendation.WEIGHTS`.

  Returns:
    `rows`, `links`, `weights`, `utility_loss`, `machine`, and `advised`: the
    `cut`, `embedding` and `variant` of the recommended row. Also written to
    `results/cost.json`. Of each row, `one` and `all` are the results of
    `latency_probe.measure` for the edge file with one thread and with all
    cores, `cloud_p50_ms` is the median time of the cloud file, and `end_to_end`
    maps each link to the milliseconds from window to response.
  """
  table = results.gather(study)
  point = results.recommend(study)
  measured = []
  # The recommendation compares with the whole network in float32, so that
  # variant is always measured there.
  tasks = [
    *itertools.product(study.split_points, requested),
    *(
      (cut_recommendation.WHOLE, variant)
      for variant in dict.fromkeys(('float32', *requested))
    ),
    (cut_recommendation.RAW, 'float32'),
  ]
  with progress.Progress('cost', len(tasks), unit='file') as bar:
    for cut, variant in tasks:
      row = _measure(study, table, point, cut, variant, seconds)
      device_ms = row['one']['p50_ms'] if row['one'] else 0.0
      row['end_to_end'] = {
        link.name: device_ms
        + (link.ms(row['sent_bytes']) if cut != cut_recommendation.WHOLE else 0)
        + (row['cloud_p50_ms'] or 0)
        for link in links
      }
      measured.append(row)
      bar.advance(1, last=f'{cut} {variant}', p50_ms=device_ms)
  costs = {
    'rows': measured,
    'links': [dataclasses.asdict(link) for link in links],
    'weights': dict(weights),
    'utility_loss': study.config.recommend.utility_loss,
    'machine': {'cores': _cores(), 'envelope_bytes': ENVELOPE},
  }
  whole_utility = max(
    row['validation_utility']
    for row in table
    if row['embedding'] == embeddings.SIMPLE
  )
  costs['advised'] = cut_recommendation.recommend(costs, whole_utility)
  files.write_json(study.result('cost'), costs)
  return costs


def _cores():
  return len(os.sched_getaffinity(0))


def _measure(study, table, point, cut, variant, seconds):
  """Measures one row; its files are written to a folder under `cost/`."""
  folder = study.workdir / 'cost' / f'{cut.replace(" ", "_")}-{variant}'
  is_extreme = cut in (cut_recommendation.WHOLE, cut_recommendation.RAW)
  if is_extreme:
    split_point, embedding = study.split_points[-1], embeddings.SIMPLE
  else:
    split_point, embedding = cut, export.embedding_at(study, cut, point)
  split = deployment.split_network(study, split_point, embedding)
  if is_extreme:
    row = _write_whole(study, split, cut, variant, folder)
  else:
    row = _write_halves(study, split, embedding, variant, folder)
  names = {'split_point': split_point, 'embedding': embedding}
  trained = rows.find(table, names)
  figures = _as_deployed(study, names, variant) or trained
  edge, cloud = (folder / f'{half}.tflite' for half in ('edge', 'cloud'))
  one_thread = all_cores = cloud_ms = None
  if edge.exists():
    one_thread = latency.run(edge, 1, seconds)
    all_cores = latency.run(edge, _cores(), seconds)
  if cloud.exists():
    cloud_ms = latency.run(cloud, _cores(), seconds)['p50_ms']
  advantage = validation_advantage = None
  if not is_extreme:
    advantage = rows.worst_advantage(figures['leakage'], 'test')
    validation_advantage = rows.worst_advantage(figures['leakage'])
  return row | {
    'sha256': files.sha256(edge) if edge.exists() else None,
    'cut': cut,
    'embedding': None if is_extreme else embedding,
    'title': '' if is_extreme else study.title(embedding),
    'variant': variant,
    'one': one_thread,
    'all': all_cores,
    'cloud_p50_ms': cloud_ms,
    'as_deployed': figures is not trained,
    'utility': figures['utility'],
    'validation_utility': figures['validation_utility'],
    'advantage': advantage,
    'validation_advantage': validation_advantage,
  }


def _as_deployed(study, names, variant):
  """Returns the row of an audited bundle of this variant; None without one."""
  wanted = names | {'variant': variant}
  return next(
    (
      row
      for row in results.read_deployed(study)
      if all(row[k] == v for k, v in wanted.items())
    ),
    None,
  )


def _write_halves(study, split, embedding, variant, folder):
  """Writes a bundle and returns its sizes."""
  manifest = deployment.write_bundle(
    study, split.split_point, embedding, variant, folder, min_agreement=0
  )
  wire = manifest['wire']
  bytes_per_number = np.dtype(wire['dtype']).itemsize if wire else 4
  counts = export.count(split)
  return {
    'edge_bytes': manifest['edge']['bytes'],
    'cloud_bytes': manifest['cloud']['bytes'],
    'agreement': manifest['parity']['agreement'],
    'edge_parameters': counts['edge_parameters'],
    'edge_multiply_adds': counts['edge_multiply_adds'],
    'sent_bytes': bytes_per_number * split.dim,
  }


def _write_whole(
  study: context.Study,
  split: split_functions.SplitFunctions,
  cut: str,
  variant: str,
  folder: pathlib.Path,
) -> dict[str, int]:
  """Writes the whole network as one file, for the device or for the cloud."""
  normalize = split.normalize()

  def whole(x):
    return split.model.apply({'params': split.params}, normalize(x))

  shape = (1, *split.example_shape)
  data = tflite.convert(
    whole,
    {'x': shape},
    'logits',
    variant,
    [(x[None],) for x in deployment.example_windows(study, dataset.TRAIN)],
  )
  on_device = cut == cut_recommendation.WHOLE
  half, other = ('edge', 'cloud') if on_device else ('cloud', 'edge')
  files.write_bytes(folder / f'{half}.tflite', data)
  (folder / f'{other}.tflite').unlink(missing_ok=True)
  if not on_device:
    return {
      'edge_bytes': 0,
      'cloud_bytes': len(data),
      'edge_parameters': 0,
      'edge_multiply_adds': 0,
      'sent_bytes': 4 * math.prod(split.example_shape),
    }
  return {
    'edge_bytes': len(data),
    'cloud_bytes': 0,
    'edge_parameters': operation_counts.parameters(split.params),
    'edge_multiply_adds': operation_counts.multiply_adds(
      whole, jax.ShapeDtypeStruct(shape, np.float32)
    ),
    'sent_bytes': 0,
  }
