import errno
import hashlib
import json
import os
import pathlib

import numpy as np
import pytest

from hybrid_jax import errors, files

_FULL = OSError(errno.ENOSPC, 'No space left on device')


def _names(folder):
  return sorted(p.name for p in folder.iterdir())


def test_an_atomic_write_replaces_the_file_at_the_end(tmp_path):
  path = tmp_path / 'a' / 'b' / 'value.txt'
  path.parent.mkdir(parents=True)
  path.write_text('old')
  with files.atomic_write(path) as temporary:
    temporary.write_text('new')
    assert path.read_text() == 'old'
    assert temporary.parent == path.parent
  assert path.read_text() == 'new'
  assert _names(path.parent) == ['value.txt']


def test_folders_are_created(tmp_path):
  files.write_bytes(tmp_path / 'a' / 'b' / 'value', b'123')
  assert (tmp_path / 'a' / 'b' / 'value').read_bytes() == b'123'


def test_a_full_disk_keeps_the_old_content(tmp_path):
  path = tmp_path / 'value.txt'
  path.write_text('old')

  def write():
    with files.atomic_write(path) as temporary:
      temporary.write_text('half of the n')
      raise _FULL

  with pytest.raises(errors.UserError) as caught:
    write()
  assert str(path) in str(caught.value)
  assert 'No space left on device' in str(caught.value)
  assert path.read_text() == 'old'
  assert _names(tmp_path) == ['value.txt']


def test_a_disk_that_is_full_at_the_end(tmp_path, monkeypatch):
  path = tmp_path / 'value.txt'
  path.write_text('old')

  def full(descriptor):
    raise _FULL

  with monkeypatch.context() as patch:
    patch.setattr(os, 'fsync', full)
    with pytest.raises(errors.UserError, match='No space left'):
      files.write_bytes(path, b'new')
  assert path.read_text() == 'old'
  assert _names(tmp_path) == ['value.txt']


def test_files_are_written_together_or_not_at_all(tmp_path, monkeypatch):
  files.write_files(tmp_path, {'a': b'1', 'b': b'1'})
  whole, count = os.fsync, []

  def full_at_the_second(descriptor):
    count.append(descriptor)
    if len(count) > 1:
      raise _FULL
    whole(descriptor)

  with monkeypatch.context() as patch:
    patch.setattr(os, 'fsync', full_at_the_second)
    with pytest.raises(errors.UserError, match='No space left'):
      files.write_files(tmp_path, {'a': b'2', 'b': b'2'})
  assert [(tmp_path / n).read_bytes() for n in 'ab'] == [b'1', b'1']
  assert _names(tmp_path) == ['a', 'b']


def test_an_interrupt_keeps_the_old_content(tmp_path):
  path = tmp_path / 'value.txt'
  path.write_text('old')

  def write():
    with files.atomic_write(path) as temporary:
      temporary.write_text('half')
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    write()
  assert path.read_text() == 'old'
  assert _names(tmp_path) == ['value.txt']


def test_a_file_where_a_folder_should_be(tmp_path):
  (tmp_path / 'work').write_text('a file')
  with pytest.raises(errors.UserError, match='could not write'):
    files.write_bytes(tmp_path / 'work' / 'config.json', b'1')
  assert (tmp_path / 'work').read_text() == 'a file'


def test_json_round_trip(tmp_path):
  path = tmp_path / 'value.json'
  value = {'b': [1, 2.5, None], 'a': {'ü': 'text', 'z': True}}
  files.write_json(path, value)
  assert files.read_json(path) == value
  # Keys are sorted, so equal values give equal files.
  assert path.read_text().index('"a"') < path.read_text().index('"b"')
  files.write_json(tmp_path / 'other.json', dict(reversed(value.items())))
  assert path.read_bytes() == (tmp_path / 'other.json').read_bytes()


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_json_refuses_nan_and_infinity(tmp_path, value):
  path = tmp_path / 'value.json'
  files.write_json(path, {'loss': 1.0})
  with pytest.raises(ValueError, match='JSON'):
    files.write_json(path, {'loss': value})
  assert json.loads(path.read_text()) == {'loss': 1.0}
  assert _names(tmp_path) == ['value.json']


@pytest.mark.parametrize('read', [files.read_json, files.read_npz])
def test_a_missing_file_is_named(tmp_path, read):
  path = tmp_path / 'none'
  with pytest.raises(errors.UserError) as caught:
    read(path)
  assert str(caught.value) == f'{path} does not exist.'


@pytest.mark.parametrize('text', ['', '{"a": 1', 'a: 1', '{"a": \xff}'])
def test_damaged_json_is_named(tmp_path, text):
  path = tmp_path / 'value.json'
  path.write_text(text, encoding='latin-1')
  with pytest.raises(errors.UserError, match='is damaged') as caught:
    files.read_json(path)
  assert str(path) in str(caught.value)


ARRAYS = {
  'x': np.arange(6, dtype=np.float32).reshape(2, 3),
  'y': np.array([1, 2], np.int8),
  'empty': np.zeros((0, 4)),
}


def test_npz_round_trip(tmp_path):
  path = tmp_path / 'arrays.npz'
  files.write_npz(path, ARRAYS)
  restored = files.read_npz(path)
  assert restored.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    assert restored[name].dtype == array.dtype
    np.testing.assert_array_equal(restored[name], array)


def test_npz_writes_no_objects(tmp_path):
  with pytest.raises(ValueError, match=r'[Oo]bject|pickle'):
    files.write_npz(tmp_path / 'a.npz', {'x': np.array([{}, None])})
  assert _names(tmp_path) == []


class Bomb:
  """Creates a file when it is unpickled."""

  def __init__(self, path: pathlib.Path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (self.path,)


def test_npz_reads_no_pickles(tmp_path):
  path, exploded = tmp_path / 'a.npz', tmp_path / 'exploded'
  objects = np.empty(1, object)
  objects[0] = Bomb(exploded)
  np.savez(path, good=ARRAYS['x'], bad=objects)
  with pytest.raises(errors.UserError, match=r'is damaged.*pickle'):
    files.read_npz(path)
  assert not exploded.exists()
  # With pickles allowed it creates the file.
  with np.load(path, allow_pickle=True) as stored:
    stored['bad']
  assert exploded.exists()


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.95])
def test_truncated_npz_is_named(tmp_path, share):
  path = tmp_path / 'a.npz'
  files.write_npz(path, ARRAYS)
  data = path.read_bytes()
  path.write_bytes(data[: int(share * len(data))])
  with pytest.raises(errors.UserError, match='is damaged') as caught:
    files.read_npz(path)
  assert str(path) in str(caught.value)


def test_a_flipped_bit_in_an_npz_is_detected(tmp_path):
  path = tmp_path / 'a.npz'
  files.write_npz(path, ARRAYS)
  data = bytearray(path.read_bytes())
  place = data.index(ARRAYS['x'].tobytes())
  data[place + 9] ^= 1
  path.write_bytes(data)
  with pytest.raises(errors.UserError, match='is damaged'):
    files.read_npz(path)


def test_sha256(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(b'abc')
  # The first test vector of FIPS 180-2.
  assert files.sha256(path) == (
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  )
  path.write_bytes(b'abc' * 1_000_000)
  assert files.sha256(path) == hashlib.sha256(b'abc' * 1_000_000).hexdigest()


def test_an_npz_holds_its_arrays_and_nothing_else(tmp_path):
  files.write_npz(tmp_path / 'a.npz', {'mean': np.arange(3)})
  assert list(files.read_npz(tmp_path / 'a.npz')) == ['mean']
