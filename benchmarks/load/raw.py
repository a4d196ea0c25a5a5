"""One request on a socket of its own, sent as no sound client would."""

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Mapping

from benchmarks.load import clients, questions
from hybrid_jax.deploy.formats import protocol

GONE = 'gone'  # The client left before an answer.
CLOSED = 'closed'  # The server closed the connection without an answer.
UNREACHED = 'unreached'  # There was no connection.
WRONG = 'wrong'  # Status 200, and not the file's exact bits.
SILENT = 'silent'  # There was no answer in time.
_PARTS = 12  # In how many parts a slow client sends.


class Raw:
  """Sends bytes to one server."""

  def __init__(self, place: clients.Place, seconds: float):
    """Opens nothing yet.

    Args:
      place: the server.
      seconds: within which a request must have its outcome.
    """
    self._place = place
    self._address = urllib.parse.urlsplit(place.url)
    self._seconds = seconds

  def head(
    self,
    headers: Mapping[str, str],
    length: int,
    path: str | None = None,
  ) -> bytes:
    """An inference request up to its body.

    Args:
      headers: beside the usual ones, or in their place; empty ones are left
        out.
      length: of the body, as it is declared.
      path: another than that of inference.
    """
    lines = {
      'Host': self._address.netloc,
      'Connection': 'close',
      'Content-Length': str(length),
      **self._place.headers,
      **headers,
    }
    return '\r\n'.join(
      [
        f'POST {path or self._place.path} HTTP/1.1',
        *(f'{name}: {value}' for name, value in lines.items() if value),
        '\r\n',
      ]
    ).encode()

  def text(self, question: questions.Question) -> bytes:
    """All of a sound request."""
    return self.head(question.headers, len(question.body)) + question.body

  async def talk(
    self,
    text: bytes,
    question: questions.Question | None = None,
    seconds: float = 0.0,
  ) -> str:
    """Sends `text` and waits for what comes.

    Args:
      text: what is sent.
      question: what an answer of status 200 is compared with.
      seconds: how long the sending takes, in a few parts; 0 for at once.

    Returns:
      The answer's status, or one of the words of this module.
    """
    try:
      async with asyncio.timeout(self._seconds):
        async with self._open() as (reader, writer):
          # At the same time: who is refused is answered while it still sends.
          answer = asyncio.create_task(reader.read())
          try:
            await _send(writer, text, seconds, answer)
            return _outcome(await answer, question)
          finally:
            answer.cancel()
    except TimeoutError:
      return SILENT
    except ConnectionRefusedError:
      return UNREACHED
    except OSError:
      return CLOSED

  async def leave(self, text: bytes) -> str:
    """Sends `text` and closes the connection."""
    try:
      async with self._open() as (_, writer):
        writer.write(text)
        await writer.drain()
    except ConnectionRefusedError:
      return UNREACHED
    except OSError:
      return CLOSED
    return GONE

  @contextlib.asynccontextmanager
  async def _open(
    self,
  ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    secure = self._address.scheme == 'https'
    reader, writer = await asyncio.open_connection(
      self._address.hostname,
      self._address.port or (443 if secure else 80),
      ssl=(self._place.context or True) if secure else None,
    )
    try:
      yield reader, writer
    finally:
      writer.close()
      with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _send(writer, text, seconds, answer):
  """Till all is sent or there is an answer."""
  step = -(-len(text) // _PARTS) if seconds else len(text)
  with contextlib.suppress(ConnectionError):
    for start in range(0, len(text), step):
      if answer.done():
        return
      writer.write(text[start : start + step])
      await writer.drain()
      if seconds:
        await asyncio.wait({answer}, timeout=seconds / _PARTS)


def _outcome(answer, question):
  if not answer:
    return CLOSED
  head, _, body = answer.partition(b'\r\n\r\n')
  status = head[9:12].decode('ascii', 'replace')
  if status != '200' or question is None:
    return status
  length = None
  for line in head.decode('latin-1').split('\r\n'):
    name, _, value = line.partition(': ')
    if name.lower() == protocol.HEADER_LENGTH.lower():
      length = value
  return status if question.is_answered_by(body, length) else WRONG
