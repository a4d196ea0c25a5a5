"""A grid of trainings in one program: as the loop's, one by one."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from configs import arrays, watch
from hybrid_jax import errors
from hybrid_jax.report import sweep_page
from hybrid_jax.study.sweep import grid, networks, points, run
from hybrid_jax.training import loop, steps, train_state, vmapped_training

# vmap adds up in another order: after a few steps it differs in the last bits.
BOUND = 1e-5


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
  c = arrays.get_config(f'{path},sweep')
  c.model.options = ml_collections.ConfigDict(
    {'widths': (4, 4, 4), 'kernel': 3, 'dense': 8}
  )
  c.release.reduced_dim.dense1 = 3
  for group in (c.training, c.siamese):
    group.steps, group.every, group.batch_size = 12, 6, 24
  c.sweep.weight, c.sweep.margin, c.sweep.noise = (0.1, 1.0), (5.0,), (0.3, 1.0)
  c.sweep.adversaries = ('kde',)
  c.attack.draws = 1
  return c


def test_the_shipped_grid_is_large_enough():
  c = watch.get_config('sweep')
  grid.check(c)
  assert len(grid.points(c)) >= 24


def test_each_point_has_its_place(config):
  found = grid.points(config)
  assert [p.index for p in found] == list(range(8))
  assert [(p.training.seed, p.training.weight, p.noise) for p in found] == [
    (seed, weight, noise)
    for seed in (0, 1)
    for weight in (0.1, 1.0)
    for noise in (0.3, 1.0)
  ]
  own = grid.config_of(config, found[6].training)
  assert (own.seed, own.siamese.weight, own.siamese.margin) == (1, 1.0, 5.0)
  assert {e.noise for e in own.release.embeddings.values()} == {0.3, 1.0}
  assert own.release.embeddings[found[6].embedding].noise == 0.3
  assert 'sweep' not in own
  assert config.seed == 0


@pytest.mark.parametrize(
  ('name', 'value', 'told'),
  [
    ('seeds', 0, 'sweep.seeds is 0'),
    ('weight', (), r'sweep.weight is \(\)'),
    ('noise', (0.3, 0.3), r'sweep.noise is \(0.3, 0.3\)'),
    ('margin', (-1.0,), 'positive'),
    ('mapping', 'pmap', "unknown mapping of a sweep 'pmap'"),
    ('split_point', 'dense2', "Did you mean 'dense1'"),
    ('adversaries', ('tree',), "Did you mean 'trees'"),
  ],
)
def test_a_grid_that_cannot_be_is_refused(config, name, value, told):
  wrong = config.copy_and_resolve_references()
  wrong.sweep[name] = value
  with pytest.raises(errors.UserError, match=told):
    grid.check(wrong)


def test_a_distributed_sweep_is_refused(config):
  wrong = config.copy_and_resolve_references()
  wrong.distributed = True
  with pytest.raises(errors.UserError, match='a sweep is one process'):
    grid.check(wrong)


def test_a_config_without_a_grid_is_refused():
  with pytest.raises(errors.UserError, match=r'watch\.py:sweep'):
    grid.check(watch.get_config())


def _make_step(own):
  def loss(params, batch, key):
    apart = batch['x'] - params + 0.1 * jax.random.normal(key, params.shape)
    return own['weight'] * jnp.square(apart).mean(), {}

  return steps.make_step(loss, optax.adam(0.1))


# Twelve trainings, as in the shipped grid: eight devices cannot share them
# evenly.
_WEIGHTS = jnp.linspace(0.5, 2.0, 12)
_KEYS = list(jax.random.split(jax.random.key(1), 12))
_FIRST = train_state.create(jnp.zeros(3), optax.adam(0.1))
_DATA = {'x': np.random.default_rng(0).normal(size=(40, 3)).astype('f4')}


@pytest.fixture(scope='module')
def by_the_loop(tmp_path_factory):
  """The first and the last of the twelve."""
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


@pytest.mark.parametrize(
  ('mapping', 'count', 'bound'),
  [('map', 8, 0), ('vmap', 1, 1e-6), ('vmap', 8, 1e-6)],
)
def test_together_is_the_loop(mapping, count, bound, by_the_loop):
  found = vmapped_training.fit(
    _make_step,
    [_FIRST] * 12,
    _KEYS,
    {'weight': _WEIGHTS},
    _DATA,
    total=9,
    batch_size=16,
    mapping=mapping,
    devices=jax.devices()[:count],
  )
  assert len(found.states) == 12
  for i, alone in by_the_loop.items():
    assert int(found.states[i].step) == 9
    np.testing.assert_allclose(
      found.states[i].params, alone.params, rtol=0, atol=bound
    )
  assert run.apart(found.states[0].params, found.states[11].params) > 0.01


def test_a_loss_that_is_not_finite_is_told():
  with pytest.raises(errors.UserError, match='loss of training 1 is nan'):
    vmapped_training.fit(
      _make_step,
      [train_state.create(jnp.zeros(3), optax.adam(0.1))] * 2,
      list(jax.random.split(jax.random.key(1), 2)),
      {'weight': jnp.array([1.0, jnp.nan])},
      {'x': np.ones((16, 3), np.float32)},
      total=2,
      batch_size=8,
      mapping='map',
    )


@pytest.fixture(scope='module')
def swept(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('sweep')
  return workdir, run.run(config, workdir, alone=1)


def test_a_row_is_made_again_alone(config, swept):
  workdir, found = swept
  one = run.run_one(config, workdir, 6)
  assert one['row']['seed'] == 1
  # On the CPU, where 'auto' maps, it is the same to the bit.
  assert set(one['difference'].values()) == {0.0}
  front = {'front': found['rows'][6]['front']}
  assert one['row'] | front == found['rows'][6]
  assert 'point 6 alone (seed 1, weight 1,' in sweep_page.one(one)
  with pytest.raises(errors.UserError, match='the grid has 0 to 7'):
    run.run_one(config, workdir, 8)


@pytest.mark.skipif(
  jax.__version_info__ < (0, 8), reason='JAX 0.7 cannot; see is_vmapped'
)
def test_vmap_is_within_the_bound(config, swept):
  workdir, _ = swept
  studies = networks.open_studies(config, workdir)
  trained = networks.train_siamese(studies, 'vmap')
  for study, state in zip(studies, trained.states, strict=True):
    there = study.params('siamese', 'dense1')
    assert run.apart(state.params, there) <= BOUND
  assert run.apart(trained.states[0].params, trained.states[1].params) > 1e-3


def test_the_page_and_what_it_tells(config, swept):
  workdir, found = swept
  assert [row['index'] for row in found['rows']] == list(range(8))
  compared = found['comparison']
  assert compared['difference'] == 0
  assert compared['ratio'] == pytest.approx(
    compared['together_seconds'] / (4 * compared['alone_seconds'])
  )
  text = sweep_page.terminal(found)
  assert '4 trainings in one program' in text
  assert 'Hypervolume' in text
  page = sweep_page.render(found, 'signals')
  assert 'A sweep of the signals study' in page
  assert page.count('found</th>') == 1
  # Nothing is trained again, and the figures stay.
  assert run.run(config, workdir)['rows'] == found['rows']


def _row(index, weight, seed, utility, advantage):
  figures = {'value': utility, 'chance': 0.3}
  return {
    'index': index,
    'weight': weight,
    'margin': 5.0,
    'noise': 0.3,
    'seed': seed,
    'utility': {'test': figures, 'validation': figures},
    'advantage': {'test': advantage, 'validation': advantage},
  }


def test_the_front_and_what_is_chosen(config):
  rows = [
    _row(3, 1.0, 1, 0.7, 0.05),  # below the wanted utility
    _row(0, 0.1, 0, 0.95, 0.5),
    _row(1, 0.1, 1, 0.85, 0.6),  # beaten by the first
    _row(2, 1.0, 0, 0.9, 0.2),
  ]
  found = points.summarise(
    config,
    rows,
    [{'validation': 0.9, 'test': 0.8}, {'validation': 0.92, 'test': 0.9}],
  )
  assert [row['front'] for row in found['rows']] == [True, False, True, True]
  assert found['wanted_utility'] == pytest.approx(0.91 - 0.015)
  assert found['chosen'] == 2
  # Above 80 %: to 90 % with advantage 0.2, and 5 points more with 0.5.
  assert found['hypervolume']['all'] == pytest.approx(
    (0.1 * 0.8 + 0.05 * 0.5) / 0.2
  )
  assert found['hypervolume']['by_weight']['1'] == pytest.approx(
    0.1 * 0.8 / 0.2
  )
  means = found['means']
  assert [m['utility']['value'] for m in means] == pytest.approx([0.9, 0.8])
  assert [m['advantage']['value'] for m in means] == pytest.approx(
    [0.55, 0.125]
  )
