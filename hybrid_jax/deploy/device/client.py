"""The client: sends one noisy vector per window and gets the answers."""

import threading
import time
from collections.abc import Callable
from typing import Any

from hybrid_jax import errors
from hybrid_jax.deploy.device import (
  budget,
  connection,
  delivery,
  edge_half,
  failures,
  remote_model,
  windows,
)
from hybrid_jax.deploy.formats import protocol


class Client:
  """Collects rows, releases a vector for each window, and asks the cloud.

  Noise is drawn once per window. A retry sends the same bytes: a vector with
  fresh noise would be another release of the same input, and a cloud that lets
  requests fail could average the noise away::

      link = connection.Connection('http://127.0.0.1:8000')
      device = client.Client(edge_half.read('bundle'), link)
      for answer in device.push(rows):  # [n, channels]
        print(answer.label)

  One thread may call `take` while another one sends.

  Attributes:
    counts: what happened to all windows.
    out_of_range: why the last window outside of the training data was not
      released; None without one.
  """

  def __init__(
    self,
    edge: edge_half.EdgeHalf,
    link: connection.Connection,
    model: str = 'cloud',
    hop: int | None = None,
    limits: budget.Budget | None = None,
    retry: delivery.Retry | None = None,
    queue: int = 64,
    allow_out_of_range: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
  ):
    """Sends nothing yet.

    Args:
      edge: from `edge_half.read`.
      link: the connection to the server.
      model: the name of the model on the server.
      hop: rows from the start of one window to the next; None for the length
        of a window. With a smaller hop a row is released several times, which
        the budget must allow.
      limits: the budget; None for `budget.Budget()`.
      retry: when to try again; None for `delivery.Retry()`.
      queue: how many vectors may wait; one more drops the oldest.
      allow_out_of_range: whether to release windows far outside of the training
        data. The noise was made for the training data, and hides them less.
      clock: returns seconds that never decrease.
      sleep: waits for some seconds.

    Raises:
      UserError: the hop exceeds the budget, or a number is not positive.
    """
    self.counts = delivery.Counts()
    self.out_of_range: str | None = None
    self._edge = edge
    self._allow_out_of_range = allow_out_of_range
    self._input = protocol.Tensor('released', (1, edge.dim), edge.grid)
    self._budget = limits or budget.Budget()
    self._windows = None
    if len(edge.window_shape) == 3 and edge.window_shape[0] == 1:
      self._windows = windows.Windows(edge.window_shape, hop)
      if self._windows.overlap > self._budget.per_input:
        raise errors.UserError(
          f'with a hop of {hop} a row is released {self._windows.overlap}'
          f' times; the budget allows {self._budget.per_input} per input.'
        )
    self._take_lock = threading.Lock()
    self._delivery = delivery.Delivery(
      remote_model.RemoteModel(link, model, edge).infer,
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
    """Queues a vector for each window that `rows` complete. Sends nothing.

    Windows beyond the budget, and those far outside of the training data, are
    skipped and counted.

    Args:
      rows: `[channels]` or `[n, channels]`, in the units of the manifest.

    Returns:
      How many vectors were queued.

    Raises:
      UserError: the rows do not fit; none of them is used.
    """
    with self._take_lock:
      queued = 0
      for window in self._check_windows().push(rows):
        try:
          self._delivery.add(self._release(window))
        except (failures.OverBudget, failures.OutOfRange):
          continue
        queued += 1
      return queued

  def past_stream_budget(self) -> list[str]:
    """Returns the labels for which too many windows were released.

    More windows of one person tell more about the person than one does; the
    study's bound on an attacker passes its limit after `edge.stream` windows.
    """
    released = self.counts.released
    return [n for n, most in self._edge.stream.items() if released > most]

  def clear(self) -> None:
    """Drops the rows of an unfinished window. Call it after a gap in time."""
    with self._take_lock:
      self._check_windows().clear()

  def send(self) -> list[delivery.Answer]:
    """Sends waiting vectors until one fails; nothing while a retry is not due.

    Raises:
      Refused: the server will never answer the oldest vector; it is dropped.
    """
    return self._delivery.send()

  def push(self, rows: Any) -> list[delivery.Answer]:
    """Calls `take` and `send`; returns the answers."""
    self.take(rows)
    return self.send()

  def drain(self) -> list[delivery.Answer]:
    """Sends all waiting vectors, with waits and retries.

    Raises:
      Unreachable: the last attempt failed; vectors without an answer still
        wait.
      Refused: see `send`.
    """
    return self._delivery.drain()

  def infer(self, window: Any) -> delivery.Answer:
    """Sends one window at once, before all waiting vectors.

    Args:
      window: one example in the bundle's `window_shape`.

    Raises:
      UserError: the window does not fit.
      OverBudget: the window may not be released; no noise was drawn.
      OutOfRange: the same, since it is far outside of the training data.
      Unreachable: the last attempt failed; the vector waits for `drain`.
      Refused: the server will never answer it.
    """
    array = windows.as_float32(window, 'the numbers of the window')
    if array.shape != self._edge.window_shape:
      raise errors.UserError(
        f'the window has shape {list(array.shape)}, not'
        f' {list(self._edge.window_shape)}.'
      )
    with self._take_lock:
      entry = self._release(array)
    return self._delivery.deliver_now(entry)

  def _check_windows(self):
    if self._windows is None:
      raise errors.UserError(
        'this bundle is not for signals: send whole examples of shape'
        f' {list(self._edge.window_shape)} with `infer`.'
      )
    return self._windows

  def _release(self, window):
    """Draws the one vector of a window, if range and budget allow it."""
    reason = self._edge.outside(window)
    if reason and not self._allow_out_of_range:
      self.counts.out_of_range += 1
      self.out_of_range = reason
      raise failures.OutOfRange(reason)
    try:
      self._budget.spend(window)
    except failures.OverBudget:
      self.counts.over_budget += 1
      raise
    released = self._edge.release(window)
    message = protocol.encode_request(self._input, released)
    entry = delivery.Entry(self.counts.released, message)
    self.counts.released += 1
    return entry
