"""`UserError`, the error for a mistake in the input, and parts of its text."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping


class UserError(ValueError):
  """A mistake in the input; commands print its message without a traceback."""


@contextlib.contextmanager
def prefix(place: object) -> Iterator[None]:
  """Puts `place`, a file or folder, before the text of a `UserError`."""
  try:
    yield
  except UserError as e:
    raise UserError(f'{place}: {e}') from e


def suggest(name: str, known: Iterable[str] | Mapping[str, str]) -> str:
  """Returns `" Did you mean 'NAME'?"` for the most similar known name.

  Args:
    name: what the user wrote.
    known: the valid names; or a spelling to the name that it stands for.

  Returns:
    The text, with a space before it; empty if no name is similar.
  """
  names = known if isinstance(known, Mapping) else {n: n for n in known}
  similar = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
  return f' Did you mean {names[similar[0]]!r}?' if similar else ''


def check_known(
  kind: str, name: str, known: Iterable[str], key: str = ''
) -> None:
  """Checks that `name` is one of the known names.

  Args:
    kind: what `name` names, for the message: `'split point'`.
    name: what the user wrote.
    known: the valid names. The message lists all of them.
    key: the config setting that holds the name, for the message; optional.

  Raises:
    UserError: `name` is not among them.
  """
  names = list(known)
  if name in names:
    return
  where = f' in {key}' if key else ''
  listed = ', '.join(map(str, names)) or 'none'
  raise UserError(
    f'unknown {kind} {name!r}{where}.{suggest(name, names)} Known: {listed}.'
  )
