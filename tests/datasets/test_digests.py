import hashlib
import json

import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import digests


def _inputs(folder, **contents):
  for name, text in contents.items():
    (folder / name).write_text(text)
  return {name: folder / name for name in contents}


def test_digests_are_stored_and_compared(tmp_path):
  out = tmp_path / 'run'
  inputs = _inputs(tmp_path, data='one', labels='a,b')
  digests.claim(out, inputs, '--workdir')
  stored = json.loads((out / 'inputs.json').read_text())
  assert stored == {
    'data': hashlib.sha256(b'one').hexdigest(),
    'labels': hashlib.sha256(b'a,b').hexdigest(),
  }
  digests.claim(out, inputs, '--workdir')
  (tmp_path / 'labels').write_text('a,c')
  with pytest.raises(
    errors.UserError,
    match=r'other data: labels has other content.*another --workdir',
  ):
    digests.claim(out, inputs, '--workdir')
  assert json.loads((out / 'inputs.json').read_text()) == stored


def test_files_that_come_and_go(tmp_path):
  out = tmp_path / 'run'
  inputs = _inputs(tmp_path, a='1', b='2')
  late = {'late': tmp_path / 'late'}
  digests.claim(out, inputs | late, '--out')
  more = _inputs(tmp_path, late='3')  # It was announced, as missing.
  digests.claim(out, inputs | more, '--out')
  with pytest.raises(errors.UserError, match='c is new'):
    digests.claim(out, inputs | more | _inputs(tmp_path, c='4'), '--out')
  (tmp_path / 'b').unlink()
  with pytest.raises(errors.UserError, match='b is missing'):
    digests.claim(out, inputs | more, '--out')


def test_inputs_are_compared_where_they_are_known(tmp_path):
  path = tmp_path / 'data'
  digests.check(tmp_path / 'none', '--bundle')
  path.write_text('1')
  digests.claim(tmp_path / 'run', {str(path): path}, '--workdir')
  digests.check(tmp_path / 'run', '--bundle')
  path.write_text('2')
  with pytest.raises(errors.UserError, match='data has other content'):
    digests.check(tmp_path / 'run', '--bundle')
  path.unlink()
  digests.check(tmp_path / 'run', '--bundle')


def test_one_digest_of_many_files(tmp_path):
  _inputs(tmp_path, a='1', b='2')
  one = hashlib.sha256(b'1').hexdigest()
  two = hashlib.sha256(b'2').hexdigest()
  expected = hashlib.sha256(f'a {one}\nb {two}\n'.encode()).hexdigest()
  assert digests.of_files(tmp_path, ['a', 'b']) == expected
