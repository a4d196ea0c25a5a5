"""A grid of trainings: its members, training, points, summary and page."""

import json

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from configs import arrays, watch
from hybrid_jax import errors
from hybrid_jax.cli import grid as command
from hybrid_jax.report import grid_page, grid_plot
from hybrid_jax.study import (
  context,
  grid,
  results,
  runner,
  trainings,
  validate,
)
from hybrid_jax.study.stages import defend, siamese, train
from hybrid_jax.training import (
  checkpoint,
  joint_training,
  loop,
  steps,
  train_state,
)

_STAGES = ('data', 'train', 'grid')


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  """Signals of six people at one of three pitches, and a small network."""
  rng = np.random.default_rng(0)
  n = 240
  primary, person = np.arange(n) % 3, np.arange(n) // 40
  wave = np.sin(np.arange(16) * (0.5 + primary)[:, None])
  x = wave[..., None] * (1 + 0.2 * person)[:, None, None]
  path = tmp_path_factory.mktemp('data') / 'my.npz'
  np.savez(
    path,
    x=(x + 0.1 * rng.standard_normal((n, 16, 2))).astype(np.float32),
    primary=primary,
    sensitive_person=person,
    fold=np.array([0, 0, 1, 2])[np.arange(n) // 3 % 4],
  )
  c = arrays.get_config(f'{path},grid')
  c.model.options = ml_collections.ConfigDict(
    {'widths': (4, 4, 4), 'kernel': 3, 'dense': 8}
  )
  c.release.reduced_dim.dense1 = 3
  for group in (c.training, c.siamese, c.defend):
    group.steps, group.every, group.batch_size = 12, 6, 24
  c.defend.warm_steps = 6
  c.grid.methods = ml_collections.ConfigDict(
    {'siamese': (0.1, 1.0), 'gradient_reversal': (0.3, 1.0)}
  )
  c.grid.margins, c.grid.noise = (5.0,), (0.3, 1.0)
  c.grid.adversaries = ('kde',)
  c.attack.draws = 1
  return c


def _labels(config):
  return list(dict.fromkeys(t.label for t in trainings.of_grid(config)))


def test_labels_and_folders():
  bounded = trainings.Training('bounded')
  assert bounded.label == 'bounded'
  assert bounded.folder('dense1') == 'bounded-dense1-seed0'
  other = trainings.Training('bounded', weight=1.0, seed=2)
  assert other.label == 'bounded@1'
  assert other.folder('dense1') == 'bounded@1-dense1-seed2'
  pairs = trainings.Training('siamese', weight=0.03, margin=5.0, seed=1)
  assert pairs.label == 'siamese@0.03-margin5'
  assert pairs.folder('conv3') == 'siamese@0.03-margin5-conv3-seed1'
  assert trainings.Training('siamese').folder('conv3') == 'siamese-conv3'
  assert trainings.Training('simple').folder('conv3') == 'simple'


@pytest.mark.parametrize(
  ('chosen', 'learnt'), [((), {'person', 'side'}), (('side',), {'side'})]
)
def test_defences_learn_from_the_chosen_labels_alone(chosen, learnt, tmp_path):
  c = watch.get_config('small')
  c.defend.labels = chosen
  study = context.Study(ml_collections.FrozenConfigDict(c), tmp_path)
  params = study.initial_defence_params('gradient_reversal', 'dense1')
  assert set(params['defence']) == learnt
  batch = defend.training_data(study)
  assert set(batch) == {'x', 'primary', *(f'sensitive_{x}' for x in learnt)}
  # All of them are attacked.
  assert set(study.data.sensitive) == {'person', 'side'}


def test_the_shipped_grids():
  assert 'grid' not in watch.get_config()
  c = watch.get_config('full')
  assert _labels(c) == [
    'bounded',
    'bounded@1',
    'contrastive@1',
    'contrastive',
    'distance_correlation',
    'dpfe',
    'gradient_reversal',
    'max_entropy',
    'noise_alone',
  ]
  assert len(trainings.of_grid(c)) == 27
  c = watch.get_config('grid')
  validate.prepare(c)
  # 0.1 and 10 are the config's.
  assert set(_labels(c)) == {
    'siamese@0.03-margin5',
    'siamese@0.03',
    'siamese-margin5',
    'siamese',
    'siamese@0.3-margin5',
    'siamese@0.3',
  }
  assert len(trainings.of_grid(c)) * len(c.grid.noise) >= 24


def test_the_members_of_a_grid(config):
  group = trainings.of_grid(config)
  assert [(t.method, t.weight, t.margin, t.seed) for t in group] == [
    ('gradient_reversal', None, None, 0),
    ('gradient_reversal', None, None, 1),
    ('gradient_reversal', 1.0, None, 0),
    ('gradient_reversal', 1.0, None, 1),
    ('siamese', None, 5.0, 0),
    ('siamese', None, 5.0, 1),
    ('siamese', 1.0, 5.0, 0),
    ('siamese', 1.0, 5.0, 1),
  ]
  for training, weight in zip(group[::2], (0.3, 1.0, 0.1, 1.0), strict=True):
    value = trainings.setting(config, training, 'weight', 'dense1')
    assert value == weight
  assert trainings.setting(config, group[4], 'margin', 'dense1') == 5


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('seeds', 0, 'grid.seeds is 0'),
    ('methods', ml_collections.ConfigDict({'siamese': (-0.1,)}), '-0.1'),
    (
      'methods',
      ml_collections.ConfigDict({'bounded': (1.0, 1.0)}),
      r'grid.methods.bounded is \(1.0, 1.0\)',
    ),
    (
      'methods',
      ml_collections.ConfigDict({'bouned': ()}),
      "Did you mean 'bounded'",
    ),
    ('methods', ml_collections.ConfigDict(), 'grid.methods is empty'),
    ('noise', (), r'grid.noise is \(\)'),
    ('noise', (0.3, 0.3), r'grid.noise is \(0.3, 0.3\)'),
    ('margins', (-1.0,), 'above 0'),
    ('split_point', 'dense2', "Did you mean 'dense1'"),
    ('adversaries', ('tree',), "Did you mean 'trees'"),
    ('adversaries', (), r'grid.adversaries is \(\)'),
  ],
)
def test_an_impossible_grid_is_refused(config, tmp_path, name, value, message):
  wrong = config.copy_and_resolve_references()
  with wrong.ignore_type():
    wrong.grid[name] = value
  with pytest.raises(errors.UserError, match=message):
    runner.run(wrong, tmp_path / 'run', _STAGES)
  assert not (tmp_path / 'run').exists()


