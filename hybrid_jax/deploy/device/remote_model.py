"""The cloud half on a server: checks which one it is, and sends it vectors."""

import json
import urllib.parse

import numpy as np

from hybrid_jax.deploy.device import connection, edge_half, failures
from hybrid_jax.deploy.formats import protocol


class RemoteModel:
  """The cloud half on a server, as the device sees it."""

  def __init__(
    self, link: connection.Connection, model: str, edge: edge_half.EdgeHalf
  ):
    """Sends nothing yet.

    Args:
      link: the connection to the server.
      model: the name of the model there.
      edge: the edge half whose cloud half the model must be.
    """
    self._link, self._model, self._edge = link, model, edge
    self._path = f'/v2/models/{urllib.parse.quote(model, safe="")}'
    self._checked = False

  def infer(self, message: protocol.Message) -> np.ndarray:
    """Returns the logits `[classes]` for one vector.

    Before the first vector it asks the server for the SHA-256 of its cloud
    half: another one must not get vectors of this edge half.

    Raises:
      Unreachable: the server did not answer for now.
      Refused: the server will never answer this request.
    """
    if not self._checked:
      self._check()
    body, length = self._link.request(
      'POST', self._path + '/infer', message.body, message.headers
    )
    classes = len(self._edge.labels)
    output = protocol.Tensor('logits', (1, classes))
    try:
      return protocol.decode_response(body, length, output).array[0]
    except protocol.ProtocolError:
      # Without the cause: a server's text may repeat what it was sent.
      raise failures.Refused(
        f'the server did not answer with {classes} logits.', 200
      ) from None

  def _check(self):
    body, _ = self._link.request('GET', self._path)
    try:
      sha256 = json.loads(body)['parameters']['sha256']
    except (ValueError, KeyError, TypeError, RecursionError):
      sha256 = None  # Other servers of the protocol do not give it.
    if sha256 not in (None, self._edge.cloud_sha256):
      raise failures.Refused(
        f'the model {self._model!r} on the server is not the cloud half that'
        ' belongs to this edge half.'
      )
    self._checked = True
