"""The cloud half at the other end, known by its sha256."""

import json
import urllib.parse

import numpy as np

from hybrid_jax.deploy.device import bundle, connection, failures
from hybrid_jax.deploy.formats import protocol


class Server:
  """One model behind a connection."""

  def __init__(
    self, link: connection.Connection, model: str, of: bundle.Bundle
  ):
    """Asks nothing yet.

    Args:
      link: to the server.
      model: its name there.
      of: the bundle whose cloud half it should be.
    """
    self._link, self._model, self._of = link, model, of
    self._path = f'/v2/models/{urllib.parse.quote(model, safe="")}'
    self._checked = False

  def infer(self, message: protocol.Message) -> np.ndarray:
    """The logits `[classes]` for one vector.

    Before the first one, the server is asked which cloud half it has: another
    one must not get this edge's vectors.

    Raises:
      Unreachable: there is no answer for now.
      Refused: there will be none.
    """
    if not self._checked:
      self._check()
    body, length = self._link.ask(
      'POST', self._path + '/infer', message.body, message.headers
    )
    classes = len(self._of.labels)
    output = protocol.Tensor('logits', (1, classes))
    try:
      return protocol.decode_response(body, length, output).array[0]
    except protocol.ProtocolError:
      # Without the cause: a server's text may repeat what it was sent.
      raise failures.Refused(
        f'the server did not answer with {classes} logits.', 200
      ) from None

  def _check(self):
    body, _ = self._link.ask('GET', self._path)
    try:
      found = json.loads(body)['parameters']['sha256']
    except (ValueError, KeyError, TypeError, RecursionError):
      found = None  # Other servers of the protocol do not tell.
    if found not in (None, self._of.cloud_sha256):
      raise failures.Refused(
        f'{self._model!r} there is not the cloud half that belongs to this'
        ' edge.'
      )
    self._checked = True
