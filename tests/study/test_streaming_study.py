"""A study whose examples are not in memory."""

import dataclasses
import json

import jax
import ml_collections
import numpy as np
import pytest

from configs import watch
from hybrid_jax import errors
from hybrid_jax.datasets import dataset, normalization, sources
from hybrid_jax.datasets import watch as watch_data
from hybrid_jax.measures import reconstruction
from hybrid_jax.models import split_model
from hybrid_jax.study import context, problems, runner, validate
from hybrid_jax.training import grain_pipeline

_STAGES = ('data', 'train', 'siamese', 'defend', 'release', 'attack')
_BUDGET = 8 * 2**20  # bytes; a quarter holds 682 of the windows of 3,072 bytes


def _config(**settings):
  c = watch.get_config('small')
  c.input.update({'memory_limit': 0.0, **settings})
  c.model.options.widths = (8, 8, 8)
  for stage in (c.training, c.siamese, c.defend):
    stage.steps = stage.every = 4
  c.defend.warm_steps = 4
  kept = ('simple', 'bounded')
  for name in set(c.release.embeddings) - set(kept):
    del c.release.embeddings[name]
  c.defend.noise_draws = c.attack.draws = 1
  c.attack.windows = (1,)
  c.data.hop = 128
  c.attack.adversaries = ('majority', 'knn')
  c.attack.knn.neighbours = (1,)
  for name in set(c.attack.measures) - {'reconstruction'}:
    del c.attack.measures[name]
  reconstruct = c.attack.measures.reconstruction
  reconstruct.attacks = ('decoder',)
  reconstruct.decoder.update({'steps': 5, 'widths': (8,)})
  return c


def _study(config, folder):
  return context.Study(ml_collections.FrozenConfigDict(config), folder)


class _Windows(sources.Source):
  """The windows of the watch, read one by one."""

  def __init__(self, x):
    self.shape, self.dtype, self._x = x.shape, x.dtype, x

  def __getitem__(self, index):
    return self._x[index]


@pytest.fixture(scope='module')
def streamed(one_device, tmp_path_factory):
  data = watch_data.load(_config().data)
  lazy = dataset.validate(dataclasses.replace(data, x=_Windows(data.x)))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(watch_data, 'load', lambda config: lazy)
    patch.setattr(sources.Source, 'memory_budget', _BUDGET)
    folder = tmp_path_factory.mktemp('streamed') / 'run'
    yield runner.run(_config(), folder, _STAGES)


def _read(made, *names):
  return json.loads(made.result(*names).read_text())


def test_the_study_finishes_and_reads_in_batches(streamed):
  assert sources.is_lazy(streamed.data.x)
  assert sources.is_lazy(streamed.x)
  assert _read(streamed, 'data')['streamed'] is True
  for split_point, name in streamed.targets:
    clean = np.load(streamed.released_path(split_point, name))['clean']
    assert len(clean) == len(streamed.x)
  for run in ('simple', 'siamese-dense1', 'warm-dense1-seed0'):
    curve = streamed.workdir / 'training' / run / 'curve.jsonl'
    assert 'input_wait' in json.loads(curve.read_text().splitlines()[-1])


def test_normalization_equals_that_of_arrays(streamed, tmp_path):
  whole = _study(_config(memory_limit=4.0), tmp_path)
  assert isinstance(whole.data.x, np.ndarray)
  for got, want in (
    (streamed.normalizer.mean, whole.normalizer.mean),
    (streamed.normalizer.std, whole.normalizer.std),
    (
      sources.read_rows(streamed.x, np.arange(0, 1000, 70)),
      whole.x[:1000:70],
    ),
  ):
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_normalization_far_from_zero():
  rng = np.random.default_rng(0)
  x = rng.normal([1e4, -3.0, 5.0], [1e-2, 4.0, 0.0], (700, 1, 5, 3))
  want = normalization.fit_normalizer(x)
  got = normalization.fit_normalizer(sources.InMemorySource(x))
  np.testing.assert_allclose(got.mean, want.mean, rtol=1e-6)
  np.testing.assert_allclose(got.std, want.std, rtol=1e-6)
  assert got.std[2] == 1


def test_features_equal_those_of_arrays(streamed):
  whole = _study(_config(memory_limit=4.0), streamed.workdir)
  np.testing.assert_allclose(
    streamed.features('simple', 'dense1'),
    whole.features('simple', 'dense1'),
    rtol=1e-4,
    atol=1e-5,
  )


def test_a_part_of_the_raw_inputs_is_attacked(streamed):
  raw = problems.control(streamed, 'raw')
  count = len(raw.fold)
  labels = streamed.data.labels()
  classes = sum(len(np.unique(v)) for v in labels.values())
  assert 682 <= count <= 682 + 3 + classes
  for figures in _read(streamed, 'leakage', 'control-raw').values():
    assert figures['examples'] == count
  for figures in _read(streamed, 'leakage', 'dense1-simple').values():
    assert 'examples' not in figures
  assert raw.cloud is not None
  start = raw.cloud(3).fresh(jax.random.key(0))
  assert raw.cloud(3).apply(start, raw.clean[:2]).shape == (2, 3)
  # They are the study's own, of every recording, and each class trains.
  assert raw.clean.shape == (count, 128 * 6)
  assert set(raw.recording) == set(streamed.data.recording)
  for name, values in raw.sensitive.items():
    assert set(values[raw.fold == 0]) == set(streamed.data.sensitive[name])
  found = _read(streamed, 'reconstruction', 'dense1-simple')
  assert 682 <= found['examples'] <= 682 + 3  # One for what is left of a fold.


