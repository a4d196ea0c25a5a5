import json
import pathlib
import re
import shutil

import ml_collections
import pytest

from configs import watch
from hybrid_jax import errors
from hybrid_jax.models import cnn1d
from hybrid_jax.release import mechanisms
from hybrid_jax.study import runner, validate

_CUTS = cnn1d.Model.SPLIT_POINTS


def _check(config):
  return validate.prepare(config)


def _set(config, key, value):
  *path, last = key.split('.')
  for name in path:
    config = config[name]
  # As if the config had been written so, where another type is of use.
  with config.unlocked(), config.ignore_type():
    config[last] = value


@pytest.mark.parametrize('arg', ['', 'small'])
def test_the_shipped_config_is_good(arg):
  config = watch.get_config(arg)
  _check(config)
  assert set(config.model.split_points) <= set(_CUTS)


def test_embeddings_of_strangers_are_those_of_the_study():
  config = watch.get_config()
  config.strangers.embeddings = ('bounded', 'snaped')
  with pytest.raises(errors.UserError) as caught:
    validate.prepare(config)
  text = str(caught.value)
  assert "'snaped' in strangers.embeddings. Did you mean 'snapped'?" in text
  config.strangers.people_folds = 0
  validate.prepare(config)


def test_an_unknown_argument_of_the_config():
  with pytest.raises(ValueError, match="'smal'"):
    watch.get_config('smal')


# A key, a value, and what the message must name.
REFUSED = {
  'data set': ('data.name', 'wach', ['data set', 'wach', "'watch'"]),
  'data setting': (
    'data.windw',
    64,
    ['setting of data', 'windw', "'window'", 'hop', 'fractions'],
  ),
  'split point': (
    'model.split_points',
    ('conv1', 'conv9'),
    ['split point', 'conv9', *_CUTS],
  ),
  'one split point': (
    'model.split_points',
    'dense',
    ["split point 'dense'", "'dense1'"],
  ),
  'no split point': (
    'model.split_points',
    (),
    ['split_points is ()', 'one or more', *_CUTS],
  ),
  'adversary': (
    'attack.adversaries',
    ('majority', 'treees'),
    ['adversary', 'treees', "'trees'", 'knn'],
  ),
  'no adversary': (
    'attack.adversaries',
    (),
    ['adversaries is ()', 'trees', 'knn'],
  ),
  'view': (
    'attack.heads.views',
    ('whitend',),
    ['view', 'whitend', "'whitened'", 'standardised', 'within'],
  ),
  'weights': (
    'release.embeddings.simple.weights',
    'siames',
    ['weights', 'siames', "'siamese'", 'simple'],
  ),
  'mechanism': (
    'release.embeddings.reduced.mechanisms',
    ('pac',),
    ['release mechanism', 'pac', "'pca'", 'noise', 'snap'],
  ),
  'an adversary elsewhere': (
    'attack.only_at.treees',
    ('dense1',),
    ['adversary', 'treees', "'trees'"],
  ),
  'nowhere for an adversary': (
    'attack.only_at.trees',
    ('conv9',),
    ['split point', 'conv9', 'attack.only_at.trees', *_CUTS],
  ),
  'setting of an embedding': (
    'release.embeddings.noisy_reduced_siamese.nois',
    0.1,
    ['setting of release.embeddings', 'nois', "'noise'", 'mechanisms'],
  ),
  'memory limit': ('input.memory_limit', -1.0, ['input.memory_limit is -1']),
  'steps': ('training.steps', 0, ['training.steps is 0']),
  'batch size': ('siamese.batch_size', 0, ['siamese.batch_size is 0']),
  'every': ('training.every', -5, ['training.every is -5']),
  'a cut without its dimension': (
    'release.reduced_dim',
    ml_collections.ConfigDict({'conv1': 8, 'conv2': 8, 'dense1': 6}),
    ['release.reduced_dim', 'conv3', 'conv1, conv2, dense1'],
  ),
  'a cut without its weight': (
    'siamese.weight',
    ml_collections.ConfigDict({'conv1': 0.1}),
    ['siamese.weight', 'conv2'],
  ),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_check_refuses_and_names_it(case):
  key, value, parts = case
  config = watch.get_config()
  _set(config, key, value)
  with pytest.raises(errors.UserError) as caught:
    _check(config)
  for part in parts:
    assert part in str(caught.value)


def test_one_split_point_may_be_a_word():
  config = watch.get_config()
  _set(config, 'model.split_points', 'conv2')
  _check(config)
  assert validate.asked_split_points(config) == ('conv2',)


def test_at_one_value_is_for_all():
  for value in (0.5, 3, True):
    assert mechanisms.at_split_point(value, 'conv1') is value


@pytest.mark.parametrize(
  'kind', [ml_collections.ConfigDict, ml_collections.FrozenConfigDict]
)
def test_at_a_dict_has_one_for_each(kind):
  # A plain dict within a config becomes one of its own kind.
  value = kind({'noise': {'conv1': 0.1, 'conv3': 0.3}}).noise
  assert mechanisms.at_split_point(value, 'conv1') == 0.1
  assert mechanisms.at_split_point(value, 'conv3') == 0.3
  with pytest.raises(errors.UserError, match=r"'conv2'.*conv1, conv3"):
    mechanisms.at_split_point(value, 'conv2')


def test_claim_makes_the_workdir_the_configs_own(tmp_path):
  config = watch.get_config()
  validate.claim(tmp_path / 'work', config)
  stored = (tmp_path / 'work' / 'config.json').read_bytes()
  assert json.loads(stored)['training']['steps'] == config.training.steps
  # Again, also when it is frozen: nothing changes.
  validate.claim(tmp_path / 'work', watch.get_config())
  validate.claim(tmp_path / 'work', ml_collections.FrozenConfigDict(config))
  assert (tmp_path / 'work' / 'config.json').read_bytes() == stored


@pytest.mark.parametrize(
  ('key', 'value', 'there'),
  [
    ('seed', 1, 0),
    ('training.learning_rate', 0.5, 0.002),
    ('release.reduced_dim.conv2', 3, 8),
    ('attack.adversaries', ('knn',), None),
  ],
)
def test_claim_refuses_the_workdir_of_another(tmp_path, key, value, there):
  validate.claim(tmp_path, watch.get_config())
  stored = (tmp_path / 'config.json').read_bytes()
  config = watch.get_config()
  _set(config, key, value)
  with pytest.raises(errors.UserError) as caught:
    validate.claim(tmp_path, config)
  message = str(caught.value)
  assert str(tmp_path) in message
  # That key, and no other.
  assert re.findall(r'(\S+) \(there', message) == [key]
  if there is not None:
    assert f'{key} (there {there}, asked for {value})' in message
  assert (tmp_path / 'config.json').read_bytes() == stored


def test_claim_lets_a_full_study_add_to_the_study_itself(tmp_path):
  validate.claim(tmp_path, validate.prepare(watch.get_config()))
  full = validate.prepare(watch.get_config('full'))
  validate.claim(tmp_path, full)
  stored = json.loads((tmp_path / 'config.json').read_text())
  assert stored['grid']['seeds'] == full.grid.seeds
  assert 'reconstruction' in stored['attack']['measures']
  # Nothing may be taken away, and nothing of what is there may change.
  with pytest.raises(errors.UserError, match=r'grid\.adversaries \(there'):
    validate.claim(tmp_path, validate.prepare(watch.get_config()))
  full.attack.measures.ceiling.resamples += 1
  with pytest.raises(errors.UserError) as caught:
    validate.claim(tmp_path, full)
  assert re.findall(r'(\S+) \(there', str(caught.value)) == [
    'attack.measures.ceiling.resamples'
  ]


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('attack.only_at.mlp', ('dense1',)),
    ('attack.trees.more', 1),
    ('attack.more', 1),
    ('release.embeddings.more.weights', 'simple'),
  ],
)
def test_claim_lets_nothing_else_be_added(tmp_path, key, value):
  config = validate.prepare(watch.get_config())
  validate.claim(tmp_path, config)
  asked = group = config.to_dict()
  *path, last = key.split('.')
  for part in path:
    group = group.setdefault(part, {})
  group[last] = value
  with pytest.raises(errors.UserError, match=key):
    validate.claim(tmp_path, ml_collections.ConfigDict(asked))


