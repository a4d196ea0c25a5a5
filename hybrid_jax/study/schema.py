"""Every key of a study's config: its default, its valid values and its help.

A plug-in declares its own options beside its code; the groups that belong to no
plug-in are declared here. `of` joins both into one tree for a config.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.models.pretrained import weights
from hybrid_jax.training import augmentation, precision

Option = plugins.Option


@dataclasses.dataclass(frozen=True)
class Table:
  """A group whose keys the user chooses; every key has the same settings.

  Attributes:
    entry: the settings of a key, or a function of the key and its value that
      returns them.
    keys: the valid keys; any where it is `None`.
    noun: what a key is called in a message: `'measure'`.
  """

  entry: Any
  keys: Sequence[str] | None = None
  noun: str = ''

  def of(self, key: str, value: Any) -> Any:
    """Returns the option, or the group of options, of a key."""
    return self.entry(key, value) if callable(self.entry) else self.entry


# A key's name to its option, a group within, or a table.
Tree = dict[str, Any]

_SEED = Option(0, 'Seed of all randomness.', low=0)
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


def _training(steps: int, learning_rate: float, every: int) -> Tree:
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


def _fine_tuning(cuts: Sequence[str]) -> Tree:
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


def _siamese(cuts: Sequence[str]) -> Tree:
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


def of(config: Mapping[str, Any]) -> Tree:
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
  tree: Tree = {
    'seed': _SEED,
    'distributed': Option(
      False, 'Run over several processes; see docs/scaling.md.'
    ),
    'data': {
      'name': Option(
        None, 'Data set, or a dotted path.', type=str, plugin='data set'
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
    'training': _training(800, 2e-3, 200) | _fine_tuning(cuts),
    'siamese': _siamese(cuts),
    'release': _release(config, cuts),
    'defend': _defend(config),
    'attack': _attack(config, cuts),
    'recommend': _RECOMMEND,
  }
  grid = _grid(config, cuts)
  margins = grid.pop('margins')
  if config.get('rivals') is not None:
    tree['rivals'] = grid
  if config.get('sweep') is not None:
    tree['sweep'] = {
      **{k: v for k, v in grid.items() if k != 'methods'},
      'weight': dataclasses.replace(
        margins, default=(0.03, 0.1, 0.3), help='Weights of the Siamese loss.'
      ),
      'margin': dataclasses.replace(
        margins, default=(5.0, 10.0), help='Margins of the Siamese loss.'
      ),
      'mapping': Option(
        'auto',
        'How one program trains all networks.',
        choices=('auto', 'map', 'vmap'),
        noun='mapping of a sweep',
      ),
    }
  return tree


def of_audit(config: Mapping[str, Any]) -> Tree:
  """Returns the tree of the config of `launch.audit`: `seed` and `attack`."""
  return {'seed': _SEED, 'attack': _attack(_plain(config), ())}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  return ml_collections.ConfigDict(config).to_dict()


def _release(config: Mapping[str, Any], cuts: Sequence[str]) -> Tree:
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

  def entry(key: str, value: Mapping[str, Any]) -> Tree:
    del key
    # A bottleneck is trained with the network, so that embeddings share it.
    own = {
      name: dataclasses.replace(option, default=None, optional=True)
      for path in _listed(value.get('mechanisms'))
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
    'embeddings': Table(entry),
  }


def _defend(config: Mapping[str, Any]) -> Tree:
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
    **_groups('defence', named),
  }


def _attack(config: Mapping[str, Any], cuts: Sequence[str]) -> Tree:
  attack = config.get('attack') or {}
  measures = attack.get('measures') or {}
  named = _names(
    'adversary',
    attack.get('adversaries'),
    *(m.get('adversaries') for m in _groups_in(measures)),
    _within(config, 'grid').get('adversaries'),
  )
  tree: Tree = {
    **_ATTACK,
    'only_at': Table(
      _split_points((), 'Split points where it attacks.', cuts),
      keys=tuple(named),
      noun='adversary',
    ),
    'heads': _HEADS,
    'measures': Table(
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


def _measure(key: str, value: Mapping[str, Any], cuts: Sequence[str]) -> Tree:
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


def _grid(config: Mapping[str, Any], cuts: Sequence[str]) -> Tree:
  embeddings = _within(config, 'release', 'embeddings')
  named = _names('defence', *(e.get('weights') for e in _groups_in(embeddings)))
  return {
    'split_point': Option(
      None,
      'Split point of all trainings.',
      type=str,
      choices=tuple(cuts),
      noun='split point',
    ),
    'seeds': Option(3, 'Trainings of each kind.', low=1),
    'methods': Table(
      Option(
        (),
        'Weights to try; none for the weight in this config.',
        type=tuple[float, ...],
        low=0,
        distinct=True,
      ),
      keys=('siamese', *named),
      noun='method',
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


def _groups(kind: str, named: Mapping[str, str]) -> Tree:
  """Each plug-in's options under its key; none for one without options."""
  found = {key: plugins.options(kind, name) for key, name in named.items()}
  return {key: dict(options) for key, options in found.items() if options}


