"""Defences side by side: trained alike, attacked alike, over several seeds."""

from concurrent import futures

import numpy as np
from scipy import stats

from hybrid_jax import files, progress
from hybrid_jax.attacks import adversary
from hybrid_jax.audit import leakage
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import bayes_ceiling, front
from hybrid_jax.release import embeddings, mechanisms, noise
from hybrid_jax.report import rows
from hybrid_jax.study import context
from hybrid_jax.study.stages import defend, release
from hybrid_jax.training import distributed

# What is compared, over all sensitive labels: the worst.
Point = dict


def run(study: context.Study) -> None:
  """Trains every method and seed, and writes `results/rivals.json`.

  Each is released with several multiples of the noise that it was trained with,
  which gives every method its own curve of utility against leakage.
  """
  config = study.config.get('rivals')
  if not config or distributed.broadcast_bool(study.result('rivals').exists()):
    return
  if config.split_point not in study.split_points:
    progress.say(f'rivals: the study does not cut at {config.split_point}')
    return
  tasks = [(m, seed) for seed in range(config.seeds) for m in methods(study)]
  for method, seed in tasks:
    defend.defend(study, method, config.split_point, seed)
  shared = distributed.local_share(tasks)
  with (
    progress.Progress('rivals', len(shared), unit='method') as bar,
    futures.ThreadPoolExecutor(study.config.attack.workers) as pool,
  ):
    waiting = [pool.submit(_audit, study, *task) for task in shared]
    for future in futures.as_completed(waiting):
      found = future.result()
      bar.advance(1, last=f'{found[0]["method"]}, seed {found[0]["seed"]}')
  distributed.barrier('audited')
  if not distributed.is_first():
    return
  points = [p for task in tasks for p in _audit(study, *task)]
  files.write_json(study.result('rivals'), summarise(study, points))


def methods(study: context.Study) -> tuple[str, ...]:
  """The methods, each as `NAME`, or `NAME@WEIGHT` for another than its own."""
  own = {
    name: mechanisms.at_split_point(
      study.defence_settings(name).weight, study.config.rivals.split_point
    )
    for name in study.config.rivals.methods
  }
  return tuple(
    name if weight == own[name] else f'{name}@{weight:g}'
    for name, weights in study.config.rivals.methods.items()
    for weight in (weights or (own[name],))
  )


def _audit(study, method, seed):
  """A method's points, one for each multiple of the noise; kept once done."""
  config = study.config.rivals
  path = study.result('rivals', f'{method}-seed{seed}')
  if path.exists():
    return files.read_json(path)
  trained = study.defended(method, config.split_point, seed)
  features = study.features(method, config.split_point, seed)
  points = []
  for multiple in config.noise:
    dim = trained['bottleneck'].shift.shape[0]
    scale = multiple * np.eye(dim, dtype=np.float32)
    made = mechanisms.Release((trained['bottleneck'], noise.Noise(scale=scale)))
    clean = np.asarray(made.transform(features))
    problem = adversary.Problem(
      clean=clean,
      noise_scale=scale,
      primary=study.data.primary,
      sensitive=study.data.sensitive,
      recording=study.data.recording,
      fold=study.data.fold,
      draws=study.config.attack.draws,
    )
    points.append(
      {
        'method': method,
        'seed': seed,
        'noise': multiple,
        'utility': {
          name: release.utility_of(
            study, config.split_point, trained['network'], made, features, fold
          )['value']
          for fold, name in enumerate(dataset.FOLDS)
          if fold != dataset.TRAIN
        },
        'leakage': leakage.measure_best(
          problem, config.adversaries, study.config.attack, seed
        ),
        'bits': bayes_ceiling.gaussian_bits(
          clean[study.rows(dataset.TEST)] / multiple,
          study.data.primary[study.rows(dataset.TEST)],
        ),
      }
    )
  files.write_json(path, points)
  return points


def advantage(found: dict, fold: str) -> float:
  """The worst label's way from chance to certainty, at least 0.

  Args:
    found: a point's `leakage`.
    fold: `'test'`, or `'validation'` to choose by.
  """
  return max(0.0, rows.worst_advantage(found, fold))


def summarise(study: context.Study, points: list[Point]) -> dict:
  """Means over seeds, the front, hypervolumes, and the operating points."""
  config = study.config
  simple = study.read(
    'release',
    f'{config.rivals.split_point}-{embeddings.SIMPLE}',
    stage='release',
  )
  wanted = simple['validation']['value'] - config.recommend.utility_loss
  table: list[dict] = []
  for method in dict.fromkeys(p['method'] for p in points):
    for multiple in config.rivals.noise:
      mine = [
        p for p in points if (p['method'], p['noise']) == (method, multiple)
      ]
      table.append(
        {
          'method': method,
          'noise': multiple,
          'utility': interval([p['utility']['test'] for p in mine]),
          'advantage': interval(
            [advantage(p['leakage'], 'test') for p in mine]
          ),
          'bits': interval([p['bits'] for p in mine]),
          'leakage': {
            name: interval([p['leakage'][name]['value'] for p in mine])
            for name in mine[0]['leakage']
          },
          'validation_utility': float(
            np.mean([p['utility']['validation'] for p in mine])
          ),
          'validation_advantage': float(
            np.mean([advantage(p['leakage'], 'validation') for p in mine])
          ),
        }
      )
  best = front.undominated(
    np.array([row['utility']['value'] for row in table]),
    np.array([row['advantage']['value'] for row in table]),
  )
  for row, on_front in zip(table, best, strict=True):
    row['front'] = bool(on_front)
  reached = [row for row in table if row['validation_utility'] >= wanted]
  corner = {'utility': config.rivals.least_utility, 'advantage': 1.0}
  return {
    'points': points,
    'table': table,
    'wanted_utility': wanted,
    'simple_utility': simple['test']['value'],
    'matched': {
      name: _least([row for row in reached if _name(row) == name])
      for name in config.rivals.methods
    },
    'operating_point': _least(reached),
    'corner': corner,
    'hypervolume': {
      name: interval(
        [
          _hypervolume(
            [p for p in points if _name(p) == name and p['seed'] == seed],
            corner,
          )
          for seed in range(config.rivals.seeds)
        ]
      )
      for name in config.rivals.methods
    },
  }


def interval(values: list[float]) -> dict[str, float]:
  """The mean over seeds, and its 95 % interval by Student's t."""
  mean = float(np.mean(values))
  if len(values) < 2 or np.ptp(values) == 0:
    return {'value': mean, 'low': mean, 'high': mean, 'seeds': len(values)}
  half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
  return {
    'value': mean,
    'low': mean - half,
    'high': mean + half,
    'seeds': len(values),
  }


def _name(row):
  return context.defence_name(row['method'])


def _least(rows):
  """The least leakage on validation; the utility only breaks ties."""
  if not rows:
    return None
  chosen = min(
    rows,
    key=lambda r: (
      round(r['validation_advantage'], 3),
      -r['validation_utility'],
    ),
  )
  return {name: chosen[name] for name in ('method', 'noise')}


def _hypervolume(points, corner):
  return front.hypervolume(
    np.array([p['utility']['test'] for p in points]),
    np.array([advantage(p['leakage'], 'test') for p in points]),
    corner['utility'],
    corner['advantage'],
  )
