"""Mixture over labelled recordings, whose windows are taken as independent.

The likelihood of windows under person c is the sum, over the labelled
recordings of c, of the product over the windows of a kernel density of that
recording. An attacker that multiplies a person's densities takes windows to be
independent given the person, which they are not. For one window it is the
kernel density of the person with equal shares of its recordings.
"""

from collections.abc import Iterator

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary, kde
from hybrid_jax.datasets import dataset

OPTIONS = {
  'bandwidths': plugins.Option(
    (0.6, 1.0, 2.0),
    'Kernel widths to try; 1 is the median distance to the nearest vector.',
    above=0,
    filled=True,
  ),
  'powers': plugins.Option(
    (0.25, 0.5, 1.0),
    'Powers of the likelihoods to try: windows of a recording are alike, and'
    ' 1 would take them as independent.',
    above=0,
    high=1,
    filled=True,
  ),
  'most': plugins.Option(
    512,
    'Largest number of labelled recordings; with more it does not attack.',
    low=1,
  ),
}


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each view, bandwidth, power and label.

  Yields none if there are too many recordings, or fewer than two windows in
  most of them: then it is the kernel density of the class.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`.
    seed: not used, since nothing is random.
  """
  del seed
  attributes = list(problem.sensitive)
  # A recording in which a label varies has a component for each class.
  components, index = kde.components(
    problem, [problem.recording, *problem.sensitive.values()]
  )
  learnt = np.unique(index)
  if len(learnt) > config.most or 2 * len(learnt) > len(index):
    return
  sizes = np.bincount(index)[learnt]
  for name, viewed, bandwidths, is_absolute in kde.views(
    problem, config.bandwidths
  ):
    names = {
      (b, power): f'recordings {b:g}, power {power:g}, {name}'
      for b in bandwidths
      for power in config.powers
    }
    if not any(problem.wants(n, a) for n in names.values() for a in attributes):
      continue
    gallery = viewed(dataset.TRAIN)
    sharpness = kde.kernel_sharpness(gallery, bandwidths, is_absolute)
    validation, test = (
      kde.log_densities(
        viewed(fold),
        gallery,
        index,
        sharpness,
        len(components),
        capacity=problem.train_capacity,
      )[..., learnt]
      - np.log(sizes, dtype=np.float32)
      for fold in (dataset.VALIDATION, dataset.TEST)
    )
    for j, bandwidth in enumerate(bandwidths):
      for power in config.powers:
        for i, attribute in enumerate(attributes):
          if problem.wants(names[bandwidth, power], attribute):
            yield adversary.Attack(
              names[bandwidth, power],
              attribute,
              np.float32(power) * validation[j],
              np.float32(power) * test[j],
              columns=components[learnt, 1 + i],
            )
