"""Asks a server as fast as it answers, and measures how long that takes."""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import aiohttp
import numpy as np

from benchmarks.load import questions
from hybrid_jax import errors
from hybrid_jax.deploy.formats import protocol

_TIMEOUT = 30.0  # Seconds; an answer that takes longer is lost.
# Seconds. Uvicorn closes what was idle for five; a request that is sent just
# then has no answer, and was never taken on.
_IDLE = 2.0


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a server is, and what it wants of its clients.

  Attributes:
    url: as `http://127.0.0.1:8000`, without a path.
    model: the model's name.
    token: the bearer token, or None.
    context: for TLS; None for the usual one.
  """

  url: str
  model: str = 'cloud'
  token: str | None = None
  context: ssl.SSLContext | None = None

  @property
  def path(self) -> str:
    """Of inference, below `url`."""
    return f'/v2/models/{self.model}/infer'

  @property
  def headers(self) -> dict[str, str]:
    """What all requests bear."""
    return {'Authorization': f'Bearer {self.token}'} if self.token else {}


@dataclasses.dataclass
class Tally:
  """What became of the requests that were sent.

  Attributes:
    seconds: from sending to the end of the answer, of each that was answered.
    statuses: how many answers had each HTTP status.
    wrong: how many with status 200 were not the file's exact bits.
    lost: how many were sent and got no answer.
    refused: how many could not be sent, for there was no connection.
  """

  seconds: list[float] = dataclasses.field(default_factory=list)
  statuses: collections.Counter[int] = dataclasses.field(
    default_factory=collections.Counter
  )
  wrong: int = 0
  lost: int = 0
  refused: int = 0

  def percentiles(self) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds; zeros where nothing was answered."""
    names = ('p50', 'p95', 'p99')
    if not self.seconds:
      return dict.fromkeys(names, 0.0)
    found = 1000 * np.percentile(self.seconds, (50, 95, 99))
    return dict(zip(names, found.tolist(), strict=True))


class Client:
  """Connections to one server; see `connect`."""

  def __init__(self, session: aiohttp.ClientSession, place: Place):
    self._session = session
    self._place = place

  async def ask(
    self, question: questions.Question, tally: Tally, check: bool = True
  ) -> None:
    """Sends one request, waits for the answer and notes it in `tally`.

    Args:
      question: what is asked.
      tally: where it is noted.
      check: whether an answer must be the question's.
    """
    started = time.perf_counter()
    try:
      async with self._session.post(
        self._place.url + self._place.path,
        data=question.body,
        headers=question.headers,
      ) as answer:
        body = await answer.read()
    except aiohttp.ClientConnectorError:
      tally.refused += 1
      await asyncio.sleep(0.01)  # Or a loop without an answer spins.
      return
    except (aiohttp.ClientError, OSError, TimeoutError):
      tally.lost += 1
      return
    tally.seconds.append(time.perf_counter() - started)
    tally.statuses[answer.status] += 1
    if check and answer.status == 200:
      length = answer.headers.get(protocol.HEADER_LENGTH)
      tally.wrong += not question.is_answered_by(body, length)

  async def get(self, path: str) -> tuple[int, str]:
    """The status and the text that the server has at `path`."""
    async with self._session.get(self._place.url + path) as answer:
      return answer.status, await answer.text('utf-8', 'replace')


@contextlib.asynccontextmanager
async def connect(place: Place, connections: int) -> AsyncIterator[Client]:
  """A client with at most `connections` connections, which stay open."""
  connector = aiohttp.TCPConnector(
    limit=connections,
    ssl=True if place.context is None else place.context,
    keepalive_timeout=_IDLE,
  )
  async with aiohttp.ClientSession(
    connector=connector,
    headers=place.headers,
    timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
    auto_decompress=False,
  ) as session:
    yield Client(session, place)


async def meet(place: Place, sha256: str) -> None:
  """Looks whether the server is there and serves the bundle's own file.

  Args:
    place: the server.
    sha256: of the file.

  Raises:
    UserError: it is not, or serves another.
  """
  try:
    async with connect(place, 1) as client:
      status, text = await client.get(f'/v2/models/{place.model}')
  except (aiohttp.ClientError, OSError, TimeoutError) as e:
    raise errors.UserError(f'could not reach {place.url}: {e}.') from e
  if status != 200:
    raise errors.UserError(
      f'{place.url} answers {status} about the model {place.model!r}: {text}'
    )
  found = json.loads(text).get('parameters', {}).get('sha256')
  if found != sha256:
    raise errors.UserError(
      f'{place.url} serves the file of sha256 {found}; the bundle has {sha256}.'
    )


async def closed_loop(
  place: Place,
  asked: Sequence[questions.Question],
  connections: int,
  seconds: float,
  check: bool = True,
) -> tuple[Tally, dict[str, float]]:
  """Each connection sends its next request when the last was answered.

  Args:
    place: the server.
    asked: the requests, by turns.
    connections: how many at once.
    seconds: how long, after a quarter of it that is not counted.
    check: whether the answers must be the questions'.

  Returns:
    What became of the requests, and `rate`, answers of status 200 a second,
    and `client_busy`, the share of the time that this process computed: near
    1 it is the client that is measured.
  """
  async with connect(place, connections) as client:
    await _all_ask(client, asked, Tally(), connections, seconds / 4, check)
    tally = Tally()
    started, busy = time.perf_counter(), time.process_time()
    await _all_ask(client, asked, tally, connections, seconds, check)
    took = time.perf_counter() - started
    busy = time.process_time() - busy
  return tally, {
    'rate': tally.statuses[200] / took,
    'client_busy': busy / took,
  }


async def _all_ask(client, asked, tally, connections, seconds, check):
  turns: Iterator[Any] = itertools.cycle(asked)
  end = time.perf_counter() + seconds

  async def one():
    while time.perf_counter() < end:
      await client.ask(next(turns), tally, check)

  await asyncio.gather(*(one() for _ in range(connections)))


async def paced(
  client: Client,
  asked: Sequence[questions.Question],
  tally: Tally,
  rate: float,
  seconds: float,
  connections: int,
) -> None:
  """Sends `rate` requests a second, or as many as the connections carry.

  Args:
    client: of the server.
    asked: the requests, by turns.
    tally: where the answers are noted.
    rate: requests a second, at even times; those that come late are not made
      up for once a second was lost.
    seconds: how long.
    connections: how many requests may wait for their answers at once.
  """
  turns: Iterator[Any] = itertools.cycle(asked)
  due = time.perf_counter()
  end = due + seconds

  async def one():
    nonlocal due
    while True:
      now = time.perf_counter()
      due = mine = max(due + 1 / rate, now - 1)
      if max(mine, now) >= end:
        return
      if mine > now:
        await asyncio.sleep(mine - now)
      await client.ask(next(turns), tally)

  await asyncio.gather(*(one() for _ in range(connections)))
