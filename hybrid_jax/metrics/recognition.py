"""Recognition of rebuilt inputs by a matcher that learned from other people.

An input can be rebuilt poorly and still show who it is of. The matcher is
independent of the attack: principal components of the inputs, and the
two-covariance model of `verification`, which on faces is probabilistic linear
discriminant analysis (Prince and Elder, ICCV 2007).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hybrid_jax.metrics import verification

FEWEST = 16  # people; half of them are matched, by a model of the other half
_COMPONENTS = 64
_MOST = 50  # inputs of a person in the gallery and among the probes


def measure(
  gallery: np.ndarray,
  person: np.ndarray,
  probes: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, dict[str, Any]]:
  """Compares probes with the gallery: are they of one person?

  The people are halved. A matcher learns from the gallery of one half, and
  compares the probes of the other half with their gallery; then the halves
  change places.

  Args:
    gallery: `[n, ...]`, original inputs.
    person: `[n]`, their classes.
    probes: name to probes `[m, ...]`, such as rebuilt inputs, and their classes
      `[m]`. Probes of classes that are not in the gallery are left out. Of each
      class at most 50 inputs of the gallery and 50 probes are compared.

  Returns:
    Name to `auc`, the area under the ROC curve, and `eer`, the equal error
    rate: means over people with 95 % intervals, see `verification.summarise`.
    Chance is 0.5 for both. People without probes are left out, and so is a half
    with fewer than two others. Nothing for fewer than `FEWEST` people, or where
    no person has two inputs in the gallery.
  """
  import sklearn.decomposition  # Imported here: it is slow.

  people = np.unique(person)
  if len(people) < FEWEST or len(person) == len(people):
    return {}
  gallery, person = _at_most(gallery, person)
  some = {name: _at_most(*each) for name, each in probes.items()}
  by_person: dict[str, list[dict[str, np.ndarray]]] = {n: [] for n in some}
  for first in range(2):
    matched = np.isin(person, people[first::2])
    pca = sklearn.decomposition.PCA(
      min(_COMPONENTS, (~matched).sum() - 1, gallery.shape[1]),
      svd_solver='randomized',
      random_state=0,
    ).fit(gallery[~matched])
    score = verification.GaussianScorer(
      pca.transform(gallery[~matched]), person[~matched]
    )
    for name, (probe, label) in some.items():
      both = np.intersect1d(people[first::2], label)
      if len(both) < 2:
        continue
      own, rows = np.isin(person, both), np.isin(label, both)
      scores = score(
        pca.transform(gallery[own])[None], pca.transform(probe[rows])[None]
      )
      by_person[name].append(
        verification.by_person(scores, person[own], label[rows])
      )
  return {
    name: verification.summarise(
      {key: np.concatenate([half[key] for half in halves]) for key in halves[0]}
    )
    for name, halves in by_person.items()
    if halves
  }


def _at_most(x, label):
  """At most `_MOST` rows of each class, evenly spaced; flat and float32."""
  rows = [np.flatnonzero(label == each) for each in np.unique(label)]
  kept = [r[:: -(-len(r) // _MOST)] for r in rows]
  chosen = np.sort(np.concatenate(kept)) if kept else np.zeros(0, int)
  flat = np.asarray(x[chosen], np.float32)
  return flat.reshape(len(chosen), int(np.prod(x.shape[1:]))), label[chosen]
