"""A long load beside unruly clients, and what must hold at its end."""

import asyncio
import re
import statistics
import time
from collections.abc import Sequence
from typing import Any

import psutil
import rich.table

from benchmarks.load import clients, questions, unruly

_MIB = 1 << 20
_WARM_UP = 0.1  # The share of the time after which memory is looked at.
_SETTLE = 10.0  # Seconds in which the server may end what it took on.
_COUNT = re.compile(
  r'hybrid_jax_requests_total\{route="infer",status="(\d+)"\} ([\d.e+]+)'
)
_GAUGE = re.compile(r'hybrid_jax_(in_flight|queue_length) ([\d.e+]+)')


async def run(
  place: clients.Place,
  asked: Sequence[questions.Question],
  bad: unruly.Unruly,
  rate: float,
  seconds: float,
  connections: int = 16,
  pid: int | None = None,
  max_growth: float = 20.0,
) -> dict[str, Any]:
  """Sends `rate` requests a second beside `bad`, and judges the server.

  Args:
    place: the server.
    asked: the requests, whose answers are checked to the bit.
    bad: the unruly clients.
    rate: requests a second of those that behave.
    seconds: how long.
    connections: how many requests of those may wait at once.
    pid: of the server's process, which has no other clients; None where it
      is not ours.
    max_growth: MiB by which its resident memory may grow.

  Returns:
    The figures, and `failures`: sentences, empty where all is well.
  """
  tally = clients.Tally()
  async with clients.connect(place, connections) as client:
    before = await _server(client)
    watch = asyncio.create_task(_watch(pid))
    started, busy = time.monotonic(), time.process_time()
    await asyncio.gather(
      clients.paced(client, asked, tally, rate, seconds, connections),
      bad.run(seconds),
    )
    took = time.monotonic() - started
    busy = time.process_time() - busy
    watch.cancel()
    memory = _memory((await asyncio.gather(watch))[0], max_growth)
    after = await _settled(client)
  found = {
    'seconds': took,
    'rate_asked': rate,
    'rate': tally.statuses[200] / seconds,
    'client_busy': busy / took,
    'statuses': {str(k): n for k, n in sorted(tally.statuses.items())},
    'wrong': tally.wrong,
    'lost': tally.lost,
    'not_connected': tally.refused,
    'ms': tally.percentiles(),
    'unruly': {name: dict(n) for name, n in bad.outcomes.items()},
    'unexpected': bad.unexpected(),
    'memory': memory,
    'own': pid is not None,
    'server': {
      'in_flight': after.get('in_flight'),
      'queue_length': after.get('queue_length'),
      'statuses': {
        key: n - before.get(key, 0) for key, n in after.items() if key.isdigit()
      },
    },
  }
  return found | {'failures': failures(found)}


def failures(found: dict[str, Any]) -> list[str]:
  """What must not be, in sentences.

  Args:
    found: the figures of `run`.
  """
  behaved = {k: n for k, n in found['statuses'].items() if k != '200'}
  server = found['server']
  memory = found['memory'] or {'growth': 0.0, 'max_growth': 0.0}
  answered = found['statuses'].get('200', 0)
  slow = found['unruly'].get('slow', {}).get('200', 0)
  gone = sum(found['unruly'].get('gone before the answer', {}).values())
  counted = server['statuses'].get('200', 0)
  checks = {
    'no request was answered.': not answered,
    f'{found["wrong"]} answers were wrong.': found['wrong'],
    f'{found["lost"]} requests had no answer.': found['lost'],
    f'{found["not_connected"]} requests found no connection.': found[
      'not_connected'
    ],
    # A server that has too much to do may say so.
    f'sound requests were answered with {behaved}.': set(behaved) - {'503'},
    f'unruly clients were answered with {found["unexpected"]}.': found[
      'unexpected'
    ],
    f'the server counts {server["in_flight"]} requests that it has not'
    ' answered.': server['in_flight'],
    f'the server counts {server["queue_length"]} vectors that wait.': server[
      'queue_length'
    ],
    f'the server counts {counted} answers of status 200; the clients'
    f' {answered + slow} and {gone} that they did not wait for.': (
      found['own'] and not answered + slow <= counted <= answered + slow + gone
    ),
    'the server failed: status 500.': server['statuses'].get('500'),
    f"the server's memory grew by {memory['growth']:.1f} MiB, more than"
    f' {memory["max_growth"]:g}.': memory['growth'] > memory['max_growth'],
  }
  return [sentence for sentence, failed in checks.items() if failed]


def table(found: dict[str, Any]) -> rich.table.Table:
  """What each kind of client was answered, and how often."""
  out = rich.table.Table()
  for name in ('client', 'answered', ''):
    out.add_column(name)
  sound = {**found['statuses'], 'wrong': found['wrong'], 'lost': found['lost']}
  unexpected = found['unexpected']
  rows = {'sound': sound, **found['unruly']}
  for name, outcomes in rows.items():
    told = ', '.join(f'{k}: {n}' for k, n in outcomes.items())
    out.add_row(name, told, 'UNEXPECTED' if name in unexpected else '')
  return out


def told(found: dict[str, Any]) -> str:
  """The soak's other figures, in two lines."""
  ms, memory = found['ms'], found['memory']
  first = (
    f'{found["seconds"]:.0f} s: {found["rate"]:.0f} answers a second of'
    f' {found["rate_asked"]:.0f} asked for; p50 {ms["p50"]:.2f} ms,'
    f' p95 {ms["p95"]:.2f}, p99 {ms["p99"]:.2f}'
  )
  if memory is None:
    return first
  return (
    f'{first}\nthe server has {memory["start"]:.1f} MiB at the start,'
    f' {memory["warm"]:.1f} after the first tenth, {memory["middle"]:.1f} in'
    f' the middle, {memory["end"]:.1f} at the end, {memory["peak"]:.1f} at most'
  )


async def _watch(pid):
  """The resident memory in MiB, each half second till it is cancelled."""
  samples: list[float] = []
  try:
    process = psutil.Process(pid) if pid else None
    while process is not None:
      samples.append(process.memory_info().rss / _MIB)
      await asyncio.sleep(0.5)
  except (psutil.Error, asyncio.CancelledError):
    pass
  return samples


def _memory(samples, max_growth):
  """Medians at the start, after the warm-up, in the middle and at the end."""
  if not samples:
    return None
  window = max(1, len(samples) // 20)

  def around(share):
    start = min(int(share * len(samples)), len(samples) - window)
    return statistics.median(samples[start : start + window])

  warm, end = around(_WARM_UP), around(1.0)
  return {
    'start': samples[0],
    'warm': warm,
    'middle': around(0.5),
    'end': end,
    'peak': max(samples),
    'growth': end - warm,
    'max_growth': max_growth,
  }


async def _server(client):
  """What the server counts: of each status, in flight and waiting."""
  status, text = await client.get('/metrics')
  if status != 200:
    return {}
  return {
    name: int(float(value))
    for pattern in (_COUNT, _GAUGE)
    for name, value in pattern.findall(text)
  }


async def _settled(client):
  """The same, once it has answered what it took on, or has had the time."""
  end = time.monotonic() + _SETTLE
  while True:
    found = await _server(client)
    if not found.get('in_flight') or time.monotonic() > end:
      return found
    await asyncio.sleep(0.2)