def _names(kind: str, *values: Any) -> dict[str, str]:
  """Key to name of a kind's plug-ins: the package's, and others named here."""
  out = {name: name for name in plugins.known(kind)}
  for name in (n for value in values for n in _listed(value)):
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


def _listed(value: Any) -> list[Any]:
  """The items of a tuple, or of text with commas, as a flag gives it."""
  if isinstance(value, str):
    return [part.strip() for part in value.split(',') if part.strip()]
  items = list(value) if isinstance(value, tuple | list) else []
  if len(items) == 1 and isinstance(items[0], str):
    return _listed(items[0])
  return items


def complete(
  config: Mapping[str, Any], tree: Callable[[Mapping[str, Any]], Tree] = of
) -> ml_collections.ConfigDict:
  """Returns a copy of a config in which every missing setting has its default.

  Names that a flag gave as one text with commas become a tuple.

  Args:
    config: stays as it is.
    tree: `of`, or `of_audit`.
  """
  values = _plain(config)
  return ml_collections.ConfigDict(_completed(values, tree(values)))


def _completed(values: dict[str, Any], tree: Tree) -> dict[str, Any]:
  out = dict(values)
  for name, node in tree.items():
    if isinstance(node, Option):
      if name not in out and node.default is not None:
        out[name] = node.default
      elif name in out:
        out[name] = _as_tuple(out[name], node)
    elif isinstance(node, Table):
      out[name] = _completed_table(out.get(name) or {}, node)
    elif isinstance(out.get(name, {}), dict):
      out[name] = _completed(out.get(name) or {}, node)
  return out


def _completed_table(values, table):
  if not isinstance(values, dict):
    return values
  out = {}
  for key, value in values.items():
    if callable(table.entry) and not isinstance(value, dict):
      out[key] = value  # `check` refuses it.
      continue
    node = table.of(key, value)
    if isinstance(node, Option):
      out[key] = _as_tuple(value, node)
    else:
      out[key] = _completed(value, node)
  return out


def _as_tuple(value: Any, option: Option) -> Any:
  """Makes a text or a list a tuple; splits names as in `('a,b',)`."""
  if not option.is_tuple:
    return value
  if isinstance(value, list):
    value = tuple(value)
  if isinstance(value, str) and option.type == tuple[str, ...]:
    value = (value,)
  if not (option.plugin or option.choices) or not isinstance(value, tuple):
    return value
  if not all(isinstance(text, str) for text in value):
    return value
  return tuple(_listed(','.join(value)))


def check(values: Mapping[str, Any], tree: Tree, path: str = '') -> None:
  """Checks a completed config against its tree.

  Args:
    values: the config, or a group of it.
    tree: of the same group.
    path: the group's key.

  Raises:
    UserError: a key is unknown or missing, or a value has a wrong type, is out
      of range or is not one of the choices. The message names the key, the
      value and the valid ones.
  """
  cuts = _listed(_within(values, 'model').get('split_points'))
  _check_group(values, tree, path, cuts)


def unknown_keys(values: Any, tree: Any, path: str = '') -> list[str]:
  """Returns the keys of a config that its tree does not have."""
  if isinstance(tree, Option) or not isinstance(values, Mapping):
    return []
  out = []
  for name, value in values.items():
    key = f'{path}.{name}' if path else name
    node = tree.of(name, value) if isinstance(tree, Table) else tree.get(name)
    out += [key] if node is None else unknown_keys(value, node, key)
  return out


def _check_group(values, tree, path, cuts):
  _check_is_group(values, path)
  for name in values:
    where = f'setting of {path}' if path else 'setting of the config'
    errors.check_known(where, name, tree)
  for name, node in tree.items():
    key = f'{path}.{name}' if path else name
    if name in values:
      _check_node(values[name], node, key, cuts)
    elif _is_required(node):
      raise errors.UserError(
        f'the config has no {key}; it must be {node.valid()}.'
      )


def _check_node(value, node, key, cuts):
  if isinstance(node, Table):
    _check_is_group(value, key)
    for name, entry in value.items():
      if node.keys is not None:
        errors.check_known(node.noun, name, node.keys, key)
      if callable(node.entry):
        _check_is_group(entry, f'{key}.{name}')
      _check_node(entry, node.of(name, entry), f'{key}.{name}', cuts)
  elif not isinstance(node, Option):
    _check_group(value, node, key, cuts)
  elif isinstance(value, Mapping | ml_collections.ConfigDict):
    if not node.per_split_point:
      raise errors.UserError(
        f'{key} is a group of settings; it must be {node.valid()}.'
      )
    for cut in cuts:
      if cut not in value:
        raise errors.UserError(
          f'{key} has no value for the split point {cut!r}; it has'
          f' {", ".join(value) or "none"}.'
        )
    for cut, each in value.items():
      node.check(f'{key}.{cut}', each)
  else:
    node.check(key, value)


def _is_required(node):
  if not isinstance(node, Option):
    return False
  return node.default is None and not node.optional


def _check_is_group(value, key):
  if not isinstance(value, Mapping | ml_collections.ConfigDict):
    raise errors.UserError(
      f'{key} is {value!r}; it must be a group of settings.'
    )
