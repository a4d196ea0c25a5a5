"""The parts that all studies' configs share.

`get_config` sets the embeddings, measures and trainings that all studies
compare; every other setting has the default of `study/config_schema.py`.
`shrink` makes a config's variants.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from hybrid_jax.study import config_schema

VARIANTS = ('', 'full', 'small', 'tune', 'grid')
# What a full study has and the study itself lacks.
_FULL_MEASURES = ('releases', 'attacker_data', 'reconstruction')

_EMBEDDINGS: dict[str, dict[str, Any]] = {
  'simple': {'weights': 'simple'},
  'reduced': {
    'weights': 'simple',
    'mechanisms': ('pca',),
    'title': 'reduced simple',
  },
  'siamese': {'weights': 'siamese', 'title': 'Siamese'},
  'reduced_siamese': {
    'weights': 'siamese',
    'mechanisms': ('pca',),
    'title': 'reduced Siamese',
  },
  'noisy_reduced_siamese': {
    'weights': 'siamese',
    'mechanisms': ('pca', 'noise'),
    'title': 'noisy reduced Siamese',
  },
  'bounded': {
    'weights': 'bounded',
    'mechanisms': ('bottleneck', 'unit_noise'),
  },
  'snapped': {
    'weights': 'bounded',
    'mechanisms': ('bottleneck', 'snap', 'unit_noise'),
  },
}


def get_config(
  data: Mapping[str, Any], model: Mapping[str, Any], cuts: Mapping[str, int]
) -> ml_collections.ConfigDict:
  """Returns the study of a data set by a model.

  Args:
    data: the data set's `name`, and its settings that are not the defaults.
    model: the model's `name`, and its settings that are not the defaults; the
      fields of the model are in `options`.
    cuts: split point to the length of a reduced embedding, in the model's
      order. Slow measures, and the embeddings of defences, are at the last
      split point only.
  """
  last = tuple(cuts)[-1:]
  embeddings = {name: dict(entry) for name, entry in _EMBEDDINGS.items()}
  for name in ('bounded', 'snapped'):
    embeddings[name]['split_points'] = last
  return config_schema.complete(
    {
      'data': data,
      'model': {'split_points': tuple(cuts), **model},
      'release': {
        'reduced_dim': dict(cuts),
        'order': tuple(embeddings),
        'embeddings': embeddings,
      },
      'attack': {
        'measures': {
          'ceiling': {},
          'ranks': {},
          'releases': {'split_points': last},
          'attacker_data': {'split_points': last},
          'reconstruction': {'split_points': last},
        }
      },
      # Trainings that are attacked alike. A method has the weights to try, or
      # none for its weight in this config.
      'grid': {
        'split_point': last[0],
        'methods': {
          'bounded': (0.3, 1.0),
          'contrastive': (1.0, 3.0),
          'dpfe': (),
          'gradient_reversal': (),
          'max_entropy': (),
          'distance_correlation': (),
          'noise_alone': (),
        },
      },
    }
  )


def check_variant(arg: str, path: str) -> None:
  """Raises `ValueError` unless `arg` is one of `VARIANTS`."""
  if arg not in VARIANTS:
    raise ValueError(
      f'{path} takes {", ".join(VARIANTS[1:])} or nothing, not {arg!r}'
    )


def shrink(c: ml_collections.ConfigDict, arg: str) -> None:
  """Makes a variant of a study.

  Args:
    c: the config, which is changed in place.
    arg: nothing for the study itself; `'full'` also with the curves, the
      reconstructions and the grid, which may be added to the work directory of
      the study itself; `'small'` for one split point and few steps of a full
      one, a test whose figures mean nothing; `'tune'` for every defence with a
      range of weights and one seed; `'grid'` for a grid of Siamese trainings at
      the last split point; see `hybrid-jax grid`.
  """
  if not arg:
    for name in _FULL_MEASURES:
      del c.attack.measures[name]
    del c.grid
  if arg == 'small':
    c.model.split_points = c.model.split_points[-1:]
    c.training.steps = c.siamese.steps = 40
    c.training.every = c.siamese.every = 20
    if 'bounded' in c.release.embeddings:
      c.strangers.embeddings = ('bounded',)
    c.strangers.adversaries = ('kde',)
    c.defend.warm_steps = c.defend.steps = c.defend.every = 40
    c.attack.heads.max_chunks = 1
    c.attack.transfer.steps = c.attack.transfer.every = 20
    c.attack.decensor.steps = 50
    c.attack.mlp.widths = ((64,),)
    c.attack.heads.trials = 2
    c.attack.windows = (1, 8)
    c.attack.trees.count = 20
    c.attack.sets.recording_adversaries = ('discriminant',)
    measures = c.attack.measures
    measures.ceiling.resamples = 100
    measures.releases.counts = (1, 4)
    measures.releases.adversaries = ('kde',)
    measures.attacker_data.shares = (0.25, 1.0)
    measures.attacker_data.adversaries = ('kde',)
    measures.reconstruction.decoder.steps = 100
    measures.reconstruction.inversion.steps = 5
    measures.reconstruction.inversion.max_items = 16
    c.grid.seeds = 2
    c.grid.noise = (1.0,)
    c.grid.adversaries = ('kde',)
    c.grid.methods = ml_collections.ConfigDict(
      {'bounded': (), 'noise_alone': ()}
    )
  if arg == 'tune':
    c.grid.seeds = 1
    c.grid.noise = (1.0,)
    c.grid.methods = ml_collections.ConfigDict(
      {
        'bounded': (0.1, 0.3, 1.0, 3.0),
        'contrastive': (0.1, 0.3, 1.0, 3.0, 10.0),
        'dpfe': (0.03, 0.1, 0.3, 1.0),
        'gradient_reversal': (0.1, 0.3, 1.0, 3.0),
        'max_entropy': (0.1, 0.3, 1.0, 3.0),
        'distance_correlation': (0.3, 1.0, 3.0, 10.0),
        'noise_alone': (0.0,),
      }
    )
  if arg == 'grid':
    c.model.split_points = c.model.split_points[-1:]
    c.grid.seeds = 2
    c.grid.methods = ml_collections.ConfigDict({'siamese': (0.03, 0.1, 0.3)})
    c.grid.margins = (5.0, 10.0)
    c.grid.noise = (0.3, 0.6)


def missing_parts(config: ml_collections.ConfigDict) -> list[str]:
  """Returns what a full study measures and the one of a config does not.

  Args:
    config: of a study.
  """
  out: list[str] = [
    name.replace('_', ' ')
    for name in _FULL_MEASURES
    if name not in config.attack.measures
  ]
  if not config.get('grid'):
    out.append('grid of defences')
  return out
