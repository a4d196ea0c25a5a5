"""How much a server answers, beside a handler that does nothing."""

import asyncio
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.table

from benchmarks.load import clients, questions
from hybrid_jax.deploy.formats import protocol

_BUSY = 0.9  # Of the client, above which it is the client that is measured.


def answer_size(
  tensors: questions.Tensors, question: questions.Question
) -> int:
  """The bytes of an answer's body, for the bare handler to send as many."""
  logits = np.frombuffer(question.logits, '<f4')
  asked = protocol.Request(logits, question.id, binary=True)
  message = protocol.encode_response(
    'cloud', '1', asked, tensors.wanted, logits
  )
  return len(message.body)


def measure(
  place: clients.Place,
  bare: clients.Place | None,
  asked: Sequence[questions.Question],
  connections: Sequence[int],
  rounds: int,
  seconds: float,
) -> list[dict[str, Any]]:
  """By turns the server and the bare handler, for each count of connections.

  Args:
    place: the server.
    bare: the bare handler on the same machine; None for none.
    asked: the requests; the server's answers must be theirs.
    connections: the counts.
    rounds: how often each is measured.
    seconds: for how long.

  Returns:
    A row for each count: `server` and `bare`, each with `rate` (the median over
    the rounds of answers a second), the least and the greatest, `p50`, `p95`
    and `p99` in milliseconds over all rounds together, `client_busy`,
    `statuses`, `wrong` and `lost`; and `ratio`, the median over the rounds of
    the server's rate over the bare handler's of the same round, with the least
    and the greatest.
  """
  rows = []
  for count in connections:
    sides: dict[str, list[Any]] = {'server': [], 'bare': []}
    for _ in range(rounds):
      for name, target in (('server', place), ('bare', bare)):
        if target is not None:
          run = clients.closed_loop(
            target, asked, count, seconds, check=name == 'server'
          )
          sides[name].append(asyncio.run(run))
    row: dict[str, Any] = {
      name: _side(found) for name, found in sides.items() if found
    }
    pairs = zip(sides['server'], sides['bare'], strict=False)
    ratios = [a[1]['rate'] / b[1]['rate'] for a, b in pairs if b[1]['rate']]
    rows.append(row | {'connections': count} | _spread('ratio', ratios))
  return rows


def _side(found):
  total = clients.Tally()
  for tally, _ in found:
    total.seconds += tally.seconds
    total.statuses += tally.statuses
    total.wrong += tally.wrong
    total.lost += tally.lost + tally.refused
  return {
    **_spread('rate', [facts['rate'] for _, facts in found]),
    **total.percentiles(),
    'client_busy': statistics.median(f['client_busy'] for _, f in found),
    'statuses': {str(k): n for k, n in sorted(total.statuses.items())},
    'wrong': total.wrong,
    'lost': total.lost,
  }


def _spread(name, values):
  """The median, the least and the greatest."""
  if not values:
    return {}
  return {
    name: statistics.median(values),
    f'{name}_min': min(values),
    f'{name}_max': max(values),
  }


def table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
  """The rows of `measure`, two lines for each count of connections."""
  out = rich.table.Table()
  out.add_column('connections', justify='right')
  out.add_column('what')
  names = ('req/s', 'p50 ms', 'p95 ms', 'p99 ms', 'of bare', 'range')
  for name in (*names, 'client busy', 'wrong', 'lost'):
    out.add_column(name, justify='right')
  for row in rows:
    for name in ('server', 'bare'):
      if name in row:
        out.add_row(*_cells(row, name))
  return out


def _cells(row, name):
  side, ratio = row[name], ('', '')
  if name == 'server' and 'ratio' in row:
    ratio = (
      f'{row["ratio"]:.2f}',
      f'{row["ratio_min"]:.2f} to {row["ratio_max"]:.2f}',
    )
  busy = side['client_busy']
  return (
    str(row['connections']),
    name,
    f'{side["rate"]:.0f}',
    *(f'{side[key]:.2f}' for key in ('p50', 'p95', 'p99')),
    *ratio,
    f'{100 * busy:.0f} %' + (' !' if busy > _BUSY else ''),
    str(side['wrong']),
    str(side['lost']),
  )