def test_claim_tells_a_key_that_only_one_has(tmp_path):
  validate.claim(tmp_path, watch.get_config())
  config = watch.get_config()
  config.extra = 7
  with pytest.raises(
    errors.UserError, match=r'extra \(there absent, asked for 7\)'
  ):
    validate.claim(tmp_path, config)


def test_claim_a_damaged_workdir(tmp_path):
  (tmp_path / 'config.json').write_text('{"seed": ')
  with pytest.raises(errors.UserError, match='is damaged'):
    validate.claim(tmp_path, watch.get_config())


@pytest.fixture
def old_workdir(tmp_path):
  """As the version before the schema left it."""
  stored = pathlib.Path(__file__).with_name('config_of_an_earlier_version.json')
  shutil.copy(stored, tmp_path / 'config.json')
  return tmp_path


def test_a_workdir_of_an_earlier_version_is_refused(old_workdir):
  for use in (
    lambda: runner.open_study(old_workdir),
    lambda: validate.claim(old_workdir, watch.get_config('small')),
  ):
    with pytest.raises(errors.UserError) as caught:
      use()
    message = str(caught.value)
    assert 'made by an earlier version' in message
    assert 'no setting attack.bandwidths' in message
    assert 'or another --workdir' in message
    assert '\n' not in message


def test_what_is_no_config_of_a_study(tmp_path):
  (tmp_path / 'config.json').write_text('{"seed": 0}')
  with pytest.raises(errors.UserError, match=r'no config of a study.*name'):
    runner.open_study(tmp_path)
