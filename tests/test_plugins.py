import inspect

import pytest

from hybrid_jax import errors, plugins

SOME = {
  'data set': {'watch'},
  'model': {'cnn1d'},
  'release mechanism': {'noise', 'pca', 'snap'},
  'defence': {
    'bounded', 'contrastive', 'distance_correlation', 'dpfe',
    'gradient_reversal', 'max_entropy', 'noise_alone'
  },
  'adversary': {
    'decensor', 'kde', 'knn', 'linear', 'majority', 'mlp', 'transfer', 'trees'
  },
  'reconstruction': {'decoder', 'inversion'},
  'measure': {
    'attacker_data', 'ceiling', 'leakage', 'ranks', 'reconstruction', 'releases'
  },
}  # fmt: skip

# What each kind's plug-in must have, and the arguments it is called with.
CONTRACTS = {
  'data set': ('load', ['config']),
  'model': ('Model', None),
  'release mechanism': ('fit', ['features', 'config', 'split_point']),
  'defence': ('make', ['config']),
  'adversary': ('attack', ['problem', 'config', 'seed']),
  'reconstruction': ('reconstruct', ['problem', 'config', 'seed']),
  'measure': ('measure', ['problem', 'config', 'seed']),
}


def test_all_kinds_are_tested():
  assert plugins.KINDS.keys() == SOME.keys() == CONTRACTS.keys()


@pytest.mark.parametrize('kind', SOME)
def test_known_finds_the_files(kind):
  known = plugins.known(kind)
  assert set(known) >= SOME[kind]
  assert known == sorted(known)
  assert not {'base', '__init__'} & set(known)


@pytest.mark.parametrize('kind', SOME)
def test_each_keeps_its_contract_and_says_what_it_is(kind):
  attribute, arguments = CONTRACTS[kind]
  for name in plugins.known(kind):
    module = plugins.load(kind, name)
    assert module.__name__.endswith(f'{plugins.KINDS[kind][0]}.{name}')
    made = getattr(module, attribute)
    if arguments is not None:
      assert list(inspect.signature(made).parameters) == arguments
    line = plugins.describe(kind, name)
    assert '\n' not in line
    # The whole first line of the docstring, read without an import.
    assert line == module.__doc__.splitlines()[0]
    assert len(line) > 10


def test_a_data_set_tells_its_settings():
  for name in plugins.known('data set'):
    assert isinstance(plugins.load('data set', name).OPTIONS, dict)


@pytest.mark.parametrize(
  ('kind', 'wrong', 'near'),
  [
    ('data set', 'wacth', 'watch'),
    ('model', 'cnn', 'cnn1d'),
    ('release mechanism', 'pac', 'pca'),
    ('adversary', 'tree', 'trees'),
  ],
)
@pytest.mark.parametrize('use', [plugins.load, plugins.describe])
def test_an_unknown_name_lists_the_known_and_the_nearest(
  use, kind, wrong, near
):
  with pytest.raises(errors.UserError) as caught:
    use(kind, wrong)
  message = str(caught.value)
  assert f'unknown {kind} {wrong!r}. Did you mean {near!r}?' in message
  for name in plugins.known(kind):
    assert name in message


def test_what_is_near_nothing_gets_no_hint():
  with pytest.raises(errors.UserError) as caught:
    plugins.load('model', 'xyzzy')
  assert 'Did you mean' not in str(caught.value)


@pytest.mark.parametrize('name', ['base', '__init__', '../errors', 'base.'])
def test_what_is_no_plugin_is_not_loaded(name):
  with pytest.raises(errors.UserError, match='unknown adversary'):
    plugins.load('adversary', name)


def test_nothing_known_says_so():
  with pytest.raises(errors.UserError, match=r"'a'\. Known: none\."):
    errors.check_known('thing', 'a', [])
  errors.check_known('thing', 'a', ['b', 'a'])
