import pytest

from hybrid_jax import errors


def test_a_prefix_names_the_file():
  with (
    pytest.raises(errors.UserError, match=r'^my\.npz: no good\.$'),
    errors.prefix('my.npz'),
  ):
    raise errors.UserError('no good.')


@pytest.mark.parametrize(
  ('name', 'known', 'expected'),
  [
    ('wach', ['watch', 'faces'], " Did you mean 'watch'?"),
    ('zzz', ['watch', 'faces'], ''),
    # A spelling stands for the name that is suggested.
    ('Mael', {'Male': 'attributes/Male'}, " Did you mean 'attributes/Male'?"),
  ],
)
def test_the_most_similar_name_is_suggested(name, known, expected):
  assert errors.suggest(name, known) == expected


def test_an_unknown_name_lists_the_known_ones():
  errors.check_known('data set', 'watch', ['watch', 'faces'])
  with pytest.raises(errors.UserError) as caught:
    errors.check_known('data set', 'wach', ['watch', 'faces'])
  assert str(caught.value) == (
    "unknown data set 'wach'. Did you mean 'watch'? Known: watch, faces."
  )