def test_the_command_refuses_several_processes(config):
  wrong = config.copy_and_resolve_references()
  wrong.distributed = True
  with pytest.raises(errors.UserError, match='runs in one process'):
    command.check(wrong)


def test_the_command_refuses_a_config_without_a_grid():
  with pytest.raises(errors.UserError, match='watch:grid'):
    command.check(watch.get_config())


# Twelve trainings, as in the shipped grid: eight devices cannot share them
# evenly.
_WEIGHTS = np.linspace(0.5, 2.0, 12).tolist()
_KEYS = list(jax.random.split(jax.random.key(1), 12))
_DATA = {'x': np.random.default_rng(0).normal(size=(40, 3)).astype('f4')}


def _make_step(settings):
  def loss(params, batch, key):
    apart = batch['x'] - params + 0.1 * jax.random.normal(key, params.shape)
    return settings['weight'] * jnp.square(apart).mean(), {}

  return steps.make_step(loss, optax.adam(0.1))


_FIRST = train_state.create(jnp.zeros(3), optax.adam(0.1))


def _fit(folder, vmap, weights=_WEIGHTS, evaluate=lambda _: {}):
  return joint_training.fit(
    _make_step,
    [
      joint_training.Run(
        state=_FIRST,
        key=_KEYS[i],
        settings={'weight': weight},
        data=_DATA,
        evaluate=evaluate,
        folder=folder / str(i),
        label=f'training {i}',
      )
      for i, weight in enumerate(weights)
    ],
    total=9,
    batch_size=16,
    every=5,
    vmap=vmap,
  )


@pytest.fixture(scope='module')
def by_the_loop(tmp_path_factory):
  """The first and the last of the twelve, each trained by `loop.fit`."""
  return {
    i: loop.fit(
      _make_step({'weight': _WEIGHTS[i]}),
      _FIRST,
      _DATA,
      total=9,
      batch_size=16,
      every=5,
      key=_KEYS[i],
      folder=tmp_path_factory.mktemp('alone'),
      evaluate=lambda _: {},
      label='alone',
    )
    for i in (0, 11)
  }


