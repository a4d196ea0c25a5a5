"""A handler that does nothing: what Starlette and uvicorn cost alone."""

import socket
from multiprocessing import connection

import uvicorn
from starlette import applications, requests, responses, routing


def serve(size: int, told: connection.Connection) -> None:
  """Answers each inference request with `size` fixed bytes, until SIGTERM.

  Uvicorn is set as it is for the cloud half: the same HTTP parser and event
  loop, no access log.

  Args:
    size: of an answer's body, in bytes.
    told: where the port is sent once it listens, on loopback.
  """
  content = b'x' * size

  async def infer(request: requests.Request) -> responses.Response:
    await request.body()
    return responses.Response(content, media_type='application/octet-stream')

  route = routing.Route('/v2/models/{model}/infer', infer, methods=['POST'])
  config = uvicorn.Config(
    applications.Starlette(routes=[route]),
    http='h11',
    ws='none',
    loop='asyncio',
    lifespan='off',
    log_config=None,
    access_log=False,
    proxy_headers=False,
    server_header=False,
  )
  # With its protocol, asyncio sends small answers at once (TCP_NODELAY).
  with socket.socket(
    socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
  ) as listener:
    listener.bind(('127.0.0.1', 0))
    listener.listen(2048)
    told.send(listener.getsockname()[1])
    uvicorn.Server(config).run([listener])
