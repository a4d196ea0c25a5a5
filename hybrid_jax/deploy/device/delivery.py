"""Gets vectors to the server: a bounded queue, and tries with growing waits."""

import collections
import dataclasses
import os
import threading
from collections.abc import Callable

import numpy as np

from hybrid_jax.deploy.device import failures
from hybrid_jax.deploy.formats import protocol


@dataclasses.dataclass(frozen=True)
class Answer:
  """What the cloud said of one window.

  Attributes:
    index: which window, from 0 in the order in which they were released.
    label: the likeliest class.
    confidence: its softmax, from 0 to 1.
    logits: `[classes]` float32.
    sent: bytes of the request's body.
  """

  index: int
  label: str
  confidence: float
  logits: np.ndarray
  sent: int


@dataclasses.dataclass
class Counts:
  """What became of all windows so far.

  Attributes:
    released: for which a vector was drawn.
    over_budget: for which none was, because the budget forbade it.
    answered: that have an answer.
    dropped: that were the oldest of a full queue, and have none.
    refused: that the server will never answer.
    failures: tries that came to nothing for the time being.
  """

  released: int = 0
  over_budget: int = 0
  answered: int = 0
  dropped: int = 0
  refused: int = 0
  failures: int = 0


@dataclasses.dataclass(frozen=True)
class Retry:
  """When to try again. Waits double, and each is drawn from its half to all.

  Attributes:
    attempts: of one vector in a row, before `insist` gives up.
    first: seconds after the first failure.
    longest: seconds that no wait passes, whatever the server asks for.
  """

  attempts: int = 5
  first: float = 0.5
  longest: float = 30.0


@dataclasses.dataclass(frozen=True)
class Entry:
  """One released vector, as it is sent each time."""

  index: int
  message: protocol.Message = dataclasses.field(repr=False)


class Delivery:
  """Vectors that wait, and the sending of them.

  One thread may `add` while another one sends.
  """

  def __init__(
    self,
    infer: Callable[[protocol.Message], np.ndarray],
    labels: tuple[str, ...],
    counts: Counts,
    retry: Retry,
    bound: int,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
  ):
    """Nothing waits.

    Args:
      infer: sends a message and gives its logits.
      labels: the classes.
      counts: is kept up to date.
      retry: when to try again.
      bound: how many may wait.
      clock: seconds that never go back.
      sleep: waits for some seconds.

    Raises:
      BadInput: a number is not positive.
    """
    if min(bound, retry.attempts) < 1 or min(retry.first, retry.longest) <= 0:
      raise failures.BadInput(
        'the queue, the attempts and their waits must be positive.'
      )
    self._infer, self._labels, self._counts = infer, labels, counts
    self._retry, self._bound = retry, bound
    self._clock, self._sleep = clock, sleep
    self._waiting: collections.deque[Entry] = collections.deque()
    self._lock = threading.Lock()  # Of what waits.
    self._sending = threading.Lock()
    self._failed = 0  # Tries in a row.
    self._due = clock()

  def __len__(self) -> int:
    """How many vectors wait."""
    return len(self._waiting)

  def add(self, entry: Entry) -> None:
    """Lets `entry` wait in its place; the oldest of too many is dropped."""
    with self._lock:
      if self._waiting and self._waiting[-1].index > entry.index:
        entries = sorted([*self._waiting, entry], key=lambda e: e.index)
        self._waiting = collections.deque(entries)
      else:
        self._waiting.append(entry)
      if len(self._waiting) > self._bound:
        self._waiting.popleft()
        self._counts.dropped += 1

  def send(self) -> list[Answer]:
    """Sends what waits until a try fails; nothing before its wait is over.

    Raises:
      Refused: the server will never answer the oldest, which is dropped.
    """
    answers = []
    with self._sending:
      while self._clock() >= self._due and (entry := self._next()):
        try:
          answers.append(self._try(entry))
        except failures.Unreachable:
          self.add(entry)
          break
        except failures.Refused as e:
          e.answers = answers
          raise
    return answers

  def drain(self) -> list[Answer]:
    """Sends all that waits, and waits and tries again as often as it may.

    Raises:
      Unreachable: the last try failed too; what has no answer still waits.
      Refused: the server will never answer the oldest, which is dropped.
    """
    answers = []
    with self._sending:
      while entry := self._next():
        try:
          answers.append(self._insist(entry))
        except (failures.Unreachable, failures.Refused) as e:
          e.answers = answers
          raise
    return answers

  def insist(self, entry: Entry) -> Answer:
    """Sends one vector before all that wait, as often as it may.

    Raises:
      Unreachable: the last try failed too; now the vector waits with the rest.
      Refused: the server will never answer it.
    """
    with self._sending:
      return self._insist(entry)

  def _next(self):
    with self._lock:
      return self._waiting.popleft() if self._waiting else None

  def _insist(self, entry):
    attempts = self._retry.attempts
    while True:
      wait = self._due - self._clock()
      if wait > 0:
        self._sleep(wait)
      attempts -= 1
      try:
        return self._try(entry)
      except failures.Unreachable:
        if not attempts:
          self.add(entry)
          raise

  def _try(self, entry):
    """One try; what fails sets the time before which there is no other."""
    try:
      logits = self._infer(entry.message)
    except failures.Unreachable as e:
      self._counts.failures += 1
      doubled = self._retry.first * 2.0 ** min(self._failed, 30)
      # Devices that failed together should not come again together.
      part = 0.5 + int.from_bytes(os.urandom(2)) / 2**17
      wait = max(min(doubled, self._retry.longest) * part, e.wait)
      self._failed += 1
      self._due = self._clock() + min(wait, self._retry.longest)
      raise
    except failures.Refused:
      self._counts.refused += 1
      raise
    self._failed = 0
    self._counts.answered += 1
    likely = int(logits.argmax())
    weights = np.exp(logits.astype(np.float64) - logits[likely])
    return Answer(
      index=entry.index,
      label=self._labels[likely],
      confidence=float(1 / weights.sum()),
      logits=logits,
      sent=len(entry.message.body),
    )
