"""Every key of a study's config: its default, its valid values and its help.

A plug-in declares its own options beside its code; the groups that belong to no
plug-in are declared here. `of` joins both into one tree for a config.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.measures import window_sets
from hybrid_jax.models.pretrained import weights
from hybrid_jax.study import config_tree
from hybrid_jax.training import augmentation, precision

Option = plugins.Option


_SEED = Option(0, 'Seed of all randomness.', low=0, high=2**32 - 1)
_INPUT = {
  'memory_limit': Option(
    4.0,
    'Larger data are read in batches, by Grain.',
    unit='GiB',
    low=0,
  ),
  'workers': Option(0, 'Processes that read; 0 for threads.', low=0),
}
_RECOMMEND = {
  'utility_loss': Option(
    0.015,
    "Utility that a release may lose against the whole network's.",
    unit='share',
    low=0,
    high=1,
  ),
}
_STRANGERS = {
  'people_folds': Option(
    -1,
    'Folds over people, each of whom is a stranger once; 0 for off. -1 takes 3,'
    ' and with ten people or fewer as many folds of at least two as there can'
    ' be, at most 5.',
    low=-1,
  ),
  'embeddings': Option(
    (),
    'Embeddings besides simple; none for noisy_reduced_siamese, bounded and'
    ' snapped, where they are released.',
    type=tuple[str, ...],
  ),
  'adversaries': Option(
    # Networks take several times as long, since each fold has other shapes.
    ('majority', 'knn', 'kde', 'mixture', 'trees'),
    'Adversaries that attack strangers.',
    plugin='adversary',
    filled=True,
  ),
  'stream_windows': Option(
    (1, 8, 64),
    'Windows of each of two streams that are verified, at most.',
    low=1,
    filled=True,
    distinct=True,
  ),
}
_HEADS = {
  'trials': Option(3, 'Settings tried of every network.', low=1),
  'views': Option(
    ('standardised', 'whitened'),
    'Rescalings of the released vectors.',
    choices=adversary.VIEWS,
    noun='view',
    filled=True,
  ),
  'batch_size': Option(128, 'Examples of a step.', low=1),
  'learning_rate': Option(
    5e-3, 'Of the first trial; others are within a factor of 4.', above=0
  ),
  'weight_decay': Option(
    1e-3, 'Of the first trial; others are within a factor of 30.', low=0
  ),
  'chunk': Option(100, 'Steps between validations.', unit='steps', low=1),
  'max_chunks': Option(7, 'Validations at most.', low=1),
  'patience': Option(
    2, 'Validations without a gain, after which training ends.', low=1
  ),
}
_ATTACK = {
  'adversaries': Option(
    (
      'majority',
      'linear',
      'mlp',
      'knn',
      'kde',
      'mixture',
      'trees',
      'transfer',
      'decensor',
    ),
    'Adversaries that attack every release.',
    plugin='adversary',
    filled=True,
  ),
  'workers': Option(4, 'Targets that are attacked at once.', low=1),
  'windows': Option(
    (1, 2, 4, 8, 16, 32, 64),
    'Windows of one recording that an attacker adds up.',
    low=1,
    filled=True,
  ),
  'draws': Option(
    4, 'Fresh draws of the noise that every attacker is scored on.', low=1
  ),
  'noise_copies': Option(
    4, 'Noisy copies of a training vector, where it is not redrawn.', low=1
  ),
}


def _training(steps: int, learning_rate: float, every: int) -> config_tree.Tree:
  return {
    'steps': Option(steps, 'Steps of training.', unit='steps', low=1),
    'batch_size': Option(
      128, 'Examples of a step, over all devices.', unit='examples', low=1
    ),
    'learning_rate': Option(learning_rate, 'Largest learning rate.', above=0),
    'warmup': Option(
      0.05,
      'Share of the steps in which the learning rate rises.',
      unit='share',
      low=0,
      below=1,
    ),
    'weight_decay': Option(1e-4, 'Weight decay of AdamW.', low=0),
    'every': Option(
      every,
      'Steps between validations and checkpoints.',
      unit='steps',
      low=1,
    ),
  }


# Of the training of the simple network alone.
_TASK = {
  'keep_best': Option(
    True,
    'Whether the weights of the best validation are used, not the last ones.',
  ),
  'average': Option(
    0.0,
    'Decay of a moving average of the weights, which is used in their place;'
    ' 0 for none.',
    low=0,
    below=1,
  ),
  'mixup': Option(
    0.0,
    'Parameter of the beta distribution by which two examples are mixed; 0 for'
    ' none.',
    low=0,
  ),
  'label_smoothing': Option(
    0.0, 'Weight of uniform labels.', unit='share', low=0, below=1
  ),
}


def _fine_tuning(cuts: Sequence[str]) -> config_tree.Tree:
  return {
    'trainable_from': Option(
      '',
      'Blocks before this split point stay as they are; empty for none.',
      choices=('', *cuts, 'head') if cuts else (),
      noun='split point',
    ),
    'head_factor': Option(
      1.0, 'Learning rate of the head, in multiples of the others.', above=0
    ),
  }


def _siamese(cuts: Sequence[str]) -> config_tree.Tree:
  return {
    **_training(600, 2e-3, 300),
    **_fine_tuning(cuts),
    'balance_pairs': Option(
      True, 'Weigh equal and different pairs as if there were as many.'
    ),
    'weight': Option(
      0.1,
      "Weight of the contrastive loss, the paper's lambda.",
      low=0,
      per_split_point=True,
    ),
    'margin': Option(
      10.0,
      'Distance up to which different pairs are pushed apart.',
      above=0,
      per_split_point=True,
    ),
  }


def _split_points(default: Any, text: str, cuts: Sequence[str]) -> Option:
  return Option(
    default,
    text,
    type=tuple[str, ...],
    choices=tuple(cuts),
    noun='split point',
    optional=True,
  )


def of(config: Mapping[str, Any]) -> config_tree.Tree:
  """Returns the tree of a study's config.

  Args:
    config: names the data set, the model and all other plug-ins. What it lacks
      has its default.

  Raises:
    UserError: the config names no data set or no model, or an unknown plug-in.
  """
  config = _plain(config)
  data, model = config.get('data') or {}, config.get('model') or {}
  for group, kind in ((data, 'data set'), (model, 'model')):
    if not group.get('name'):
      where = 'data' if kind == 'data set' else 'model'
      raise errors.UserError(
        f'the config has no {where}.name; it must be one of'
        f' {", ".join(plugins.known(kind))}.'
      )
  cuts = plugins.load('model', model['name']).Model.SPLIT_POINTS
  tree: config_tree.Tree = {
    'seed': _SEED,
    'distributed': Option(
      False, 'Run over several processes; see docs/scaling.md.'
    ),
    'data': {
      'name': Option(
        None, 'Data set, or a dotted path.', type=str, plugin='data set'
      ),
      'attack_fold': Option(
        0.0,
        'Share of the training fold that is held back from all training, for'
        ' attackers alone.',
        unit='share',
        low=0,
        below=1,
      ),
      **plugins.options('data set', data['name']),
    },
    'model': {
      'name': Option(
        None, 'Network, or a dotted path.', type=str, plugin='model'
      ),
      'split_points': dataclasses.replace(
        _split_points(None, 'Layers after which the study cuts.', cuts),
        filled=True,
        optional=False,
      ),
      'options': plugins.options('model', model['name']),
      'dtype': Option(
        'float32',
        'What trainings compute in; bfloat16 is for GPU and TPU.',
        choices=precision.DTYPES,
      ),
      'pretrained': weights.OPTIONS,
    },
    'augment': augmentation.OPTIONS,
    'input': _INPUT,
    'training': _training(800, 2e-3, 200) | _fine_tuning(cuts) | _TASK,
    'siamese': _siamese(cuts),
    'release': _release(config, cuts),
    'defend': _defend(config),
    'attack': _attack(config, cuts),
    'recommend': _RECOMMEND,
    'strangers': _STRANGERS,
  }
  if config.get('grid') is not None:
    tree['grid'] = _grid(cuts)
  return tree


def of_audit(config: Mapping[str, Any]) -> config_tree.Tree:
  """Returns the tree of an audit's config: `seed` and `attack`."""
  return {'seed': _SEED, 'attack': _attack(_plain(config), ())}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  return ml_collections.ConfigDict(config).to_dict()


