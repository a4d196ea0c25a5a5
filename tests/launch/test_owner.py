"""The owner of the copy: one setting, and the same name in every address."""

import shutil

import pytest

from hybrid_jax import errors
from launch import owner


def test_every_address_has_the_owner_of_the_setting():
  name, count = owner.setting(owner.ROOT), 0
  for path, text in owner.texts(owner.ROOT):
    for each in owner.owners(text):
      assert each == name, path
      count += 1
  assert count > 5


def test_one_command_replaces_it_everywhere(tmp_path):
  for path, _ in owner.texts(owner.ROOT):
    copy = tmp_path / path.relative_to(owner.ROOT)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, copy)
  before = owner.setting(tmp_path)
  assert owner.replace(tmp_path, 'some-one')
  assert owner.setting(tmp_path) == 'some-one'
  for path, text in owner.texts(tmp_path):
    assert set(owner.owners(text)) <= {'some-one'}, path
  assert not owner.replace(tmp_path, 'some-one')
  owner.replace(tmp_path, before)
  for path, text in owner.texts(tmp_path):
    assert text == (owner.ROOT / path.relative_to(tmp_path)).read_text()


def test_the_addresses():
  text = (
    'https://colab.research.google.com/github/a/hybrid_jax/blob/main/x.ipynb'
    ' https://github.com/b/hybrid_jax https://c.github.io/hybrid_jax/'
    ' https://github.com/d/another https://github.com/e/hybrid_jax_more'
  )
  assert owner.owners(text) == ['a', 'b', 'c']


@pytest.mark.parametrize('name', ['', 'a b', '-a', 'a--b', 'a/b', 'a' * 40])
def test_what_is_no_account(name, tmp_path):
  with pytest.raises(errors.UserError, match='is no account of GitHub'):
    owner.replace(tmp_path, name)
