"""What the studies have in common; the config of each says what differs.

A study's config is `get_config`, `c.data` and `c.model`, and then `cut`, which
says where it cuts and how many numbers it sends. `shrink` makes its variants.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.models.pretrained import weights

VARIANTS = ('', 'fast', 'small', 'tune', 'grid')


def get_config() -> ml_collections.ConfigDict:
  """Training, release, attack and grid, without data and model."""
  c = ml_collections.ConfigDict()
  c.seed = 0
  c.distributed = False  # over several processes; see docs/scaling.md

  c.model = ml_collections.ConfigDict()
  # What trainings compute in; 'bfloat16' is for GPU and TPU.
  c.model.dtype = 'float32'
  # Weights to start from; see `hybrid_jax.models.pretrained.weights.load`.
  c.model.pretrained = ml_collections.ConfigDict(weights.DEFAULTS)
  # Name to strength; see `hybrid_jax.training.augmentation`.
  c.augment = ml_collections.ConfigDict(
    {
      'gain': 0.0,
      'time_scale': 0.0,
      'mirror': 0.0,
      'shift': 0,
      'contrast': 0.0,
    }
  )

  c.input = ml_collections.ConfigDict(
    {
      'memory_limit': 4.0,  # GiB; larger data are read in batches, by Grain
      'workers': 0,  # processes that read
    }
  )

  c.training = ml_collections.ConfigDict()
  c.training.steps = 800
  c.training.batch_size = 128
  c.training.learning_rate = 2e-3
  c.training.warmup = 0.05  # share of the steps
  c.training.weight_decay = 1e-4
  c.training.every = 200  # steps between validations and checkpoints
  c.training.trainable_from = ''  # a split point; earlier blocks stay
  c.training.head_factor = 1.0  # of the learning rate

  c.siamese = ml_collections.ConfigDict()
  c.siamese.steps = 600
  c.siamese.batch_size = 128
  c.siamese.learning_rate = 2e-3
  c.siamese.warmup = 0.05
  c.siamese.weight_decay = 1e-4
  c.siamese.every = 300
  c.siamese.trainable_from = ''
  c.siamese.head_factor = 1.0
  c.siamese.balance_pairs = True
  # Each of these is one value, or a dict with one for each split point.
  c.siamese.weight = 0.1  # the paper's lambda
  c.siamese.margin = 10.0

  c.release = ml_collections.ConfigDict()
  c.release.noise = 0.3  # of the root mean square of what is released
  c.release.embeddings = ml_collections.ConfigDict(
    {
      'simple': {'weights': 'simple', 'mechanisms': ()},
      'reduced': {'weights': 'simple', 'mechanisms': ('pca',)},
      'siamese': {'weights': 'siamese', 'mechanisms': ()},
      'reduced_siamese': {'weights': 'siamese', 'mechanisms': ('pca',)},
      'noisy_reduced_siamese': {
        'weights': 'siamese',
        'mechanisms': ('pca', 'noise'),
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
  )
  # Of embeddings whose weights are a defence's, in units of the noise.
  c.release.bottleneck_dim = 4
  c.release.limit = 7.0  # the length of what is sent
  c.release.prototypes = 7
  c.release.sharpness = 0.2

  c.defend = ml_collections.ConfigDict()
  c.defend.warm_steps = 300  # with noise, before any penalty
  c.defend.steps = 800
  c.defend.batch_size = 128
  c.defend.learning_rate = 4e-3
  c.defend.warmup = 0.05
  c.defend.weight_decay = 1e-4
  c.defend.every = 400
  c.defend.noise_draws = 4
  c.defend.gain = 0.1  # deviation of a random gain of each channel
  for name in plugins.known('defence'):
    c.defend[name] = ml_collections.ConfigDict(
      plugins.defaults('defence', name)
    )

  c.attack = ml_collections.ConfigDict()
  c.attack.adversaries = (
    'majority',
    'linear',
    'mlp',
    'knn',
    'kde',
    'trees',
    'transfer',
    'decensor',
  )
  # Adversary to the split points where it attacks, if not at all of them.
  c.attack.only_at = ml_collections.ConfigDict()
  c.attack.workers = 4  # targets attacked at once
  c.attack.windows = (1, 2, 4, 8, 16, 32, 64)  # added up
  c.attack.draws = 4  # fresh draws of the noise that score every attacker
  c.attack.noise_copies = 4  # of each training vector, where it is not redrawn
  # Linear probes and perceptrons, trained at once.
  c.attack.heads = ml_collections.ConfigDict(
    {
      'trials': 3,  # settings tried of every network
      'views': ('standardised', 'whitened'),
      'batch_size': 128,
      'learning_rate': 5e-3,
      'weight_decay': 1e-3,
      'chunk': 100,  # steps between two looks at validation
      'max_chunks': 7,
      'patience': 2,  # chunks without a gain
    }
  )
  for name in plugins.known('adversary'):
    c.attack[name] = ml_collections.ConfigDict(
      plugins.defaults('adversary', name)
    )

  # What is measured besides leakage; at all split points, or at some.
  c.attack.measures = ml_collections.ConfigDict(
    {
      'ceiling': {'releases': (1, 4, 16, 64), 'resamples': 400},
      'ranks': {'items': 2000},  # of the test fold, at most
      'releases': {
        'counts': (1, 2, 4, 8, 16, 32, 64),
        'adversaries': ('kde', 'trees'),
        'limit': 0.1,  # of accuracy above chance
      },
      'attacker_data': {
        'shares': (0.05, 0.1, 0.25, 0.5, 1.0),
        'adversaries': ('kde', 'trees'),
      },
      'reconstruction': {
        'attacks': ('decoder', 'inversion'),
        'pictures': 6,
        'decoder': {
          'widths': (256, 512),
          'steps': 400,
          'every': 100,
          'batch_size': 128,
          'learning_rate': 1e-3,
        },
        'inversion': {
          'steps': 100,
          'learning_rate': 0.1,
          'restarts': 2,
          'prior': 1e-5,
          'smooth': 1e-3,
          'max_items': 128,
        },
      },
    }
  )

  # Trainings that are attacked in the same way. A method is 'siamese' or a
  # defence, with the weights to try, or none for its weight in this config.
  c.grid = ml_collections.ConfigDict()
  c.grid.seeds = 3  # of the fine-tuning; all start from one simple network
  c.grid.methods = ml_collections.ConfigDict(
    {
      'bounded': (0.3, 1.0),
      'contrastive': (1.0, 3.0),
      'dpfe': (),
      'gradient_reversal': (),
      'max_entropy': (),
      'distance_correlation': (),
      'noise_alone': (),
    }
  )
  c.grid.margins = ()  # of the Siamese loss; none for the one in this config
  # A multiple of the noise in a defence's training; for the Siamese network a
  # share of the root mean square of what is released.
  c.grid.noise = (0.7, 1.0, 1.5)
  c.grid.adversaries = ('kde', 'trees')
  c.grid.least_utility = 0.8  # corner of the hypervolume; advantage 1

  # The least leakage whose utility is within this of the whole network's.
  c.recommend = ml_collections.ConfigDict({'utility_loss': 0.015})
  return c


def data(name: str, **settings: Any) -> ml_collections.ConfigDict:
  """Returns `c.data` for a data set, with its defaults but for `settings`."""
  defaults = plugins.defaults('data set', name)
  return ml_collections.ConfigDict({'name': name, **defaults, **settings})


def cut(c: ml_collections.ConfigDict, dims: Mapping[str, int]) -> None:
  """Cuts at the split points of `dims`, in the model's order.

  Args:
    c: changed in place; its `model` is set.
    dims: split point to how many numbers a reduced embedding sends. What takes
      long, and the embeddings of defences, are at the last of them only.
  """
  last = tuple(dims)[-1:]
  c.model.split_points = tuple(dims)
  c.release.reduced_dim = ml_collections.ConfigDict(dict(dims))
  for embedding in c.release.embeddings.values():
    if embedding.weights not in ('simple', 'siamese'):
      embedding.split_points = last
  for name in ('releases', 'attacker_data', 'reconstruction'):
    c.attack.measures[name].split_points = last
  c.grid.split_point = last[0]


def check_variant(arg: str, path: str) -> None:
  """Raises `ValueError` unless `arg` is one of `VARIANTS`."""
  if arg not in VARIANTS:
    raise ValueError(
      f'{path} takes {", ".join(VARIANTS[1:])} or nothing, not {arg!r}'
    )


def shrink(c: ml_collections.ConfigDict, arg: str) -> None:
  """Makes a variant of a study.

  Args:
    c: changed in place.
    arg: nothing for the study itself; `'fast'` without what takes long: the
      slow attackers, the curves and the grid; `'small'` for one split point
      and few steps, which shows that all works and finds nothing out; `'tune'`
      for every defence with a range of weights, one seed; `'grid'` for a grid
      of Siamese trainings at the last split point; see `launch/grid.py`.
  """
  if arg == 'fast':
    c.attack.adversaries = tuple(
      name
      for name in c.attack.adversaries
      if name not in ('transfer', 'decensor')
    )
    for name in ('releases', 'attacker_data', 'reconstruction'):
      del c.attack.measures[name]
    del c.grid
  if arg == 'small':
    c.model.split_points = c.model.split_points[-1:]
    c.training.steps = c.siamese.steps = 40
    c.training.every = c.siamese.every = 20
    c.defend.warm_steps = c.defend.steps = c.defend.every = 40
    c.attack.heads.max_chunks = 1
    c.attack.transfer.steps = c.attack.transfer.every = 20
    c.attack.decensor.steps = 50
    c.attack.mlp.widths = ((64,),)
    c.attack.heads.trials = 2
    c.attack.windows = (1, 8)
    c.attack.trees.count = 50
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
