"""The schema of the config: every mistake is refused, every key explained."""

import importlib
import io
import math
import re

import ml_collections
import pytest

from configs import audit, watch
from hybrid_jax import errors, plugins
from hybrid_jax.cli import config_help
from hybrid_jax.measures import leakage
from hybrid_jax.study import config_schema, config_tree, validate
from tests.measures import problems

_MINE = '''"""Guesses by chance."""

import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary

OPTIONS = {'strength': plugins.Option(2.0, 'How strong it is.', above=0)}


def attack(problem, config, seed):
  rng = np.random.default_rng(seed)
  for label, classes in problem.sensitive.items():
    draws = problem.evaluation_draws.values()
    shapes = [(*x.shape[:2], classes.max() + 1) for x in draws]
    scores = [rng.standard_normal(shape) for shape in shapes]
    yield adversary.Attack(f'guess {config.strength:g}', label, *scores)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A package of plug-ins outside of hybrid_jax."""
  package = tmp_path / 'my_plugins'
  package.mkdir()
  (package / '__init__.py').write_text('')
  (package / 'guess.py').write_text(_MINE)
  (package / 'trees.py').write_text(_MINE)
  (package / 'heads.py').write_text(_MINE)
  (package / 'empty.py').write_text('"""Has no entry."""\n')
  (package / 'broken.py').write_text('import no_such_module\n')
  monkeypatch.syspath_prepend(str(tmp_path))
  importlib.invalidate_caches()
  return package


def _set(config, key, value):
  *path, last = key.split('.')
  for name in path:
    config = config[name]
  with config.unlocked(), config.ignore_type():
    config[last] = value


def _refused(key, value):
  config = watch.get_config('full')
  _set(config, key, value)
  with pytest.raises(errors.UserError) as caught:
    validate.prepare(config)
  return str(caught.value)


# Of each kind of option, a key; and values of another type.
WRONG_TYPES = {
  'whole number': ('training.steps', (1.5, '3', True, None, (3,))),
  'number': ('training.learning_rate', ('x', math.nan, math.inf, None)),
  'yes or no': ('siamese.balance_pairs', (1, 'True', None)),
  'text': ('model.pretrained.path', (1, None, ('a',))),
  'whole numbers': ('attack.windows', (4, (1.5,), ('1',), (True,))),
  'numbers': ('attack.kde.bandwidths', (0.5, ('0.5',), (math.nan,))),
  'tuples': ('attack.mlp.widths', ((64, 64), (64,), 64, (('a',),))),
  'names': ('release.embeddings.reduced.mechanisms', (3, (3,))),
}


@pytest.mark.parametrize('case', WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_wrong_type_is_refused(case):
  key, values = case
  for value in values:
    message = _refused(key, value)
    assert message.startswith(f'{key} is {value!r}; it must be ')


def test_true_is_no_number():
  # A `ConfigDict` would make it 1.0.
  for default in (1, 1.0):
    option = plugins.Option(default, 'Some number.')
    with pytest.raises(errors.UserError, match='key is True; it must be a'):
      option.check('key', True)


# A key, a value out of range, and what is valid.
WRONG_RANGES = [
  ('seed', -1, 'a whole number, from 0 to 4294967295'),
  ('seed', 2**70, 'a whole number, from 0 to 4294967295'),
  ('training.steps', 0, 'a whole number, 1 or more (steps)'),
  ('training.learning_rate', 0.0, 'a number, above 0'),
  ('training.warmup', 1.0, 'a number, 0 or more and below 1 (share)'),
  ('recommend.utility_loss', 1.5, 'a number, from 0 to 1 (share)'),
  ('input.memory_limit', -0.5, 'a number, 0 or more (GiB)'),
  ('attack.windows', (1, 0), 'one or more whole numbers, each 1 or more'),
  ('attack.windows', (), 'one or more whole numbers, each 1 or more'),
  ('attack.mlp.widths', ((64,), (0,)), 'tuples of whole numbers, each 1'),
  ('data.fractions', (0.5, 0.5), 'a tuple of 3 numbers, each above 0'),
  ('release.prototypes', 1, 'a whole number, 2 or more'),
  ('release.reduced_dim.conv1', 0, 'a whole number, 1 or more'),
  ('defend.dpfe.margin', 0.0, 'a number, above 0'),
  ('attack.measures.releases.limit', 2.0, 'a number, from 0 to 1 (share)'),
  ('model.options.kernel', -3, 'a whole number, 1 or more'),
  ('augment.shift', 1.5, 'a whole number, 0 or more (pixels)'),
]


@pytest.mark.parametrize(('key', 'value', 'valid'), WRONG_RANGES)
def test_a_value_out_of_range_is_refused(key, value, valid):
  message = _refused(key, value)
  assert message.startswith(f'{key} is {value!r}; it must be ')
  assert valid in message


# A key, a value that is no choice, the nearest, and some of the valid ones.
WRONG_CHOICES = [
  ('model.dtype', 'float16', "'bfloat16'", ['float32']),
  ('model.pretrained.head', 'skp', "'skip'", ['match', 'must']),
  ('training.trainable_from', 'conv9', "'conv3'", ['head']),
  ('attack.heads.views', ('whitend',), "'whitened'", ['within']),
  ('attack.measures.releases.adversaries', ('kd',), "'kde'", ['trees']),
  ('attack.measures.reconstruction.attacks', ('decodr',), "'decoder'", []),
]


@pytest.mark.parametrize(('key', 'value', 'near', 'valid'), WRONG_CHOICES)
def test_a_wrong_choice_lists_the_valid_ones(key, value, near, valid):
  message = _refused(key, value)
  assert f' in {key}. Did you mean {near}?' in message
  for name in valid:
    assert name in message


@pytest.mark.parametrize(
  ('key', 'near'),
  [
    ('traning', 'training'),
    ('training.step', 'steps'),
    ('model.options.kernl', 'kernel'),
    ('attack.knn.neighbour', 'neighbours'),
    ('attack.measures.releases.count', 'counts'),
    ('defend.dpfe.margins', 'margin'),
    ('attack.only_at.transfr', 'transfer'),
  ],
)
def test_an_unknown_key_names_the_nearest(key, near):
  message = _refused(key, ('dense1',))
  assert repr(key.rpartition('.')[2]) in message
  assert f'Did you mean {near!r}?' in message


def test_a_group_where_a_value_belongs_and_the_other_way_round():
  assert 'training.steps is a group' in _refused(
    'training.steps', ml_collections.ConfigDict({'conv1': 3})
  )
  assert 'training is 3; it must be a group' in _refused('training', 3)
  assert 'must be a group' in _refused('release.embeddings.simple', 'simple')


def test_whole_numbers_are_numbers():
  config = watch.get_config()
  _set(config, 'training.learning_rate', 1)
  _set(config, 'attack.kde.bandwidths', (1, 2))
  assert validate.prepare(config).training.learning_rate == 1


def test_a_config_that_says_little_gets_the_defaults():
  config = ml_collections.ConfigDict(
    {
      'data': {'name': 'watch'},
      'model': {'name': 'cnn1d', 'split_points': 'dense1'},
    }
  )
  out = validate.prepare(config)
  assert out.model.split_points == ('dense1',)
  assert out.training.steps == 800
  assert out.attack.knn.neighbours == (1, 3, 9, 27, 81)
  assert out.defend.bounded.weight == 0.3
  assert out.data.window == 128
  assert 'training' not in config
  with pytest.raises(errors.UserError, match=r'no model\.name.*cnn1d'):
    validate.prepare(ml_collections.ConfigDict({'data': {'name': 'watch'}}))
  del config.model['split_points']
  with pytest.raises(errors.UserError, match=r'no model\.split_points'):
    validate.prepare(config)


def test_the_config_of_an_audit():
  validate.prepare_audit(audit.get_config())
  config = audit.get_config()
  config.attack.draws = 0
  with pytest.raises(errors.UserError, match=r'attack\.draws is 0'):
    validate.prepare_audit(config)


@pytest.mark.parametrize('names', [('majority', 'my_plugins.guess'), None])
def test_an_adversary_by_its_dotted_path(folder, names):
  config = watch.get_config()
  # A flag gives names with commas as one text.
  config.attack.adversaries = names or ('majority,my_plugins.guess',)
  config.attack.only_at.guess = ('dense1',)
  out = validate.prepare(config)
  assert out.attack.adversaries == ('majority', 'my_plugins.guess')
  assert out.attack.guess.strength == 2.0
  with config.unlocked():
    config.attack.guess = ml_collections.ConfigDict({'strength': -1.0})
  with pytest.raises(errors.UserError, match=r'attack\.guess\.strength is -1'):
    validate.prepare(config)


def test_an_adversary_of_another_package_attacks(folder):
  config = watch.get_config()
  config.attack.adversaries = ('majority', 'my_plugins.guess')
  results = leakage.run_adversaries(
    problems.problem(leak=0.0),
    config.attack.adversaries,
    validate.prepare(config).attack,
    seed=0,
  )
  by_kind = results['who'].best_of_kind['window']
  assert {'majority', 'guess'} <= set(by_kind)
  assert by_kind['guess'][1].adversary == 'guess 2'


@pytest.mark.parametrize(
  ('name', 'parts'),
  [
    ('my_plugins.gues', ["'my_plugins.gues' cannot be imported", 'no module']),
    ('no_package.guess', ["'no_package.guess' cannot be imported"]),
    ('my_plugins.broken', ["'my_plugins.broken'", 'no_such_module']),
    ('my_plugins.empty', ["'my_plugins.empty' has no 'attack'"]),
    ('my_plugins.trees', ["'my_plugins.trees' and 'trees'", 'rename']),
    ('my_plugins.heads', ["'my_plugins.heads'", 'attack.heads', 'rename']),
  ],
)
def test_a_dotted_path_that_is_no_plug_in(folder, name, parts):
  message = _refused('attack.adversaries', (name,))
  for part in parts:
    assert part.lower() in message.lower()


@pytest.mark.parametrize('arg', ['', 'small', 'full', 'tune'])
def test_the_help_has_every_key(arg):
  config = validate.prepare(watch.get_config(arg))
  rows = {
    key: (value, text) for key, value, _, text in config_help.rows(config)
  }
  for key in _keys(config.to_dict()):
    assert key in rows
  assert all(text for _, text in rows.values())
  assert rows['training.steps'][0] == str(config.training.steps)
  assert rows['attack.knn.neighbours'][0] == '1, 3, 9, 27, 81'


def _keys(values, path=''):
  for name, value in values.items():
    key = f'{path}{name}'
    if isinstance(value, dict) and key != 'release.reduced_dim':
      yield from _keys(value, f'{key}.')
    else:
      yield key


def test_the_help_is_plain_text_in_columns():
  stream = io.StringIO()
  config_help.show(validate.prepare(watch.get_config()), stream)
  text = stream.getvalue()
  assert '\x1b' not in text
  group = text[text.index('config.training\n') :]
  line = re.search(r'^ +steps .*$', group, re.MULTILINE)[0]
  assert re.search(r'800 +a whole number, 1 or more', line)
  assert 'Steps of training.' in line


def test_every_option_is_valid_and_has_a_line_of_help():
  for kind in plugins.KINDS:
    for name in plugins.known(kind):
      for key, option in plugins.options(kind, name).items():
        if isinstance(option, plugins.Option):
          option.check(key, option.default)
          assert option.help[0].isupper()
          assert option.help[-1] in '.?'
          assert '\n' not in option.help


def test_unknown_keys_are_those_that_no_group_has():
  config = watch.get_config().to_dict()
  config['attack']['neighbours'] = (1,)
  config['release']['embeddings']['simple']['old'] = 1
  config['rival'] = {}
  assert sorted(config_tree.unknown_keys(config, config_schema.of(config))) == [
    'attack.neighbours',
    'release.embeddings.simple.old',
    'rival',
  ]
