"""What the notebooks of `colabs` share: tables, and processes beside them."""

import contextlib
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hybrid_jax.report import rows, style, tables


class Table:
  """A table that notebooks show."""

  def __init__(self, head: Sequence[Any], *body: Sequence[Any]):
    """Takes the columns' names, and the lines, as long as `head` each."""
    self._lines = [head, ['---'] * len(head), *body]

  def _repr_markdown_(self) -> str:
    return '\n'.join(
      f'| {" | ".join(map(str, line))} |' for line in self._lines
    )


def of_study(table: list[rows.Row], controls: Mapping[str, Any]) -> Table:
  """A study's rows, its controls and chance, in per cent.

  Args:
    table: see `results.gather`.
    controls: see `results.controls`.
  """
  some = table[0]
  names = [x for name in some['leakage'] for x in (f'{name} found', 'ceiling')]
  return Table(
    ['released', 'numbers', 'utility', *names],
    *(
      [
        style.name_of(row['embedding']),
        row['dim'],
        tables.percent(row['utility']),
        *_leaks(row),
      ]
      for row in table
    ),
    *([f'*{name}*', '', '', *_leaks(row)] for name, row in controls.items()),
    ['*chance*', '', tables.share(some['utility']['chance'])]
    + [
      x
      for found in some['leakage'].values()
      for x in (tables.share(found['chance']), '')
    ],
  )


def of_audit(row: rows.Row) -> Table:
  """For each label what was found in one file, in per cent."""
  return Table(
    ['label', 'found', 'chance', 'ceiling', 'attacker'],
    *(
      [
        name,
        tables.percent(found),
        tables.share(found['chance']),
        tables.ceiling(row['ceiling'][name]),
        found['adversary'],
      ]
      for name, found in row['leakage'].items()
    ),
  )


def _leaks(row):
  for name, found in row['leakage'].items():
    yield tables.percent(found)
    yield tables.ceiling(row.get('ceiling', {}).get(name))


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> Iterator[str]:
  """Runs `launch.serve` on a bundle, and gives its address, a port of its own.

  Raises:
    RuntimeError: it does not start; with what it says.
  """
  command = [sys.executable, '-m', 'launch.serve', f'--bundle={folder}']
  log = folder / 'server.log'
  with (
    open(log, 'w') as errors,
    subprocess.Popen(
      [*command, '--port=0'], stdout=subprocess.PIPE, stderr=errors, text=True
    ) as server,
  ):
    assert server.stdout is not None
    try:
      found = re.search(r'http://\S+', server.stdout.readline())
      if found is None:
        raise RuntimeError(log.read_text())
      yield found[0]
    finally:
      server.terminate()