def _release(
  config: Mapping[str, Any], cuts: Sequence[str]
) -> config_tree.Tree:
  embeddings = _within(config, 'release', 'embeddings')
  named = _names(
    'release mechanism',
    *(e.get('mechanisms') for e in _groups_in(embeddings)),
  )
  options = {
    name: option
    for path in named.values()
    for name, option in plugins.options('release mechanism', path).items()
  }

  def entry(key: str, value: Mapping[str, Any]) -> config_tree.Tree:
    del key
    # A bottleneck is trained with the network, so that embeddings share it.
    own = {
      name: dataclasses.replace(option, default=None, optional=True)
      for path in config_tree.names(value.get('mechanisms'))
      if path != 'bottleneck'
      for name, option in plugins.options('release mechanism', path).items()
      if isinstance(option, Option)
    }
    return {
      'weights': Option(
        None,
        'Training of the network: simple, siamese, or a defence.',
        type=str,
        choices=('simple', 'siamese'),
        plugin='defence',
        noun='kind of weights',
      ),
      'mechanisms': Option(
        (),
        'Release mechanisms, in order.',
        type=tuple[str, ...],
        plugin='release mechanism',
      ),
      'split_points': _split_points(
        None, 'Split points at which it is released; all by default.', cuts
      ),
      'title': Option(
        None,
        'Name in reports; by default its name in words.',
        type=str,
        optional=True,
      ),
      **own,
    }

  return {
    **options,
    'order': Option(
      (),
      'Embeddings in the order of reports; others follow by name.',
      type=tuple[str, ...],
    ),
    'embeddings': config_tree.Table(entry),
  }


