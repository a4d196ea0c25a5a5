import errno
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hybrid_jax import errors
from hybrid_jax.training import checkpoint, train_state


def _state(step: int) -> train_state.TrainState:
  tx = optax.adam(0.1)
  params = {
    'layer': {'kernel': jnp.arange(12.0).reshape(3, 4) * step},
    'bias': jnp.full(3, step, jnp.bfloat16),
  }
  return train_state.create(params, tx).replace(step=jnp.int32(step))


def _restored(folder):
  return checkpoint.restore(folder, _state(0))


def _assert_is(state, step):
  jax.tree.map(
    lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)),
    state,
    _state(step),
  )


def _truncate(checkpoint_folder: pathlib.Path) -> None:
  """Halves every file, as after a lost power supply."""
  paths = [p for p in checkpoint_folder.rglob('*') if p.is_file()]
  assert paths
  for path in paths:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def two(tmp_path):
  checkpoint.save(tmp_path, 10, _state(10))
  checkpoint.save(tmp_path, 20, _state(20))
  return tmp_path


def test_a_round_trip_keeps_values_and_dtypes(two):
  state = _restored(two)
  _assert_is(state, 20)
  assert jax.tree.map(lambda a: a.dtype, state) == jax.tree.map(
    lambda a: a.dtype, _state(20)
  )
  assert isinstance(state, train_state.TrainState)


def test_without_checkpoints_it_restores_none(tmp_path, capsys):
  assert _restored(tmp_path) is None
  assert _restored(tmp_path / 'not there') is None
  assert capsys.readouterr() == ('', '')


def test_two_are_kept(two):
  for step in (5, 30, 100):
    checkpoint.save(two, step, _state(step))
  names = sorted(p.name for p in two.iterdir())
  assert names == ['00000030', '00000100']
  _assert_is(_restored(two), 100)


def test_saving_the_same_step_replaces_it(two):
  checkpoint.save(two, 20, _state(21))
  _assert_is(_restored(two), 21)


def test_a_truncated_checkpoint_is_skipped(two, capsys):
  _truncate(two / '00000020')
  _assert_is(_restored(two), 10)
  out, err = capsys.readouterr()
  assert not out
  (line,) = err.splitlines()
  assert f'the checkpoint {two / "00000020"} is damaged' in line


def _set_custom_metadata(checkpoint_folder: pathlib.Path, value) -> None:
  path = checkpoint_folder / '_CHECKPOINT_METADATA'
  stored = json.loads(path.read_text())
  assert len(stored['custom_metadata']['sha256']) == 64
  path.write_text(json.dumps(stored | {'custom_metadata': value}))


def test_values_that_do_not_match_the_digest_are_skipped(two, capsys):
  _set_custom_metadata(two / '00000020', {'sha256': '0' * 64, 'position': None})
  _assert_is(_restored(two), 10)
  (line,) = capsys.readouterr().err.splitlines()
  assert 'digest' in line


def test_a_checkpoint_without_a_digest_is_skipped(two, capsys):
  _set_custom_metadata(two / '00000020', {})
  _assert_is(_restored(two), 10)
  (line,) = capsys.readouterr().err.splitlines()
  assert 'digest' in line


def test_with_all_damaged_it_restores_none(two, capsys):
  _truncate(two / '00000010')
  _truncate(two / '00000020')
  assert _restored(two) is None
  lines = capsys.readouterr().err.splitlines()
  assert [
    name in line
    for name, line in zip(('00000020', '00000010'), lines, strict=True)
  ] == [True, True]


def test_a_restarted_run_replaces_damaged_later_checkpoints(two):
  _truncate(two / '00000010')
  _truncate(two / '00000020')
  checkpoint.save(two, 5, _state(5))
  _assert_is(_restored(two), 5)
  assert sorted(p.name for p in two.iterdir()) == ['00000005']


def test_a_full_disk_keeps_the_previous_checkpoint(two, monkeypatch):
  def full(path, state, **unused):
    path.mkdir()
    (path / 'half').write_bytes(b'half of it')
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(checkpoint.ocp, 'save', full)
  with pytest.raises(errors.UserError, match='No space left') as caught:
    checkpoint.save(two, 30, _state(30))
  assert '00000030' in str(caught.value)
  assert not (two / '00000030').exists()
  _assert_is(_restored(two), 20)


_LIMITED = """
import pathlib, resource, sys
import numpy as np
from hybrid_jax import errors
from hybrid_jax.training import checkpoint

folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
good = {'w': rng.standard_normal(50_000)}
checkpoint.save(folder, 1, good)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
  checkpoint.save(folder, 2, {'w': good['w'] + 1})
except errors.UserError as e:
  print(str(e).count(chr(10)), 'could not save' in str(e))
restored = checkpoint.restore(folder, good)
print((restored['w'] == good['w']).all())
print(*sorted(p.name for p in folder.iterdir()))
"""


def test_a_file_size_limit_keeps_the_previous_checkpoint(tmp_path):
  """The system refuses the write, with Orbax's own threads running."""
  done = subprocess.run(
    [sys.executable, '-c', _LIMITED, str(tmp_path)],
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.stdout.splitlines() == [
    '0 True',
    'True',
    '00000001',
  ], done.stderr
  # No thread's traceback either.
  assert done.stderr == ''
