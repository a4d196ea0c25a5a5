"""What each cut costs, measured on its files, each in a process of its own."""

import dataclasses
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.datasets import dataset
from hybrid_jax.deploy.export import (
  bundle,
  latency,
  operation_counts,
  split_functions,
  tflite,
  variants,
)
from hybrid_jax.release import embeddings
from hybrid_jax.report import rows
from hybrid_jax.study import context, cut_recommendation, results
from hybrid_jax.study.stages import export

# Bytes of HTTP and JSON around what is sent, as `edge_client` sends it.
ENVELOPE = 450


@dataclasses.dataclass(frozen=True)
class Link:
  """A connection to the cloud.

  Attributes:
    name: what people call it.
    mbit: of upload, megabits a second.
    round_trip: milliseconds.
  """

  name: str
  mbit: float
  round_trip: float

  def ms(self, sent: int) -> float:
    """Milliseconds for `sent` bytes to leave and an answer to be back."""
    return self.round_trip + 8e-3 * (sent + ENVELOPE) / self.mbit


LINKS = (Link('3G', 1, 100), Link('4G', 10, 50), Link('Wi-Fi', 50, 5))


def run(
  study: context.Study,
  asked: Sequence[str] = tuple(variants.VARIANTS),
  seconds: float = 0.5,
  links: Sequence[Link] = LINKS,
  weights: Mapping[str, float] = cut_recommendation.WEIGHTS,
  profile: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Measures every cut in every variant, and the two ends.

  Args:
    study: finished up to its attacks.
    asked: variants of both files.
    seconds: for how long each file is called.
    links: for the time from the window to the answer.
    weights: see `advice.WEIGHTS`; for the cut that is advised.
    profile: see `timing.read_profile`; its times stand in place of those of
      this machine.

  Returns:
    `rows`, `links`, `weights`, `machine`, and `advised`, a row's `cut` and
    `variant`; also written to `results/cost.json`. A row's times are
    milliseconds: `one` and `all` are `probe.measure`'s for one thread and for
    all, `cloud_p50_ms` the cloud's file, `end_to_end` link to milliseconds.
  """
  table = results.gather(study)
  point = rows.recommend(table, study.config.recommend.utility_loss)
  found = []
  # What all else is weighed against is float32, whatever is asked for.
  tasks = [
    *itertools.product(study.split_points, asked),
    *(
      (cut_recommendation.WHOLE, variant)
      for variant in dict.fromkeys(('float32', *asked))
    ),
    (cut_recommendation.RAW, 'float32'),
  ]
  with progress.Progress('cost', len(tasks), unit='file') as bar:
    for cut, variant in tasks:
      row = _measure(study, table, point, cut, variant, seconds)
      times = profile and profile['files'].get(row['sha256'])
      if times and row['one']:
        row['one'] |= times
      end = row['one']['p50_ms'] if row['one'] else 0.0
      row['end_to_end'] = {
        link.name: end
        + (link.ms(row['sent_bytes']) if cut != cut_recommendation.WHOLE else 0)
        + (row['cloud_p50_ms'] or 0)
        for link in links
      }
      found.append(row)
      bar.advance(1, last=f'{cut} {variant}', p50_ms=end)
  out = {
    'rows': found,
    'links': [dataclasses.asdict(link) for link in links],
    'weights': dict(weights),
    'device': profile['device'] if profile else None,
    'utility_loss': study.config.recommend.utility_loss,
    'machine': {'cores': _cores(), 'envelope_bytes': ENVELOPE},
  }
  whole = max(
    row['validation_utility']
    for row in table
    if row['embedding'] == embeddings.SIMPLE
  )
  out['advised'] = cut_recommendation.advise(out, whole)
  files.write_json(study.result('cost'), out)
  return out


def _cores():
  return len(os.sched_getaffinity(0))


def _measure(study, table, point, cut, variant, seconds):
  """One row; its files lie under `cost/`."""
  folder = study.workdir / 'cost' / f'{cut.replace(" ", "_")}-{variant}'
  ends = cut in (cut_recommendation.WHOLE, cut_recommendation.RAW)
  embedding = (
    embeddings.SIMPLE if ends else export.embedding_at(study, cut, point)
  )
  last = study.split_points[-1]
  made = split_functions.make(study, last if ends else cut, embedding)
  if ends:
    row = _end(study, made, cut, variant, folder)
  else:
    row = _cut(study, made, cut, embedding, variant, folder)
  names = {'split_point': last if ends else cut, 'embedding': embedding}
  trained = rows.find(table, names)
  figures = _as_deployed(study, names, variant) or trained
  edge, cloud = (folder / f'{half}.tflite' for half in ('edge', 'cloud'))
  one, many = (
    (latency.run(edge, 1, seconds), latency.run(edge, _cores(), seconds))
    if edge.exists()
    else (None, None)
  )
  return row | {
    'sha256': files.sha256(edge) if edge.exists() else None,
    'cut': cut,
    'embedding': None if ends else embedding,
    'variant': variant,
    'one': one,
    'all': many,
    'cloud_p50_ms': latency.run(cloud, _cores(), seconds)['p50_ms']
    if cloud.exists()
    else None,
    'as_deployed': figures is not trained,
    'utility': figures['utility'],
    'validation_utility': figures['validation_utility'],
    'advantage': None
    if ends
    else rows.worst_advantage(figures['leakage'], 'test'),
    'validation_advantage': None
    if ends
    else rows.worst_advantage(figures['leakage']),
  }


def _as_deployed(study, names, variant):
  """The row of a bundle of this variant, where one was audited."""
  wanted = names | {'variant': variant}
  return next(
    (
      row
      for row in results.read_deployed(study)
      if all(row[k] == v for k, v in wanted.items())
    ),
    None,
  )


def _cut(study, made, cut, embedding, variant, folder):
  manifest = bundle.write(study, cut, embedding, variant, folder)
  wire = manifest.get('wire')
  width = np.dtype(wire['dtype']).itemsize if wire else 4
  counted = export.count(made)
  return {
    'edge_bytes': manifest['edge']['bytes'],
    'cloud_bytes': manifest['cloud']['bytes'],
    'edge_parameters': counted['edge_parameters'],
    'edge_multiply_adds': counted['edge_multiply_adds'],
    'sent_bytes': width * made.dim,
  }


def _end(study, made, cut, variant, folder):
  """The whole network as one file, on the device or in the cloud."""
  normalized = made.normalized()

  def whole(x):
    return made.model.apply({'params': made.params}, normalized(x))

  shape = (1, *made.example_shape)
  data = tflite.convert(
    whole,
    {'x': shape},
    'logits',
    variant,
    [(x[None],) for x in bundle.some(study, dataset.TRAIN)],
  )
  here, there = (
    ('edge', 'cloud') if cut == cut_recommendation.WHOLE else ('cloud', 'edge')
  )
  files.write_bytes(folder / f'{here}.tflite', data)
  (folder / f'{there}.tflite').unlink(missing_ok=True)
  if cut == cut_recommendation.RAW:
    return {
      'edge_bytes': 0,
      'cloud_bytes': len(data),
      'edge_parameters': 0,
      'edge_multiply_adds': 0,
      'sent_bytes': 4 * math.prod(made.example_shape),
    }
  return {
    'edge_bytes': len(data),
    'cloud_bytes': 0,
    'edge_parameters': operation_counts.parameters(made.params),
    'edge_multiply_adds': operation_counts.multiply_adds(
      whole, jnp.zeros(shape)
    ),
    'sent_bytes': 0,
  }
