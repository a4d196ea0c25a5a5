"""How well attackers rebuild the device's inputs from released vectors."""

import dataclasses

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.metrics import recognition, similarity

OPTIONS = {
  'attacks': plugins.Option(
    ('decoder', 'inversion'),
    'Names of the reconstructions.',
    plugin='reconstruction',
    filled=True,
  ),
  'pictures': plugins.Option(
    6, 'Test inputs shown in the report beside their reconstructions.', low=1
  ),
}

CLASS_MEAN = 'class mean'
ORIGINAL = 'original'


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict | None:
  """Runs every configured reconstruction, and the class mean as a baseline.

  Args:
    problem: the attack problem.
    config: `measures.reconstruction`: `attacks`, the names of reconstructions;
      `pictures`, the number of originals that are kept beside their
      reconstructions; the settings of each reconstruction under its name.
    seed: for all reconstructions.

  Returns:
    `examples`, the number of inputs of all folds that were used; `attacks`,
    name to the figures of `similarity.measure`, the baseline among them;
    `recognition`, sensitive label to the figures of `recognition.measure`, of
    each attack and of the original inputs, for labels of enough classes; and
    `pictures`, `original` and one entry for each attack, of the same test
    items. `None` where the inputs or the edge are not known.
  """
  if problem.x is None or problem.edge is None:
    return None
  settings = config.measures.reconstruction
  problem = load_inputs(problem)
  test = problem.rows(dataset.TEST)
  original, recording = problem.inputs[test], problem.recording[test]
  class_mean = similarity.class_mean(
    problem.inputs, problem.primary, problem.fold
  )
  results = {CLASS_MEAN: (np.arange(len(original)), class_mean)}
  for name in settings.attacks:
    module = plugins.load('reconstruction', name)
    options = plugins.settings('reconstruction', name, settings)
    results[plugins.key(name)] = module.reconstruct(problem, options, seed)
  # The pictures show items that every attack has rebuilt.
  shown = min((items for items, _ in results.values()), key=len)
  shown = shown[:: max(1, len(shown) // settings.pictures)][: settings.pictures]
  return {
    'examples': len(problem.inputs),
    'attacks': {
      name: similarity.measure(original[items], rebuilt, recording[items])
      for name, (items, rebuilt) in results.items()
    },
    'recognition': _recognise(
      problem, {ORIGINAL: (np.arange(len(original)), original)} | results
    ),
    'pictures': {ORIGINAL: _to_list(original[shown])}
    | {
      name: _to_list(rebuilt[np.searchsorted(items, shown)])
      for name, (items, rebuilt) in results.items()
    },
  }


def _recognise(problem, results):
  """Whose input a rebuilt one shows; classes in place of people."""
  train, test = (problem.rows(f) for f in (dataset.TRAIN, dataset.TEST))
  out = {}
  for attribute, labels in problem.sensitive.items():
    figures = recognition.measure(
      problem.inputs[train],
      labels[train],
      {
        name: (rebuilt, labels[test][items])
        for name, (items, rebuilt) in results.items()
      },
    )
    if figures:
      out[attribute] = figures
  return out


def load_inputs(problem: adversary.Problem) -> adversary.Problem:
  """Returns the problem with its inputs in memory.

  Inputs that are not in memory are read in part, see `sources.subsample_rows`.
  The problem then has only the examples that were read.

  Raises:
    UserError: an input is not finite, or a fold has no examples.
  """
  x = problem.x
  if x is None:
    raise ValueError('the inputs of this problem are unknown.')
  rows = sources.subsample_rows(x, problem.fold, problem.recording)
  problem = dataclasses.replace(
    problem,
    x=sources.read_rows(x, rows),
    clean=problem.clean[rows],
    primary=problem.primary[rows],
    sensitive={name: y[rows] for name, y in problem.sensitive.items()},
    recording=problem.recording[rows],
    fold=problem.fold[rows],
    # These hold the uncensored vectors and device releases of all examples.
    uncensored=None,
    device_releases={},
  )
  if not np.isfinite(problem.inputs).all():
    raise errors.UserError('the inputs hold NaN or infinity.')
  for fold, name in enumerate(dataset.FOLDS):
    if not problem.rows(fold).any():
      raise errors.UserError(f'the {name} fold is empty.')
  return problem


def _to_list(x):
  return np.round(x.astype(np.float64), 3).tolist()
