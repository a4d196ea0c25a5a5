"""The one error for what a user can mend, and the wording of its hints."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
  """A mistake in the input. Its message is shown alone, without a traceback."""


def check_known(
  kind: str, name: str, known: Iterable[str], key: str = ''
) -> None:
  """Raises `UserError` unless `name` is among `known`.

  Args:
    kind: what `name` names, for the message: `'split point'`.
    name: what the user wrote.
    known: the valid names; all are listed, and the nearest is pointed out.
    key: the config's setting that has the name, if the message is to say it.
  """
  names = list(known)
  if name in names:
    return
  near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
  hint = f' Did you mean {near[0]!r}?' if near else ''
  where = f' in {key}' if key else ''
  listed = ', '.join(map(str, names)) or 'none'
  raise UserError(f'unknown {kind} {name!r}{where}.{hint} Known: {listed}.')
