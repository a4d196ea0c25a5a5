"""The device's loop: windows, one noisy vector each, and the answers."""

import threading
import time
from collections.abc import Callable
from typing import Any

from hybrid_jax.deploy.device import (
  budget,
  bundle,
  connection,
  delivery,
  failures,
  server_metadata,
  windows,
)
from hybrid_jax.deploy.formats import protocol


class Client:
  """Gathers rows, releases a vector for each window, and asks the cloud.

  Noise is drawn once a window. What is tried again is the same bytes: a vector
  with fresh noise would be another release of the same input, and a cloud that
  let requests fail could average the noise away.

      link = connection.Connection('http://127.0.0.1:8000')
      device = client.Client(bundle.read('bundle'), link)
      for answer in device.push(rows):  # [n, channels]
        print(answer.label)

  One thread may `take` while another one sends.

  Attributes:
    counts: what became of all windows.
  """

  def __init__(
    self,
    edge: bundle.Bundle,
    link: connection.Connection,
    model: str = 'cloud',
    hop: int | None = None,
    limits: budget.Budget | None = None,
    retry: delivery.Retry | None = None,
    queue: int = 64,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
  ):
    """Sends nothing yet.

    Args:
      edge: of `bundle.read`.
      link: to the server.
      model: its name there.
      hop: rows from one window's start to the next one's; None for a window's
        length. With less, a row is released several times, which the budget
        must allow.
      limits: the budget; None for `budget.Budget()`.
      retry: when to try again; None for `delivery.Retry()`.
      queue: how many vectors may wait; one more drops the oldest.
      clock: seconds that never go back.
      sleep: waits for some seconds.

    Raises:
      BadInput: the hop passes the budget, or a number is not positive.
    """
    self.counts = delivery.Counts()
    self._edge = edge
    self._budget = limits or budget.Budget()
    self._windows = None
    if len(edge.window_shape) == 3 and edge.window_shape[0] == 1:
      self._windows = windows.Windows(edge.window_shape, hop)
      if self._windows.overlap > self._budget.per_input:
        raise failures.BadInput(
          f'with a hop of {hop} a row is released {self._windows.overlap}'
          f' times; the budget allows {self._budget.per_input} an input.'
        )
    self._taking = threading.Lock()
    self._delivery = delivery.Delivery(
      server_metadata.Server(link, model, edge).infer,
      edge.labels,
      self.counts,
      retry or delivery.Retry(),
      queue,
      clock,
      sleep,
    )

  def __len__(self) -> int:
    """How many vectors wait to be sent."""
    return len(self._delivery)

  def take(self, rows: Any) -> int:
    """Queues a vector for each window that `rows` end; touches no network.

    Windows beyond the budget are left out and counted.

    Args:
      rows: `[channels]` or `[n, channels]`, in the units of the manifest.

    Returns:
      How many were queued.

    Raises:
      BadInput: they do not fit; none of them is taken.
    """
    with self._taking:
      queued = 0
      for window in self._need_windows().push(rows):
        try:
          self._delivery.add(self._release(window))
        except failures.OverBudget:
          continue
        queued += 1
      return queued

  def clear(self) -> None:
    """Forgets the rows of a window that is not full, after a gap in time."""
    with self._taking:
      self._need_windows().clear()

  def send(self) -> list[delivery.Answer]:
    """Sends what waits until a try fails; nothing before its wait is over.

    Raises:
      Refused: the server will never answer the oldest, which is dropped.
    """
    return self._delivery.send()

  def push(self, rows: Any) -> list[delivery.Answer]:
    """`take`, then `send`: the answers that came by now."""
    self.take(rows)
    return self.send()

  def drain(self) -> list[delivery.Answer]:
    """Sends all that waits, and waits and tries again as often as it may.

    Raises:
      Unreachable: the last try failed too; what has no answer still waits.
      Refused: see `send`.
    """
    return self._delivery.drain()

  def infer(self, window: Any) -> delivery.Answer:
    """One example in the bundle's `window_shape`, before all that wait.

    Raises:
      BadInput: it does not fit.
      OverBudget: it may not be released; nothing was drawn.
      Unreachable: the last try failed too; the vector waits for `drain`.
      Refused: the server will never answer it.
    """
    array = windows.numbers(window, 'the window')
    if array.shape != self._edge.window_shape:
      raise failures.BadInput(
        f'the window has shape {list(array.shape)}, not'
        f' {list(self._edge.window_shape)}.'
      )
    with self._taking:
      entry = self._release(array)
    return self._delivery.insist(entry)

  def _need_windows(self):
    if self._windows is None:
      raise failures.BadInput(
        f'this bundle takes examples of {list(self._edge.window_shape)}, and'
        ' no rows.'
      )
    return self._windows

  def _release(self, window):
    """Draws the one vector of a window, if the budget allows it."""
    try:
      self._budget.spend(window)
    except failures.OverBudget:
      self.counts.over_budget += 1
      raise
    released = self._edge.edge(window)
    tensor = protocol.Tensor('released', released.shape, self._edge.grid)
    message = protocol.encode_request(tensor, released)
    entry = delivery.Entry(self.counts.released, message)
    self.counts.released += 1
    return entry
