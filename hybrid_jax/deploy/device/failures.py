"""Errors of the client that its caller may want to handle.

Everything else that can go wrong is an `errors.UserError` as well. No message
contains a released number.
"""

from hybrid_jax import errors


class OverBudget(errors.UserError):
  """Another release would exceed the budget; no noise was drawn."""


class OutOfRange(errors.UserError):
  """A window is far outside of the training data; no noise was drawn."""


class Refused(errors.UserError):
  """The server will never answer this request; a retry is useless.

  Attributes:
    status: the HTTP status; None if there was none, as with a TLS error.
    answers: the answers that the same call received before the error.
  """

  def __init__(self, message: str, status: int | None = None):
    super().__init__(message)
    self.status = status
    self.answers: list = []


class Unreachable(errors.UserError):
  """The server did not answer for now; a retry with the same bytes may work.

  Attributes:
    wait: seconds that the server asks to wait before the retry; 0 for none.
    answers: the answers that the same call received before the error.
  """

  def __init__(self, message: str, wait: float = 0.0):
    super().__init__(message)
    self.wait = wait
    self.answers: list = []
