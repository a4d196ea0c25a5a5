"""The grid of a sweep: which trainings, which points, and each one's study.

A training is a seed, a weight and a margin of the Siamese loss; a point is a
training and a level of noise. Every training is a study of its own, whose
config `config_of` gives: what a sweep makes, `launch.study` makes too.
"""

import dataclasses
import itertools

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.study import validate

MAPPINGS = ('auto', 'map', 'vmap')


@dataclasses.dataclass(frozen=True)
class Training:
  """One network: the seed of all its randomness, lambda, and the margin."""

  index: int
  seed: int
  weight: float
  margin: float

  @property
  def name(self) -> str:
    """Of its folder."""
    return f'{self.index:03d}'


@dataclasses.dataclass(frozen=True)
class Point:
  """What is released: a training's network and a level of noise."""

  index: int
  training: Training
  noise: float

  @property
  def embedding(self) -> str:
    """Its name among the embeddings of its training's study."""
    return embedding_name(self.noise)


def embedding_name(noise: float) -> str:
  """The name of the embedding with a level of noise: `noise_0_3`."""
  return f'noise_{noise:g}'.replace('.', '_')  # Configs' keys have no dots.


def trainings(config: ml_collections.ConfigDict) -> tuple[Training, ...]:
  """All of a config's, by seed, then weight, then margin."""
  asked = config.sweep
  seeds = range(config.seed, config.seed + asked.seeds)
  return tuple(
    Training(i, seed, float(weight), float(margin))
    for i, (seed, weight, margin) in enumerate(
      itertools.product(seeds, asked.weight, asked.margin)
    )
  )


def points(config: ml_collections.ConfigDict) -> tuple[Point, ...]:
  """All of a config's: each training with each level of noise."""
  pairs = itertools.product(trainings(config), config.sweep.noise)
  return tuple(Point(i, t, float(n)) for i, (t, n) in enumerate(pairs))


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses a grid that cannot be, before any work.

  Raises:
    UserError: there is no `sweep`, one of its axes is empty or holds what is
      not positive or is there twice, or a name is not known.
  """
  if not config.get('sweep'):
    raise errors.UserError(
      "the config has no 'sweep'; take a config's variant, as in"
      ' configs/watch.py:sweep.'
    )
  if config.get('distributed'):
    raise errors.UserError(
      'config.distributed is true: a sweep is one process, which uses all of'
      ' its devices; give each host a part of the grid.'
    )
  asked = config.sweep
  if asked.seeds < 1:
    raise errors.UserError(
      f'sweep.seeds is {asked.seeds}; it must be at least 1.'
    )
  for name in ('weight', 'margin', 'noise'):
    values = tuple(asked[name])
    wrong = [v for v in values if not v > 0]
    if not values or wrong or len(set(values)) < len(values):
      raise errors.UserError(
        f'sweep.{name} is {values}; it must be a tuple of different positive'
        ' numbers.'
      )
  for name in asked.adversaries:
    errors.check_known('adversary', name, plugins.known('adversary'))
  errors.check_known('mapping of a sweep', asked.mapping, MAPPINGS)
  model = plugins.load('model', config.model.name).Model
  errors.check_known(
    'split point of the sweep', asked.split_point, model.SPLIT_POINTS
  )
  for training in trainings(config):
    validate.check(config_of(config, training), model.SPLIT_POINTS)


def config_of(
  config: ml_collections.ConfigDict, training: Training
) -> ml_collections.ConfigDict:
  """The config of the study that a training is, with an embedding a noise.

  Args:
    config: of the sweep; stays as it is.
    training: one of its trainings.
  """
  out = ml_collections.ConfigDict(config.to_dict())
  asked = out.sweep
  with out.ignore_type():
    out.seed = training.seed
    out.model.split_points = (asked.split_point,)
    out.siamese.weight = training.weight
    out.siamese.margin = training.margin
    out.release.embeddings = ml_collections.ConfigDict(
      {
        embedding_name(noise): {
          'weights': 'siamese',
          'mechanisms': ('pca', 'noise'),
          'noise': float(noise),
        }
        for noise in asked.noise
      }
    )
  del out['sweep']
  if 'rivals' in out:
    del out['rivals']
  return out
