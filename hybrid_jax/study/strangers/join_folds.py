"""Joins the figures of all folds of people."""

import dataclasses
from typing import Any

import numpy as np

from hybrid_jax import files
from hybrid_jax.metrics import bayes_ceiling, bootstrap, verification
from hybrid_jax.study import context, problems
from hybrid_jax.study.strangers import people_folds


def summarise(study: context.Study, split_point: str) -> dict[str, Any]:
  """Joins the results of all folds of people.

  Returns:
    `split_point`; `label`, the label of people; `folds`, the names of the
    people of each; `embeddings`: the name to `utility`, `validation_utility`,
    `leakage`, `ceiling` and `verification`; and `controls`: `decision` to
    `leakage` and `ceiling` of the answer alone; empty for a study of an earlier
    version, which lacks it. Each figure has an interval over
    recordings, or over people where a set or stream is of a person. Chance is
    among the strangers of a fold.

  Raises:
    UserError: a result is missing; the message names the stage.
  """
  data = study.data
  parts = people_folds.groups(study, split_point)

  def read(name):
    return [
      group.others.read('strangers', name, stage='strangers') for group in parts
    ]

  answers = [
    group.others.result('strangers', problems.ANSWER) for group in parts
  ]
  has_answers = all(path.exists() for path in answers)
  return {
    'split_point': split_point,
    'label': data.people,
    'folds': [
      [str(data.sensitive_names[data.people][p]) for p in group.people]
      for group in parts
    ],
    'embeddings': {
      name: join(read(name))
      for name in people_folds.chosen_embeddings(study, split_point)
    },
    'controls': {'decision': _join_found(read(problems.ANSWER))}
    if has_answers
    else {},
  }


def join(results: list[dict[str, Any]]) -> dict[str, Any]:
  """Joins the results of `audit` for one embedding; see `summarise`."""
  utility = [r['utility'] for r in results]
  windows = [len(r['recording']) for r in results]
  recordings = [r['recording'] for r in results]
  return {
    'utility': _estimate(utility, recordings),
    'validation_utility': _mean([u['validation'] for u in utility], windows),
    **_join_found(results),
    'verification': {
      count: verification.summarise(
        {
          key: np.concatenate([r['verification'][count][key] for r in results])
          for key in ('auc', 'eer')
        }
      )
      for count in files.by_number(results[0]['verification'])
    },
  }


def _join_found(results):
  """Joins what attackers find: `leakage` and `ceiling`."""
  attributes = dict.fromkeys(a for r in results for a in r['attributes'])
  leakage_of, ceiling_of = {}, {}
  for attribute in attributes:
    has = [r for r in results if attribute in r['attributes']]
    figures = [r['attributes'][attribute] for r in has]
    leakage_of[attribute] = _join_leakage(
      figures, [r['recording'] for r in has]
    )
    if all('ceiling' in f for f in figures):
      ceiling_of[attribute] = _join_ceiling(
        [f['ceiling'] for f in figures], [r['recording'] for r in has]
      )
  return {'leakage': leakage_of, 'ceiling': ceiling_of}


def _join_leakage(figures, recordings):
  windows = [len(r) for r in recordings]
  window = [f['window'] for f in figures]
  recording = [f['recording'] for f in figures]
  counts = [
    k
    for k in files.by_number(figures[0]['by_windows'])
    if all(k in f['by_windows'] for f in figures)
  ]
  held = {
    key: _mean([f[key] for f in window], windows)
    for key in ('validation', 'validation_chance', 'training_fold_only')
  }
  return {
    **_estimate(window, recordings),
    **held,
    'tried': figures[0]['tried'],
    'adversary': ', '.join(dict.fromkeys(f['adversary'] for f in window)),
    'per_recording': _estimate(recording)
    | {
      'training_fold_only': _mean(
        [f['training_fold_only'] for f in recording],
        [len(f['correct']) for f in recording],
      )
    },
    'by_windows': {
      'class': {
        k: _estimate([f['by_windows'][k] for f in figures]) for k in counts
      }
    },
  }


def _join_ceiling(figures, recordings):
  """The mean bound, and McDiarmid's margin for all recordings together."""
  windows = [len(r) for r in recordings]
  value = _mean([f['value'] for f in figures], windows)
  margin = bayes_ceiling.confidence_margin(_distinct(recordings))
  curves = [f['stream']['by_windows'] for f in figures]
  curve = {
    k: {
      end: _mean([each[k][end] for each in curves], windows)
      for end in ('value', 'high')
    }
    for k in files.by_number(curves[0])
  }
  limit = figures[0]['stream']['limit']
  return {
    'value': value,
    'high': min(value + margin, 1.0),
    'bits': _mean([f['bits'] for f in figures], windows),
    'stream': {
      'by_windows': curve,
      'limit': limit,
      'budget': bayes_ceiling.budget(
        {int(k): each for k, each in curve.items()}, limit
      ),
    },
  }


def _estimate(parts, recordings=None):
  """The accuracy over all groups, with its interval and chance.

  Args:
    parts: of each group `correct`, `[n]`, and `chance`.
    recordings: of each group `[n]`; by default each entry stands alone.
  """
  correct = np.concatenate([part['correct'] for part in parts])
  group = (
    np.arange(len(correct)) if recordings is None else _distinct(recordings)
  )
  estimate = bootstrap.accuracy(correct, group)
  floor = _mean(
    [part['chance'] for part in parts], [len(part['correct']) for part in parts]
  )
  return dataclasses.asdict(estimate) | {
    'chance': floor,
    'advantage': estimate.value - floor,
  }


def _distinct(recordings):
  """Numbers `[n]` of the recordings of all groups."""
  return np.unique(
    np.concatenate(
      [
        np.stack([np.full(len(part), i), part], axis=1)
        for i, part in enumerate(recordings)
      ]
    ),
    axis=0,
    return_inverse=True,
  )[1].ravel()


def _mean(values, weights):
  return float(np.average(values, weights=weights))