# vmap adds up in another order, so the last bits differ.
@pytest.mark.parametrize(
  ('vmap', 'count', 'bound'),
  [(False, 8, 0), (True, 1, 1e-6), (True, 8, 1e-6)],
)
def test_together_is_one_by_one(
  vmap, count, bound, by_the_loop, tmp_path, monkeypatch
):
  devices = jax.devices()[:count]
  monkeypatch.setattr(jax, 'devices', lambda: devices)
  states = _fit(tmp_path, vmap)
  assert len(states) == 12
  for i, alone in by_the_loop.items():
    assert int(states[i].step) == 9
    np.testing.assert_allclose(
      states[i].params, alone.params, rtol=0, atol=bound
    )
    saved = checkpoint.restore(tmp_path / str(i) / 'checkpoints', _FIRST)
    np.testing.assert_array_equal(saved.params, states[i].params)
    curve = (tmp_path / str(i) / 'curve.jsonl').read_text().splitlines()
    assert [json.loads(line)['step'] for line in curve] == [5, 9]
  assert np.abs(states[0].params - states[11].params).max() > 0.01


@pytest.mark.parametrize('vmap', [False, True])
def test_a_killed_group_goes_on_with_the_same_bits(vmap, tmp_path):
  unbroken = _fit(tmp_path / 'unbroken', vmap)
  count = 0

  def evaluate(params):
    nonlocal count
    count += 1
    if count == 15:
      raise KeyboardInterrupt
    return {}

  with pytest.raises(KeyboardInterrupt):
    _fit(tmp_path / 'killed', vmap, evaluate=evaluate)
  resumed = _fit(tmp_path / 'killed', vmap)
  for a, b in zip(unbroken, resumed, strict=True):
    jax.tree.map(np.testing.assert_array_equal, a, b)
  for i in range(12):
    name = f'{i}/curve.jsonl'
    assert (tmp_path / 'killed' / name).read_bytes() == (
      tmp_path / 'unbroken' / name
    ).read_bytes()


@pytest.mark.parametrize('vmap', [False, True])
def test_a_loss_that_is_not_finite_is_an_error(vmap, tmp_path):
  with pytest.raises(errors.UserError, match="'training 1' is nan at step 5"):
    _fit(tmp_path, vmap, [1.0, float('nan')])


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match='allows 1 to 40'):
    joint_training.fit(
      _make_step,
      [
        joint_training.Run(
          state=_FIRST,
          key=_KEYS[0],
          settings={'weight': 1.0},
          data=_DATA,
          evaluate=lambda _: {},
          folder=tmp_path,
          label='alone',
        )
      ],
      total=1,
      batch_size=48,
      every=1,
    )


