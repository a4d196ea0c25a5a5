"""Mistakes that only the data or the network show, before any training."""

import pytest

from configs import watch
from hybrid_jax import errors, files
from hybrid_jax.cli import config_help
from hybrid_jax.datasets import watch as watch_data
from hybrid_jax.study import config_schema, runner


def _config(changes):
  config = watch.get_config('small')
  for key, value in changes.items():
    group, _, name = key.rpartition('.')
    inner = config
    for part in filter(None, group.split('.')):
      inner = inner[part]
    with inner.unlocked():
      inner[name] = value
  return config


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'model.options.kernel': 0}, r'kernel is 0; it must .* 1 or more'),
    ({'release.embeddings': {}}, r'release\.embeddings is empty'),
    (
      {'release.embeddings': {'reduced': {'weights': 'simple'}}},
      r"release\.embeddings has no 'simple', but reduced; keep it",
    ),
    (
      {'release.embeddings.simple.split_points': ('conv1',)},
      r'simple\.split_points is conv1, none of model\.split_points dense1',
    ),
    (
      {'model.options.widths': (8, 8, 8, 8)},
      r"'cnn1d' .*'widths': \(8, 8, 8, 8\).* shape \(1, 128, 6\): ",
    ),
    (
      {'data.window': 1},
      r"'cnn1d' .* does not take .* shape \(1, 1, 6\): they are too short",
    ),
    (
      {'defend.labels': ('persn',)},
      r"unknown sensitive label 'persn' in defend\.labels\. Did you .*'person'",
    ),
  ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, changes, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    runner.run(_config(changes), tmp_path / 'run', ('data',))
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'run').exists()


def test_a_mistake_in_a_first_stage_without_training_leaves_nothing(tmp_path):
  with pytest.raises(errors.UserError):
    runner.run(_config({'data.window': 10**7}), tmp_path / 'run', ('train',))
  assert not (tmp_path / 'run').exists()


def test_data_larger_than_memory_leave_nothing(tmp_path, monkeypatch):
  def load(config):
    raise MemoryError('Unable to allocate 1.42 TiB')

  monkeypatch.setattr(watch_data, 'load', load)
  with pytest.raises(MemoryError):
    runner.run(_config({}), tmp_path / 'run', ('data',))
  assert not (tmp_path / 'run').exists()


def test_no_stage_is_a_mistake(tmp_path):
  with pytest.raises(errors.UserError, match=r'--stages is empty.*data, train'):
    runner.run(_config({}), tmp_path / 'run', ())
  assert not (tmp_path / 'run').exists()


def test_the_help_has_the_tables_that_are_empty():
  config = config_schema.complete(watch.get_config())
  keys = {key for key, *_ in config_help.rows(config)}
  assert {'attack.only_at', 'attack.measures.ranks.max_items'} <= keys


def test_a_text_in_place_of_an_npz_gets_no_unsafe_advice(tmp_path):
  (tmp_path / 'a.npz').write_text('a text')
  with pytest.raises(
    errors.UserError, match=r'is damaged: it is no \.npz'
  ) as e:
    files.read_npz(tmp_path / 'a.npz')
  assert 'allow_pickle' not in str(e.value)
