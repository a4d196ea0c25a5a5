"""The one error for a request that is not answered as it asks."""

from collections.abc import Mapping


class Refused(Exception):
  """A request that is answered with an error.

  Attributes:
    message: what is wrong, in one sentence; no number of a released vector.
    status: of the HTTP answer, 400 to 599.
    headers: what the answer's headers say beside the usual ones.
  """

  def __init__(
    self,
    message: str,
    status: int = 400,
    headers: Mapping[str, str] | None = None,
  ):
    super().__init__(message)
    self.message = message
    self.status = status
    self.headers = dict(headers or {})