def test_a_subsample_is_even(monkeypatch):
  x = sources.InMemorySource(np.zeros((100, 25), np.float32))  # 100 bytes each
  fold = np.repeat([0, 1, 2], [60, 20, 20])
  recording = np.arange(100) % 10
  x.memory_budget = 4 * 50 * 100
  rows = sources.subsample_rows(x, fold, recording)
  np.testing.assert_array_equal(np.bincount(fold[rows]), [30, 10, 10])
  np.testing.assert_array_equal(np.bincount(recording[rows]), [5] * 10)
  x.memory_budget = 10**6
  np.testing.assert_array_equal(
    sources.subsample_rows(x, fold, recording), np.arange(100)
  )
  np.testing.assert_array_equal(
    sources.subsample_rows(np.zeros((7, 2)), fold[:7], recording[:7]),
    np.arange(7),
  )


def test_all_inputs_in_memory_are_rebuilt(streamed):
  config = ml_collections.ConfigDict(streamed.config.attack.to_dict())
  config.measures.reconstruction.attacks = ()
  whole = _study(_config(memory_limit=4.0), streamed.workdir)
  problem = problems.of_embedding(whole, 'dense1', 'simple')
  found = reconstruction.measure(problem, config, 0)
  assert found is not None
  assert found['examples'] == len(streamed.x)
  assert list(found['attacks']) == ['class mean']


def test_processes_and_threads_read_the_same(streamed, tmp_path):
  made = runner.run(_config(workers=1), tmp_path, ('train',))
  jax.tree.map(
    np.testing.assert_array_equal,
    made.params('simple'),
    streamed.params('simple'),
  )


def test_nan_in_lazy_examples_is_one_clear_error(streamed, tmp_path):
  data = streamed.data
  x = sources.read_all(data.x).copy()
  x[1234, 0, 5, 2] = np.nan
  made = _study(_config(), tmp_path)
  lazy = sources.FunctionSource(len(x), x.shape[1:], 'float32', x.__getitem__)
  bad = dataset.validate(dataset.Dataset(**{**data.__dict__, 'x': lazy}))
  made.__dict__['data'] = bad
  with pytest.raises(
    errors.UserError,
    match=f'^example 1234, of recording {data.recording[1234]}, holds NaN',
  ):
    sources.read_all(made.x)


def test_small_sources_are_loaded_into_memory():
  lazy = sources.FunctionSource(
    10, (2,), 'float64', lambda i: np.array([i, i + 0.5])
  )
  # Ten times two numbers of four bytes: 80.
  held = sources.load_if_fits(lazy, 80)
  assert held.dtype == np.float32
  np.testing.assert_array_equal(held[3], [3, 3.5])
  assert sources.load_if_fits(lazy, 79) is lazy
  assert lazy.memory_budget == sources.Source.memory_budget
  array = np.arange(20, dtype=np.float32).reshape(10, 2)
  assert sources.load_if_fits(array, 80) is array
  kept = sources.load_if_fits(array, 79)
  assert sources.is_lazy(kept)
  np.testing.assert_array_equal(kept.read_rows([9, 1]), array[[9, 1]])
  kept = sources.load_if_fits(
    sources.InMemorySource(np.broadcast_to(array[0], (2**30, 2))), 3 * 2**30
  )
  assert kept.memory_budget == 3 * 2**30


def test_large_examples_make_small_blocks():
  # 32 MiB each.
  x = sources.InMemorySource(np.broadcast_to(np.float32(1), (5, 2**22, 2)))
  sizes = []

  def apply(params, block):
    sizes.append(len(block))
    return params * block[:, 0]

  found = split_model.in_blocks(apply, 3, x)
  assert sizes == [2, 2, 2]
  np.testing.assert_array_equal(found, np.full((5, 2), 3))


def test_features_that_are_too_large_are_an_error(
  streamed, tmp_path, monkeypatch
):
  # Some 1,400 windows of 64 numbers of 4 bytes are 350 KiB.
  monkeypatch.setattr(sources.Source, 'memory_budget', 2**18)
  with pytest.raises(
    errors.UserError,
    match=r"features at 'dense1' take 0.00 GiB for 1\d+ .*input.memory_limit",
  ):
    runner.run(_config(), tmp_path, ('data',))
  with pytest.raises(errors.UserError, match="features at 'dense1' take"):
    streamed.features('simple', 'dense1')


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    (
      {'memory_limit': -1.0},
      r'input.memory_limit is -1.0; it must be a number, 0 or more',
    ),
    (
      {'workers': -2},
      r'input.workers is -2; it must be a whole number, 0 or more',
    ),
  ],
)
def test_negative_limits_are_an_error(settings, message):
  with pytest.raises(errors.UserError, match=message):
    validate.prepare(_config(**settings))


def test_an_array_in_memory_is_read_by_threads_alone():
  held = sources.InMemorySource(np.zeros((4, 2), np.float32))
  with pytest.raises(errors.UserError, match=r'workers is 1.*in memory.*to 0'):
    grain_pipeline.check_workers(1, {'x': held})
