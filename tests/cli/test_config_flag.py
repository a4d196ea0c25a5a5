"""--config.KEY=VALUE: every setting of the schema, from text to its type."""

import sys

import pytest
from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command, config_flag, config_help, grid
from hybrid_jax.study import config_files, config_schema, validate

_CONFIG = grid._CONFIG  # One process has one flag of this name.


@pytest.fixture
def read():
  """Returns the config of a command line, as a command reads it."""

  def read(*arguments, tree=config_schema.of):
    command._parse([sys.argv[0], *arguments])
    return config_flag.read(_CONFIG, tree)

  yield read
  flags.FLAGS.unparse_flags()
  for name in ('config', 'config_setting'):
    flags.FLAGS[name].unparse()


@pytest.mark.parametrize(
  ('argument', 'key', 'value'),
  [
    ('--config.training.steps=7', 'training.steps', 7),
    ('--config.training.learning_rate=1', 'training.learning_rate', 1.0),
    ('--config.siamese.balance_pairs=False', 'siamese.balance_pairs', False),
    ('--noconfig.siamese.balance_pairs', 'siamese.balance_pairs', False),
    ('--config.distributed', 'distributed', True),
    ('--config.attack.windows=1,4', 'attack.windows', (1, 4)),
    ('--config.attack.windows=4', 'attack.windows', (4,)),
    ('--config.attack.mlp.widths=((64,),)', 'attack.mlp.widths', ((64,),)),
    ('--config.attack.adversaries=kde,trees', 'attack.adversaries', None),
    ('--config.release.embeddings.simple.title=7', None, '7'),
    ('--config.release.embeddings.reduced.reduced_dim=3', None, 3),
    ('--config.release.reduced_dim.dense1=5', 'release.reduced_dim.dense1', 5),
    (
      "--config.siamese.weight={'dense1': 0.5}",
      'siamese.weight.dense1',
      0.5,
    ),
    ('--config.attack.only_at.trees=dense1', 'attack.only_at.trees', None),
    ("--config.grid.methods={'siamese': (0.1,)}", None, (0.1,)),
  ],
)
def test_a_setting_has_the_type_of_its_option(read, argument, key, value):
  config = validate.prepare(read('--config=watch:small', argument))
  key = key or argument.split('=')[0].removeprefix('--config.')
  for name in key.split('.'):
    config = config[name]
  if key == 'grid.methods':
    config = config['siamese']
  value = value or {
    'attack.adversaries': ('kde', 'trees'),
    'attack.only_at.trees': ('dense1',),
  }.get(key, value)
  assert config == value
  assert type(config) is type(value)


def test_a_value_may_follow_its_key(read):
  config = read(
    '--config=watch', '--config.training.steps', '9', '--config.seed', '3'
  )
  assert (config.training.steps, config.seed) == (9, 3)


def test_every_setting_of_help_config_can_be_set(read, tmp_path):
  # A file with as little as possible, so that every key is missing there.
  path = tmp_path / 'mine.py'
  path.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    '  return ml_collections.ConfigDict({\n'
    "    'data': {'name': 'watch'},\n"
    "    'model': {'name': 'cnn1d', 'split_points': ('dense1',)},\n"
    "    'release': {'embeddings': {'simple': {'weights': 'simple'}}}})\n"
  )
  plain = validate.prepare(config_files.load(str(path)))
  arguments = []
  for key, value, _, _ in config_help.rows(plain):
    if key in ('attack.only_at', 'attack.measures'):
      continue
    value = 'None' if value == '–' else value.strip("'")
    arguments.append(f'--config.{key}={value}')
  assert len(arguments) > 100
  config = validate.prepare(read(f'--config={path}', *arguments))
  plain, config = plain.to_dict(), config.to_dict()
  assert config_help.rows(config) == config_help.rows(plain)


def test_an_audit_has_its_config_by_default(read):
  config = read(
    '--config=audit', '--config.attack.draws=2', tree=config_schema.of_audit
  )
  assert config.attack.draws == 2


@pytest.mark.parametrize(
  ('arguments', 'parts'),
  [
    (
      ['--config.training.steps=x'],
      ["training.steps is 'x'; it must be", '1 or more (steps)'],
    ),
    (['--config.training.steps=-3'], ['training.steps is -3; it must be a wh']),
    (['--config.training.step=3'], ["of config.training 'step'", "'steps'?"]),
    (
      ['--config.data.split_points=dense1'],
      ["of config.data 'split_points'", 'Elsewhere: config.model.split_points'],
    ),
    (['--config.training=3'], ['training is 3; it must be a group']),
    (['--config.data.fractions.x.y=3'], ['config.data.fractions is (', "'y'"]),
    (
      ['--config.release.embeddings.bonded.noise=1'],
      ["config.release.embeddings 'bonded'", "mean 'bounded'?"],
    ),
    (
      ['--config.attack.measures.rank.max_items=1'],
      ["config.attack.measures 'rank'", "mean 'ranks'?"],
    ),
    (
      ["--config.siamese.weight={'dense1': 1.0, 'dense9': 1.0}"],
      ["unknown split point 'dense9' in siamese.weight", "mean 'dense1'?"],
    ),
    (['--config_setting=training.steps'], ['is not KEY=VALUE']),
    (['--config=wach'], ["'wach' is neither", "mean 'watch'?"]),
  ],
)
def test_a_mistake_names_the_key_and_the_valid_values(read, arguments, parts):
  with pytest.raises(errors.UserError) as caught:
    validate.prepare(read('--config=watch:small', *arguments))
  for part in parts:
    assert part in str(caught.value)
  assert '\n' not in str(caught.value)
