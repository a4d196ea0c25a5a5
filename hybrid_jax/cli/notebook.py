"""Tables and a server for the notebooks of `colabs`."""

import contextlib
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hybrid_jax.report import rows, style, tables


class Table:
  """Table that a notebook shows in Markdown."""

  def __init__(self, head: Sequence[Any], *body: Sequence[Any]):
    """Takes the names of the columns, and lines of the same length."""
    self._lines = [head, ['---'] * len(head), *body]

  def _repr_markdown_(self) -> str:
    return '\n'.join(
      f'| {" | ".join(map(str, line))} |' for line in self._lines
    )


def of_study(table: list[rows.Row], controls: Mapping[str, Any]) -> Table:
  """Returns the rows of a study, its controls and chance, in per cent.

  Args:
    table: see `results.gather`.
    controls: see `results.controls`.
  """
  first = table[0]
  names = [x for name in first['leakage'] for x in (f'{name} found', 'ceiling')]
  return Table(
    ['released', 'numbers', 'utility', *names],
    *(
      [
        style.title_of(row),
        row['dim'],
        tables.percent(row['utility']),
        *_leaks(row),
      ]
      for row in table
    ),
    *([f'*{name}*', '', '', *_leaks(row)] for name, row in controls.items()),
    ['*chance*', '', tables.share(first['utility']['chance'])]
    + [
      x
      for figures in first['leakage'].values()
      for x in (tables.share(figures['chance']), '')
    ],
  )


def _leaks(row):
  for name, figures in row['leakage'].items():
    yield tables.percent(figures)
    yield tables.ceiling(row.get('ceiling', {}).get(name))


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> Iterator[str]:
  """Runs `hybrid-jax serve` on a bundle at a free port, and yields its address.

  Raises:
    RuntimeError: the server does not start; the message is its output.
  """
  command = [sys.executable, '-m', 'hybrid_jax', 'serve', f'--bundle={folder}']
  log = folder / 'server.log'
  with (
    open(log, 'w') as errors,
    subprocess.Popen(
      [*command, '--port=0'], stdout=subprocess.PIPE, stderr=errors, text=True
    ) as server,
  ):
    assert server.stdout is not None
    try:
      address = re.search(r'http://\S+', server.stdout.readline())
      if address is None:
        raise RuntimeError(log.read_text())
      yield address[0]
    finally:
      server.terminate()
