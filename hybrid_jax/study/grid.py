"""Points of a grid of trainings, and their summary.

A point is a training and a level of noise: what is released, how useful it is,
and how much a few adversaries learn from it.
"""

from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np
from scipy import stats

from hybrid_jax import files
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import leakage
from hybrid_jax.metrics import bayes_ceiling, front
from hybrid_jax.release import embeddings, mechanisms, noise
from hybrid_jax.report import rows
from hybrid_jax.study import context, trainings
from hybrid_jax.study.stages import release

Point = dict[str, Any]


def audit(study: context.Study, training: trainings.Training) -> list[Point]:
  """Attacks a training's releases, and returns one point for each noise.

  The points are kept in `results/grid`, and read from there if they exist.

  Args:
    study: with the finished training.
    training: of the study's grid.
  """
  config = study.config.grid
  path = study.result('grid', f'{training.label}-seed{training.seed}')
  if path.exists():
    return files.read_json(path)
  features = study.features(training, config.split_point)
  points = [_point(study, training, features, level) for level in config.noise]
  files.write_json(path, points)
  return points


def _point(study, training, features, level):
  config = study.config.grid
  made, sigma = _release(study, training, features, level)
  clean = made.transform_all(features)
  problem = adversary.Problem(
    clean=clean,
    noise_scale=np.asarray(made.noise_scale()),
    primary=study.data.primary,
    sensitive=study.data.sensitive,
    recording=study.data.recording,
    fold=study.data.fold,
    draws=study.config.attack.draws,
  )
  params = study.params(training, config.split_point)
  test = study.rows(dataset.TEST)
  return {
    'method': training.label,
    'seed': training.seed,
    'noise': level,
    'utility': {
      fold: release.utility_of(
        study,
        config.split_point,
        params,
        made,
        features,
        dataset.FOLDS.index(fold),
      )['value']
      for fold in ('validation', 'test')
    },
    'leakage': leakage.measure_best(
      problem, config.adversaries, study.config.attack, training.seed
    ),
    'bits': bayes_ceiling.gaussian_bits(
      clean[test] / sigma, study.data.primary[test]
    ),
  }


def _release(study, training, features, level):
  """Returns the release at a level of noise, and the noise's deviation.

  The noise of a defence is a multiple of the one in its training. That of the
  Siamese network is relative to the root mean square of what is released.
  """
  split_point = study.config.grid.split_point
  if training.method == embeddings.SIAMESE:
    config = ml_collections.ConfigDict(study.config.release)
    with config.ignore_type():
      config.noise = level
    made = mechanisms.fit_release(
      ('pca', 'noise'),
      features[study.rows(dataset.TRAIN)],
      config,
      split_point,
    )
    return made, float(np.asarray(made.noise_scale())[0, 0])
  bottleneck = study.defence_params(training, split_point)['bottleneck']
  dim = bottleneck.shift.shape[0]
  scale = level * np.eye(dim, dtype=np.float32)
  return mechanisms.Release((bottleneck, noise.Noise(scale=scale))), level


def advantage(point: Point, fold: str) -> float:
  """Returns the worst label's way from chance to certainty, at least 0.

  Args:
    point: see `audit`.
    fold: `'test'`, or `'validation'` to choose by.
  """
  return max(0.0, rows.worst_advantage(point['leakage'], fold))


def simple_utility(study: context.Study) -> dict[str, dict[str, float]]:
  """Returns the utility of the simple features, by fold."""
  split_point = study.config.grid.split_point
  return {
    fold: release.utility_of(
      study,
      split_point,
      study.params(embeddings.SIMPLE),
      mechanisms.Release(()),
      study.features(embeddings.SIMPLE, split_point),
      dataset.FOLDS.index(fold),
    )
    for fold in ('validation', 'test')
  }


