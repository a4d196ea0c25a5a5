"""How much of the device's input can be rebuilt from what it releases."""

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary, inputs_problem
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.metrics import similarity

OPTIONS = {
  'attacks': plugins.Option(
    ('decoder', 'inversion'),
    'Reconstructions that attack.',
    plugin='reconstruction',
    filled=True,
  ),
  'pictures': plugins.Option(
    6, 'Test inputs that the report shows beside what became of them.', low=1
  ),
}

CLASS_MEAN = 'class mean'


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict | None:
  """Every asked reconstruction, beside the mean of the input's class.

  Args:
    problem: what is attacked.
    config: `measures.reconstruction`: `attacks`, their names; `pictures`, how
      many originals are kept beside what became of them; each attack's own
      settings under its name.
    seed: of all attacks.

  Inputs that are not in memory are read in part, see `sources.subsample_rows`.

  Returns:
    `examples`, how many inputs were used, of all folds; `attacks`, name to the
    figures of `metrics.reconstruction.measure`, the baseline among them; and
    `pictures`, `original` and each attack's, of the same test items. `None`
    where the inputs are not known.
  """
  if problem.x is None or problem.edge is None:
    return None
  settings = config.measures.reconstruction
  rows = sources.subsample_rows(problem.x, problem.fold, problem.recording)
  given = inputs_problem.Problem(
    x=sources.read_rows(problem.x, rows),
    clean=problem.clean[rows],
    noise_scale=problem.noise_scale,
    fold=problem.fold[rows],
    primary=problem.primary[rows],
    edge=problem.edge,
  )
  test = given.rows(dataset.TEST)
  original, recording = given.x[test], problem.recording[rows][test]
  every = np.arange(len(original))
  rebuilt = {
    CLASS_MEAN: (
      every,
      similarity.class_mean(given.x, given.primary, given.fold),
    )
  }
  for name in settings.attacks:
    rebuilt[name] = plugins.load('reconstruction', name).reconstruct(
      given, settings, seed
    )
  shown = rebuilt[min(rebuilt, key=lambda name: len(rebuilt[name][0]))][0]
  shown = shown[:: max(1, len(shown) // settings.pictures)][: settings.pictures]
  return {
    'examples': len(rows),
    'attacks': {
      name: similarity.measure(original[items], found, recording[items])
      for name, (items, found) in rebuilt.items()
    },
    'pictures': {'original': _listed(original[shown])}
    | {
      name: _listed(found[np.searchsorted(items, shown)])
      for name, (items, found) in rebuilt.items()
    },
  }


def _listed(x):
  return np.round(x.astype(np.float64), 3).tolist()
