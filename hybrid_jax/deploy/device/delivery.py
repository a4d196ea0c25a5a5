"""A queue of released vectors, sent with retries and growing waits."""

import collections
import dataclasses
import random
import threading
from collections.abc import Callable

import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.device import failures
from hybrid_jax.deploy.formats import protocol


@dataclasses.dataclass(frozen=True)
class Answer:
  """The cloud's answer for one window.

  Attributes:
    index: the number of the window, from 0, in the order of release.
    label: the most probable class.
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
  """How many windows had each outcome so far.

  Attributes:
    released: a vector was drawn.
    over_budget: no vector was drawn, because of the budget.
    out_of_range: no vector was drawn: far outside of the training data.
    answered: the cloud answered.
    dropped: dropped without an answer, as the oldest of a full queue.
    refused: the server will never answer.
    failures: failed attempts that may be repeated.
  """

  released: int = 0
  over_budget: int = 0
  out_of_range: int = 0
  answered: int = 0
  dropped: int = 0
  refused: int = 0
  failures: int = 0


@dataclasses.dataclass(frozen=True)
class Retry:
  """When to try again.

  The wait doubles with each failure. Each is multiplied by a random number from
  0.5 to 1.

  Attributes:
    attempts: how often `drain` and `deliver_now` send one vector.
    first: seconds to wait after the first failure.
    longest: the longest wait in seconds, even if the server asks for more.
  """

  attempts: int = 5
  first: float = 0.5
  longest: float = 30.0


@dataclasses.dataclass(frozen=True)
class Entry:
  """A released vector as a request; each attempt sends the same bytes."""

  index: int
  message: protocol.Message = dataclasses.field(repr=False)


class Delivery:
  """Waiting vectors, and how they are sent.

  One thread may call `add` while another one sends.
  """

  def __init__(
    self,
    infer: Callable[[protocol.Message], np.ndarray],
    labels: tuple[str, ...],
    counts: Counts,
    retry: Retry,
    capacity: int,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
  ):
    """Starts with an empty queue.

    Args:
      infer: sends a message and returns the logits.
      labels: the names of the classes.
      counts: is updated.
      retry: when to try again.
      capacity: how many vectors may wait.
      clock: returns seconds that never decrease.
      sleep: waits for some seconds.

    Raises:
      UserError: a number is not positive.
    """
    if (
      min(capacity, retry.attempts) < 1 or min(retry.first, retry.longest) <= 0
    ):
      raise errors.UserError(
        'the queue, the attempts and their waits must be positive.'
      )
    self._infer, self._labels, self._counts = infer, labels, counts
    self._retry, self._capacity = retry, capacity
    self._clock, self._sleep = clock, sleep
    self._queue: collections.deque[Entry] = collections.deque()
    self._queue_lock = threading.Lock()
    self._send_lock = threading.Lock()
    self._failed_in_a_row = 0
    self._next_attempt = clock()

  def __len__(self) -> int:
    """How many vectors wait."""
    return len(self._queue)

  def add(self, entry: Entry) -> None:
    """Adds `entry` to the queue, in the order of the indices.

    If the queue is too long, its oldest entry is dropped.
    """
    with self._queue_lock:
      if self._queue and self._queue[-1].index > entry.index:
        entries = sorted([*self._queue, entry], key=lambda e: e.index)
        self._queue = collections.deque(entries)
      else:
        self._queue.append(entry)
      if len(self._queue) > self._capacity:
        self._queue.popleft()
        self._counts.dropped += 1

  def send(self) -> list[Answer]:
    """Sends entries until one fails; nothing while a retry is not due.

    Raises:
      Refused: the server will never answer the oldest entry; it is dropped.
    """
    answers = []
    with self._send_lock:
      while self._clock() >= self._next_attempt and (entry := self._pop()):
        try:
          answers.append(self._attempt(entry))
        except failures.Unreachable:
          self.add(entry)
          break
        except failures.Refused as e:
          e.answers = answers
          raise
    return answers

  def drain(self) -> list[Answer]:
    """Sends all entries, with waits and retries.

    Raises:
      Unreachable: the last attempt failed; entries without an answer still
        wait.
      Refused: the server will never answer the oldest entry; it is dropped.
    """
    answers = []
    with self._send_lock:
      while entry := self._pop():
        try:
          answers.append(self._deliver(entry))
        except (failures.Unreachable, failures.Refused) as e:
          e.answers = answers
          raise
    return answers

  def deliver_now(self, entry: Entry) -> Answer:
    """Sends one entry before all waiting ones, with waits and retries.

    Raises:
      Unreachable: the last attempt failed; the entry was added to the queue.
      Refused: the server will never answer it.
    """
    with self._send_lock:
      return self._deliver(entry)

  def _pop(self):
    with self._queue_lock:
      return self._queue.popleft() if self._queue else None

  def _deliver(self, entry):
    attempts_left = self._retry.attempts
    while True:
      wait = self._next_attempt - self._clock()
      if wait > 0:
        self._sleep(wait)
      attempts_left -= 1
      try:
        return self._attempt(entry)
      except failures.Unreachable:
        if not attempts_left:
          self.add(entry)
          raise

  def _attempt(self, entry):
    """Sends an entry once; after a failure, sets when to try again."""
    try:
      logits = self._infer(entry.message)
    except failures.Unreachable as e:
      self._counts.failures += 1
      wait = self._retry.first * 2.0 ** min(self._failed_in_a_row, 30)
      # Random, so that devices that failed together do not return together.
      factor = random.uniform(0.5, 1)
      wait = max(min(wait, self._retry.longest) * factor, e.wait)
      self._failed_in_a_row += 1
      self._next_attempt = self._clock() + min(wait, self._retry.longest)
      raise
    except failures.Refused:
      self._counts.refused += 1
      raise
    self._failed_in_a_row = 0
    self._counts.answered += 1
    best = int(logits.argmax())
    weights = np.exp(logits.astype(np.float64) - logits[best])
    return Answer(
      index=entry.index,
      label=self._labels[best],
      confidence=float(1 / weights.sum()),
      logits=logits,
      sent=len(entry.message.body),
    )