def summarise(
  config: ml_collections.ConfigDict,
  points: Sequence[Point],
  simple: dict[str, dict[str, float]],
) -> dict[str, Any]:
  """Returns means over seeds, the front, hypervolumes, and operating points.

  Args:
    config: of the study.
    points: all points of the grid; see `audit`.
    simple: see `simple_utility`.

  Returns:
    `points`, as they are; `trainings`, the method, weight and margin of each
    label, and whether the study has an embedding of that method; `chance`, of
    the utility and of each sensitive label; `table`, the means over seeds of
    each label and noise, with `front`: whether no other row has as much utility
    and as little advantage on the test fold;
    `wanted_utility`, on validation; `matched`, the row of each method with the
    least advantage on validation whose utility there is the wanted one, or
    `None`; `operating_point`, the same of all rows; `hypervolume` of each
    method, and `corner`, the point from which it is measured.
  """
  methods = {t.label: t for t in trainings.of_grid(config)}
  released = {e.weights for e in config.release.embeddings.values()}
  table = _table(points)
  wanted = simple['validation']['value'] - config.recommend.utility_loss
  enough = [row for row in table if row['validation_utility'] >= wanted]
  corner = {'utility': config.grid.least_utility, 'advantage': 1.0}

  def of_method(items, method):
    return [item for item in items if methods[item['method']].method == method]

  return {
    'points': points,
    'trainings': {
      label: {name: getattr(t, name) for name in ('method', 'weight', 'margin')}
      | {'is_released': t.method in released}
      for label, t in methods.items()
    },
    'chance': {
      'utility': simple['test']['chance'],
      'leakage': {
        name: figures['chance']
        for name, figures in points[0]['leakage'].items()
      },
    },
    'table': table,
    'wanted_utility': wanted,
    'simple_utility': simple['test']['value'],
    'matched': {
      method: _least_advantage(of_method(enough, method))
      for method in config.grid.methods
    },
    'operating_point': _least_advantage(enough),
    'corner': corner,
    'hypervolume': {
      method: interval(
        [
          _hypervolume(
            [p for p in of_method(points, method) if p['seed'] == seed], corner
          )
          for seed in range(config.grid.seeds)
        ]
      )
      for method in config.grid.methods
    },
  }


def public(summary: dict[str, Any]) -> dict[str, Any]:
  """Returns the part of a summary that `metrics.json` has."""
  details = ('points', 'trainings', 'chance')
  return {k: v for k, v in summary.items() if k not in details}


def interval(values: Sequence[float]) -> dict[str, float]:
  """Returns the mean over seeds, and its 95 % interval by Student's t."""
  mean = float(np.mean(values))
  half = 0.0
  if len(values) > 1 and np.ptp(values) > 0:
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
  return {
    'value': mean,
    'low': mean - half,
    'high': mean + half,
    'seeds': len(values),
  }


def _table(points):
  groups: dict[tuple, list[Point]] = {}
  for point in points:
    groups.setdefault((point['method'], point['noise']), []).append(point)
  table = [_mean(*key, group) for key, group in groups.items()]
  on_front = front.undominated(
    np.array([row['utility']['value'] for row in table]),
    np.array([row['advantage']['value'] for row in table]),
  )
  for row, is_on_front in zip(table, on_front, strict=True):
    row['front'] = bool(is_on_front)
  return table


def _mean(method, level, group):
  """Returns a row of the table: the means over the seeds of a group."""
  return {
    'method': method,
    'noise': level,
    'utility': interval([p['utility']['test'] for p in group]),
    'advantage': interval([advantage(p, 'test') for p in group]),
    'bits': interval([p['bits'] for p in group]),
    'leakage': {
      name: interval([p['leakage'][name]['value'] for p in group])
      for name in group[0]['leakage']
    },
    'validation_utility': float(
      np.mean([p['utility']['validation'] for p in group])
    ),
    'validation_advantage': float(
      np.mean([advantage(p, 'validation') for p in group])
    ),
  }


def _least_advantage(table):
  """Returns the row of least advantage on validation; ties by utility."""
  if not table:
    return None
  row = min(
    table,
    key=lambda r: (
      round(r['validation_advantage'], 3),
      -r['validation_utility'],
    ),
  )
  return {name: row[name] for name in ('method', 'noise')}


def _hypervolume(points, corner):
  return front.hypervolume(
    np.array([p['utility']['test'] for p in points]),
    np.array([advantage(p, 'test') for p in points]),
    corner['utility'],
    corner['advantage'],
  )