@pytest.fixture(scope='module')
def finished(config, one_device, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('grid') / 'run'
  study = runner.run(config, workdir, _STAGES)
  return study, results.read_grid(study)


def _vector(params):
  return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def test_the_results_of_a_grid(config, finished):
  study, summary = finished
  points = summary['points']
  assert len(points) == 16
  assert [(p['method'], p['seed'], p['noise']) for p in points[-4:]] == [
    ('siamese@1-margin5', 0, 0.3),
    ('siamese@1-margin5', 0, 1.0),
    ('siamese@1-margin5', 1, 0.3),
    ('siamese@1-margin5', 1, 1.0),
  ]
  for point in points:
    assert set(point['utility']) == {'validation', 'test'}
    assert 0 <= point['leakage']['person']['value'] <= 1
    assert point['bits'] > 0
  assert len(summary['table']) == 8
  assert summary['chance']['leakage']['person'] == pytest.approx(1 / 6, abs=0.1)
  # The trainings differ in their weights and in their seeds.
  params = [
    _vector(study.params(t, 'dense1')) for t in trainings.of_grid(config)
  ]
  for a, b in ((0, 1), (0, 2), (4, 5), (4, 6)):
    assert np.abs(params[a] - params[b]).max() > 1e-4
  # Twice the noise, half the signal: fewer bits.
  for quiet, noisy in zip(points[::2], points[1::2], strict=True):
    assert noisy['bits'] < quiet['bits']


def test_a_siamese_training_is_that_of_a_study(config, finished, tmp_path):
  """A study with a point's settings trains the same network, to the bit."""
  study, _ = finished
  own = config.copy_and_resolve_references()
  own.siamese.weight, own.siamese.margin = 1.0, 5.0
  alone = runner.run(own, tmp_path / 'run', ('data', 'train', 'siamese'))
  of_grid = study.params(trainings.Training('siamese', 1.0, 5.0), 'dense1')
  np.testing.assert_array_equal(
    _vector(of_grid), _vector(alone.params('siamese', 'dense1'))
  )


def test_a_siamese_training_is_that_of_the_loop(config, finished, tmp_path):
  """The weight and margin as constants of the program give the same bits."""
  study, _ = finished
  tx = study.optimizer(config.siamese)
  loss = ml_collections.ConfigDict(
    {'weight': 1.0, 'margin': 5.0, 'balance_pairs': True}
  )
  state = loop.fit(
    steps.make_siamese_step(
      study.trainable, tx, 'dense1', loss, study.augment()
    ),
    train_state.create(study.params('simple'), tx),
    train.data(study),
    total=12,
    batch_size=24,
    every=6,
    key=study.key('siamese', 'dense1'),
    folder=tmp_path,
    evaluate=lambda _: {},
    label='alone',
  )
  of_grid = study.params(trainings.Training('siamese', 1.0, 5.0), 'dense1')
  np.testing.assert_array_equal(_vector(of_grid), _vector(state.params))


@pytest.mark.skipif(
  jax.__version_info__ < (0, 8), reason='JAX 0.7 cannot; see is_vmapped'
)
def test_vmap_is_within_the_bound(config, finished, tmp_path, monkeypatch):
  study, _ = finished
  other = context.Study(study.config, tmp_path / 'run')
  runner.run(config, other.workdir, ('data', 'train'))
  monkeypatch.setattr(joint_training, 'is_vmapped', lambda: True)
  group = [t for t in trainings.of_grid(config) if t.method == 'siamese']
  siamese.train_group(other, group, 'dense1')
  for training in group:
    # After few steps only the last bits differ.
    np.testing.assert_allclose(
      _vector(other.params(training, 'dense1')),
      _vector(study.params(training, 'dense1')),
      rtol=0,
      atol=1e-5,
    )


def test_a_grid_that_is_killed_twice_gives_the_same_bytes(
  config, finished, tmp_path, monkeypatch
):
  study, _ = finished
  save, workdir = checkpoint.save, tmp_path / 'run'

  def kill_after(saves):
    count = 0

    def killed(*args):
      nonlocal count
      count += 1
      if count > saves:
        raise KeyboardInterrupt
      save(*args)

    monkeypatch.setattr(checkpoint, 'save', killed)
    with pytest.raises(KeyboardInterrupt):
      runner.run(config, workdir, _STAGES)

  kill_after(5)  # in the first training, after the warm starts
  kill_after(8)  # among the trainings of the second method
  assert not (workdir / 'results/grid.json').exists()
  monkeypatch.setattr(checkpoint, 'save', save)
  again = runner.run(config, workdir, _STAGES)
  assert again.result('grid').read_bytes() == study.result('grid').read_bytes()


def test_a_finished_grid_is_kept(config, finished):
  study, _ = finished
  before = study.result('grid').stat().st_mtime_ns
  runner.run(config, study.workdir, _STAGES)
  assert study.result('grid').stat().st_mtime_ns == before


def test_the_page_and_the_table(finished, monkeypatch):
  monkeypatch.setenv('COLUMNS', '160')
  _, summary = finished
  text = grid_page.terminal(summary)
  assert 'Hypervolume' in text
  assert 'Siamese, weight 1, margin 5' in text
  page = grid_page.render(summary, 'signals')
  assert 'A grid of trainings on signals' in page
  assert page.count('found</th>') == 2
  assert page.count('Siamese, weight 1, margin 5</td>') >= 2


def _point(method, seed, utility, leakage, noise=0.3):
  """A point whose advantage is `leakage`, at a chance of 0."""
  figures = {
    'value': leakage,
    'chance': 0.0,
    'validation': leakage,
    'validation_chance': 0.0,
  }
  return {
    'method': method,
    'seed': seed,
    'noise': noise,
    'utility': {'test': utility, 'validation': utility},
    'leakage': {'person': figures},
    'bits': 1.0,
  }


@pytest.fixture
def summary(config):
  points = [
    _point('siamese-margin5', 0, 0.95, 0.5),
    _point('siamese-margin5', 1, 0.85, 0.6),
    _point('siamese@1-margin5', 0, 0.9, 0.2),
    _point('siamese@1-margin5', 1, 0.9, 0.1),
    _point('gradient_reversal', 0, 0.7, 0.05),
    _point('gradient_reversal', 1, 0.7, 0.05),
    _point('gradient_reversal@1', 0, 0.7, 0.2),
    _point('gradient_reversal@1', 1, 0.7, 0.2),
  ]
  simple = {
    'validation': {'value': 0.91, 'chance': 0.3},
    'test': {'value': 0.88, 'chance': 0.3},
  }
  return grid.summarise(config, points, simple)


def test_the_front_and_the_operating_point_by_hand(summary):
  table = summary['table']
  utility = [row['utility']['value'] for row in table]
  assert utility == pytest.approx([0.9, 0.9, 0.7, 0.7])
  advantage = [row['advantage']['value'] for row in table]
  assert advantage == pytest.approx([0.55, 0.15, 0.05, 0.2])
  # The first has the second's utility and more leakage.
  assert [row['front'] for row in table] == [False, True, True, False]
  assert summary['wanted_utility'] == pytest.approx(0.91 - 0.015)
  chosen = {'method': 'siamese@1-margin5', 'noise': 0.3}
  assert summary['operating_point'] == chosen
  assert summary['matched'] == {'siamese': chosen, 'gradient_reversal': None}
  assert grid_page.marks(summary) == ['', 'front, chosen', 'front', '']
  assert grid_page.deployment(summary) == (
    '--config.siamese.weight=1 --config.siamese.margin=5'
    ' --config.release.noise=0.3'
  )
  rows = grid_plot.methods(summary)
  assert [(row['name'], row['reaches'], row['chosen']) for row in rows] == [
    ('Siamese, weight 1, margin 5', True, True),
    ('gradient reversal', False, False),
  ]


@pytest.mark.parametrize(
  ('method', 'noise', 'flags'),
  [
    ('bounded', 1.0, '--config.defend.bounded.weight=2'),
    ('bounded', 1.5, ''),  # The study trains with noise 1.
    ('dpfe', 1.0, ''),  # No embedding of the study has its weights.
  ],
)
def test_the_flags_of_a_defence(method, noise, flags):
  training = {
    'method': method,
    'weight': 2.0,
    'margin': None,
    'is_released': method == 'bounded',
  }
  point = {'method': f'{method}@2', 'noise': noise}
  summary = {
    'operating_point': point,
    'trainings': {point['method']: training},
  }
  assert grid_page.deployment(summary) == flags


def test_the_interval_and_the_hypervolume_by_hand(summary):
  # Above 80 %. Seed 0: to 90 % at advantage 0.2, and 5 points more at 0.5.
  # Seed 1: to 90 % at advantage 0.1.
  first = (0.1 * 0.8 + 0.05 * 0.5) / 0.2
  second = 0.1 * 0.9 / 0.2
  volume = summary['hypervolume']['siamese']
  assert volume['value'] == pytest.approx((first + second) / 2)
  # Student's t for one degree of freedom at 97.5 % is 12.706; the standard
  # error of two values is half their difference.
  half = 12.7062 * abs(first - second) / 2
  assert volume['high'] - volume['value'] == pytest.approx(half, rel=1e-4)
  assert summary['hypervolume']['gradient_reversal']['value'] == 0
  assert volume['seeds'] == 2


def test_ties_go_to_the_higher_utility(config):
  points = [
    _point('siamese-margin5', 0, 0.93, 0.2001),
    _point('siamese@1-margin5', 0, 0.95, 0.2004),
  ]
  utility = {'value': 0.9, 'chance': 0.3}
  simple = {'validation': utility, 'test': utility}
  one_seed = config.copy_and_resolve_references()
  one_seed.grid.seeds = 1
  one_seed.grid.methods = ml_collections.ConfigDict({'siamese': (0.1, 1.0)})
  summary = grid.summarise(one_seed, points, simple)
  assert summary['operating_point']['method'] == 'siamese@1-margin5'


def test_metrics_have_no_details(summary):
  assert set(grid.public(summary)) == {
    'table',
    'wanted_utility',
    'simple_utility',
    'matched',
    'operating_point',
    'corner',
    'hypervolume',
  }
