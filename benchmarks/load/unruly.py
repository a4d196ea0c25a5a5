"""Clients that are slow, cut off, malformed or unauthorised."""

import asyncio
import collections
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable

import numpy as np

from benchmarks.load import clients, questions, raw
from hybrid_jax.deploy.formats import protocol

_PAUSE = 0.25  # Seconds between two requests of one client.


@dataclasses.dataclass(frozen=True)
class Limits:
  """The server's own, which these clients pass.

  Attributes:
    max_body: bytes.
    body_seconds: within which headers, and then a body, must be there.
  """

  max_body: int = 1 << 20
  body_seconds: float = 10.0


@dataclasses.dataclass(frozen=True)
class Kind:
  """One kind of client.

  Attributes:
    run: one request; gives the answer's status as text, or what came instead.
    right: the outcomes that a sound server gives.
    pause: seconds to the next request.
  """

  run: Callable[[], Awaitable[str]]
  right: tuple[str, ...]
  pause: float = _PAUSE


class Unruly:
  """One client of each kind, beside those that behave.

  Attributes:
    kinds: by name.
    outcomes: how many requests of each kind ended in which way.
  """

  def __init__(
    self,
    place: clients.Place,
    tensors: questions.Tensors,
    question: questions.Question,
    limits: Limits,
    patience: float = 30.0,
  ):
    """Nothing is sent before `run`.

    Args:
      place: the server; if it has a token, there are unauthorised clients.
      tensors: of the cloud half.
      question: a request as it should be.
      limits: the server's.
      patience: seconds that each waits beyond what the limits may take.
    """
    self._place = place
    self._given = tensors.given
    self._question = question
    self._limits = limits
    self._raw = raw.Raw(place, 2 * limits.body_seconds + patience)
    self.kinds = self._slow() | self._cut_off() | self._malformed()
    if place.token:
      self.kinds |= self._unauthorised()
    self.outcomes: dict[str, collections.Counter[str]] = {
      name: collections.Counter() for name in self.kinds
    }

  async def run(self, seconds: float) -> None:
    """All kinds at once, each one request after another."""
    end = time.monotonic() + seconds
    await asyncio.gather(*(self._repeat(name, end) for name in self.kinds))

  def unexpected(self) -> dict[str, dict[str, int]]:
    """The outcomes that a sound server does not give, by kind."""
    found = {
      name: {o: n for o, n in counts.items() if o not in self.kinds[name].right}
      for name, counts in self.outcomes.items()
    }
    return {name: counts for name, counts in found.items() if counts}

  async def _repeat(self, name, end):
    kind = self.kinds[name]
    while time.monotonic() < end:
      self.outcomes[name][await kind.run()] += 1
      await asyncio.sleep(kind.pause)

  def _slow(self):
    text = self._raw.text(self._question)
    # The head is in the first part, and the body never comes to its end. What
    # came at the very deadline would reset the connection before the answer.
    endless = self._raw.head({}, 100_000) + b' ' * 9000
    seconds = self._limits.body_seconds
    return {
      # A server that has too much to do may refuse whom it would answer.
      'slow': Kind(
        lambda: self._raw.talk(text, self._question, 0.3 * seconds),
        ('200', '503'),
      ),
      'too slow': self._told('408', endless, 0.9 * seconds),
      'slow headers': Kind(lambda: self._raw.talk(text[:60]), (raw.CLOSED,)),
    }

  def _cut_off(self):
    text = self._raw.text(self._question)
    return {
      name: Kind(lambda sent=sent: self._raw.leave(sent), (raw.GONE,))
      for name, sent in {
        'cut off in the headers': text[:60],
        'cut off in the body': text[:-3],
        'gone before the answer': text,
      }.items()
    }

  def _malformed(self):
    given = self._given
    fine = np.zeros(given.shape, np.float32)
    long = self._limits.max_body + 1
    arrays = {
      'wrong shape': np.concatenate([fine, fine], -1),
      'NaN': np.full_like(fine, np.nan),
      'infinity': np.full_like(fine, -np.inf),
    }
    entry = given.describe() | {'data': fine.tolist()}
    not_a_number = entry | {'data': [float('nan')] * fine.size}
    body = protocol.dump_json({'inputs': [entry]})
    bodies = {
      'no JSON': b'{"inputs": [',
      'NaN in JSON': json.dumps({'inputs': [not_a_number]}).encode(),
      'wrong datatype': body.replace(b'FP32', b'BOOL'),
      'empty': b'',
    }
    head = self._raw.head
    form = {'Content-Type': 'application/x-www-form-urlencoded'}
    other = self._place.path.replace(f'/{self._place.model}/', '/no-model/')
    return (
      {
        name: self._told('400', head(headers, len(sent)) + sent)
        for name, array in arrays.items()
        for sent, headers in [questions.request(given, array)]
      }
      | {
        name: self._told('400', head({}, len(sent)) + sent)
        for name, sent in bodies.items()
      }
      | {
        'no HTTP': self._told('400', b'nonsense\r\n\r\n'),
        'too long': self._told('413', head({}, long) + b' ' * long, pause=1.0),
        'a form': self._told('415', head(form, len(body)) + body),
        'no such model': self._told('404', head({}, len(body), other) + body),
      }
    )

  def _unauthorised(self):
    question = self._question
    return {
      name: self._told(
        '401',
        self._raw.head(
          question.headers | {'Authorization': value}, len(question.body)
        )
        + question.body,
      )
      for name, value in {
        'no token': '',
        'wrong token': 'Bearer ' + 'x' * 32,
      }.items()
    }

  def _told(self, status, text, seconds=0.0, pause=_PAUSE):
    """Who is to be told `status`, or that there is too much to do."""
    late = () if status in ('401', '404') else ('503',)
    return Kind(
      lambda: self._raw.talk(text, None, seconds), (status, *late), pause
    )
