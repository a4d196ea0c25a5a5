"""A sweep's points: each one's utility and leakage, and the front over all."""

from typing import Any

import jax
import ml_collections
import numpy as np

from hybrid_jax import files
from hybrid_jax.attacks import released_vectors
from hybrid_jax.audit import leakage
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.metrics import front
from hybrid_jax.models import split_model
from hybrid_jax.release import embeddings
from hybrid_jax.study import context
from hybrid_jax.study.stages import rivals
from hybrid_jax.study.sweep import grid


def measure(
  config: ml_collections.ConfigDict, study: context.Study, point: grid.Point
) -> dict[str, Any]:
  """A point's row: its place in the grid, `utility`, `leakage`, `advantage`.

  Kept among the study's results once it is there.

  Args:
    config: of the sweep.
    study: the point's training's, released.
    point: which.
  """
  path = study.result('sweep', point.embedding)
  if path.exists():
    return files.read_json(path)
  split_point = config.sweep.split_point
  released = study.read(
    'release', f'{split_point}-{point.embedding}', stage='release'
  )
  found = leakage.measure_best(
    released_vectors.read(
      study.released_path(split_point, point.embedding),
      study.config.attack.draws,
    ),
    config.sweep.adversaries,
    study.config.attack,
    study.config.seed,
  )
  row = {
    'index': point.index,
    'training': point.training.index,
    'seed': point.training.seed,
    'weight': point.training.weight,
    'margin': point.training.margin,
    'noise': point.noise,
    'sigma': released['sigma'],
    'utility': {fold: released[fold] for fold in dataset.FOLDS[1:]},
    'leakage': found,
    'advantage': {
      fold: rivals.advantage(found, fold) for fold in dataset.FOLDS[1:]
    },
  }
  files.write_json(path, row)
  return row


def whole_accuracy(study: context.Study) -> dict[str, float]:
  """The simple network's accuracy, uncut, on validation and test."""
  whole = jax.jit(lambda p, x: study.model.apply({'params': p}, x))
  out = {}
  for fold in (dataset.VALIDATION, dataset.TEST):
    rows = study.rows(fold)
    answers = split_model.in_blocks(
      whole, study.params(embeddings.SIMPLE), sources.select_rows(study.x, rows)
    )
    out[dataset.FOLDS[fold]] = float(
      (answers.argmax(-1) == study.data.primary[rows]).mean()
    )
  return out


def summarise(
  config: ml_collections.ConfigDict,
  rows: list[dict[str, Any]],
  whole: list[dict[str, float]],
) -> dict[str, Any]:
  """The front over all points, hypervolumes, and the point to take.

  Args:
    config: of the sweep.
    rows: see `measure`, one for each point.
    whole: see `whole_accuracy`, one for each seed.

  Returns:
    `rows`, each with `front`: whether, on the test fold, no other has as much
    utility and as little advantage; `means`, over the seeds, one for each
    weight, margin and noise, with the share of it `front` again; `hypervolume`,
    of all points and of each weight's; `wanted_utility`, on validation, and
    `chosen`, the index of the point of least advantage among those that reach
    it there, or `None`.
  """
  rows = [dict(row) for row in sorted(rows, key=lambda row: row['index'])]
  _mark(rows, lambda r: (r['utility']['test']['value'], r['advantage']['test']))
  corner = {'utility': config.sweep.least_utility, 'advantage': 1.0}
  simple = {fold: float(np.mean([w[fold] for w in whole])) for fold in whole[0]}
  wanted = simple['validation'] - config.recommend.utility_loss
  reach = [r for r in rows if r['utility']['validation']['value'] >= wanted]
  chosen = min(
    reach,
    key=lambda r: (
      round(r['advantage']['validation'], 3),
      -r['utility']['validation']['value'],
    ),
    default=None,
  )
  means = _means(rows)
  _mark(means, lambda m: (m['utility']['value'], m['advantage']['value']))
  return {
    'split_point': config.sweep.split_point,
    'rows': rows,
    'means': means,
    'corner': corner,
    'hypervolume': {
      'all': _hypervolume(rows, corner),
      'by_weight': {
        f'{weight:g}': _hypervolume(
          [r for r in rows if r['weight'] == weight], corner
        )
        for weight in dict.fromkeys(r['weight'] for r in rows)
      },
    },
    'simple_utility': simple,
    'wanted_utility': wanted,
    'chosen': chosen and chosen['index'],
  }


def _means(rows):
  """Over the seeds, with intervals of Student's t."""
  groups: dict[tuple, list] = {}
  for row in rows:
    place = (row['weight'], row['margin'], row['noise'])
    groups.setdefault(place, []).append(row)
  return [
    {
      'weight': weight,
      'margin': margin,
      'noise': noise,
      'utility': rivals.interval(
        [r['utility']['test']['value'] for r in group]
      ),
      'advantage': rivals.interval([r['advantage']['test'] for r in group]),
    }
    for (weight, margin, noise), group in groups.items()
  ]


def _mark(rows, values):
  utility, advantage = np.array([values(row) for row in rows]).T
  best = front.undominated(utility, advantage)
  for row, on_front in zip(rows, best, strict=True):
    row['front'] = bool(on_front)


def _hypervolume(rows, corner):
  return front.hypervolume(
    np.array([r['utility']['test']['value'] for r in rows]),
    np.array([r['advantage']['test'] for r in rows]),
    corner['utility'],
    corner['advantage'],
  )