def _defend(config: Mapping[str, Any]) -> config_tree.Tree:
  embeddings = _within(config, 'release', 'embeddings')
  named = _names('defence', *(e.get('weights') for e in _groups_in(embeddings)))
  return {
    'warm_steps': Option(
      300, 'Steps with noise, before any penalty.', unit='steps', low=1
    ),
    **_training(800, 4e-3, 400),
    'noise_draws': Option(4, 'Noisy copies of a step.', low=1),
    'gain': Option(
      0.1,
      'Standard deviation of a random gain of each channel.',
      low=0,
      high=1,
    ),
    'labels': Option(
      (),
      'Sensitive labels that defences learn from; none for all. The others are'
      ' only attacked.',
      type=tuple[str, ...],
      distinct=True,
    ),
    **_groups('defence', named),
  }


def _attack(config: Mapping[str, Any], cuts: Sequence[str]) -> config_tree.Tree:
  attack = config.get('attack') or {}
  measures = attack.get('measures') or {}
  named = _names(
    'adversary',
    attack.get('adversaries'),
    _within(attack, 'sets').get('adversaries'),
    _within(attack, 'sets').get('recording_adversaries'),
    *(m.get('adversaries') for m in _groups_in(measures)),
    _within(config, 'grid').get('adversaries'),
  )
  tree: config_tree.Tree = {
    **_ATTACK,
    'only_at': config_tree.Table(
      _split_points((), 'Split points where it attacks.', cuts),
      keys=tuple(named),
      noun='adversary',
    ),
    'heads': _HEADS,
    'sets': window_sets.OPTIONS,
    'measures': config_tree.Table(
      lambda key, value: _measure(key, value, cuts), noun='measure'
    ),
  }
  for name in named:
    if name in tree:
      raise errors.UserError(
        f'the adversary {named[name]!r} has the name of the setting'
        f' attack.{name}; rename its module.'
      )
  return tree | _groups('adversary', named)


def _measure(
  key: str, value: Mapping[str, Any], cuts: Sequence[str]
) -> config_tree.Tree:
  path = value.get('module') or key
  tree = {
    'module': Option(
      None,
      "Dotted path of a measure that is not the package's.",
      type=str,
      optional=True,
    ),
    **plugins.options('measure', path),
    'split_points': _split_points(
      None, 'Split points where it is measured; all by default.', cuts
    ),
  }
  if path == 'reconstruction':
    named = _names('reconstruction', value.get('attacks'))
    tree |= _groups('reconstruction', named)
  return tree


def _grid(cuts: Sequence[str]) -> config_tree.Tree:
  return {
    'split_point': Option(
      None,
      'Split point of all trainings.',
      type=str,
      choices=tuple(cuts),
      noun='split point',
    ),
    'seeds': Option(3, 'Trainings of each kind.', low=1),
    'methods': config_tree.Table(
      Option(
        (),
        'Weights to try; none for the weight in this config.',
        type=tuple[float, ...],
        low=0,
        distinct=True,
      ),
      keys=('siamese', *plugins.known('defence')),
      noun='method',
      filled=True,
    ),
    'margins': Option(
      (),
      'Margins of the Siamese loss; none for the one in this config.',
      type=tuple[float, ...],
      above=0,
      distinct=True,
    ),
    'noise': Option(
      (0.7, 1.0, 1.5),
      'Noise of the releases: multiples of the noise in training.',
      above=0,
      filled=True,
      distinct=True,
    ),
    'adversaries': Option(
      ('kde', 'trees'),
      'Adversaries that attack.',
      plugin='adversary',
      filled=True,
    ),
    'least_utility': Option(
      0.8,
      'Corner of the hypervolume; its advantage is 1.',
      unit='share',
      low=0,
      below=1,
    ),
  }


def _groups(kind: str, named: Mapping[str, str]) -> config_tree.Tree:
  """Each plug-in's options under its key; none for one without options."""
  found = {key: plugins.options(kind, name) for key, name in named.items()}
  return {key: dict(options) for key, options in found.items() if options}


def _names(kind: str, *values: Any) -> dict[str, str]:
  """Key to name of a kind's plug-ins: the package's, and others named here."""
  out = {name: name for name in plugins.known(kind)}
  for name in (n for value in values for n in config_tree.names(value)):
    if not plugins.is_outside(name):
      continue
    key = plugins.key(name)
    if out.setdefault(key, name) != name:
      raise errors.UserError(
        f'the {kind} {name!r} and {out[key]!r} have one short name, {key!r};'
        ' rename one of the modules.'
      )
  return out


def _within(config: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
  for name in path:
    config = config.get(name) or {}
  return config


def _groups_in(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
  return [v for v in config.values() if isinstance(v, Mapping)]


def complete(
  config: Mapping[str, Any],
) -> ml_collections.ConfigDict:
  """Returns a study's config with the default of every setting that it lacks.

  Raises:
    UserError: see `of`.
  """
  values = _plain(config)
  return ml_collections.ConfigDict(config_tree.complete(values, of(values)))
