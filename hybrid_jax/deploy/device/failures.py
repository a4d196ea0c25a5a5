"""What can go wrong on the device. No message holds a released number."""


class ClientError(Exception):
  """All that this package raises."""


class BadBundle(ClientError):
  """The bundle is damaged, mismatched, or needs another runtime."""


class BadInput(ClientError):
  """A setting, sensor rows or a window that do not fit."""


class OverBudget(ClientError):
  """One more release would pass the budget; nothing was drawn or sent."""


class Refused(ClientError):
  """The server will not answer this, however often it is asked.

  Attributes:
    status: of the HTTP answer; None where there was none, as with TLS.
    answers: those that came in the same call before it.
  """

  def __init__(self, message: str, status: int | None = None):
    super().__init__(message)
    self.status = status
    self.answers: list = []


class Unreachable(ClientError):
  """No answer for now: worth another try, with the same bytes.

  Attributes:
    wait: seconds that the server asks to wait before it; 0 for none.
    answers: those that came in the same call before it.
  """

  def __init__(self, message: str, wait: float = 0.0):
    super().__init__(message)
    self.wait = wait
    self.answers: list = []
