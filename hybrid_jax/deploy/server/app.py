"""The routes: health, metadata, inference and metrics of one cloud half."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import prometheus_client
from starlette import applications, exceptions, requests, responses, routing

import hybrid_jax
from hybrid_jax.deploy.formats import protocol
from hybrid_jax.deploy.server import (
  body,
  guard,
  http_error,
  loaded_half,
  micro_batches,
  page_files,
)

_VERSION = '1'
_BUSY = {'Retry-After': '1'}


@dataclasses.dataclass(frozen=True)
class Limits:
  """What the server takes on at most.

  Attributes:
    max_body: bytes of a request's body.
    max_queue: vectors that wait for the cloud half.
    max_concurrency: inference requests that are being read, wait or run.
    max_batch: vectors that run at once.
    max_wait: seconds that a vector waits for others to run with, once the cloud
      half is free; what comes while it runs is gathered in any case.
    body_seconds: within which a body must be there.
    grid_only: whether vectors that the edge's rounding cannot give are refused.
  """

  max_body: int = 1 << 20
  max_queue: int = 64
  max_concurrency: int = 128
  max_batch: int = 8
  max_wait: float = 0.0
  body_seconds: float = 10.0
  grid_only: bool = False


class Service:
  """One cloud half under one name, from the first request to the last.

  Attributes:
    app: the ASGI application.
    in_flight: how many inference requests were taken on and not answered.
    draining: whether new ones are refused, because the server is to end.
  """

  def __init__(
    self,
    cloud: loaded_half.CloudHalf,
    name: str = 'cloud',
    limits: Limits | None = None,
    token: str | None = None,
    page: page_files.Page | None = None,
  ):
    """Nothing runs before the application's start.

    Args:
      cloud: what answers.
      name: the model's name in the addresses.
      limits: what is taken on at most.
      token: what a request must bear, but for health; None for no token.
      page: what runs the edge half in a browser; None for no page.
    """
    self._cloud = cloud
    self._name = name
    self._limits = limits or Limits()
    self.in_flight = 0
    self.draining = False
    self._started = False
    self._registry = prometheus_client.CollectorRegistry()
    batch_size = prometheus_client.Histogram(
      'hybrid_jax_batch_size',
      'Vectors that ran at once.',
      registry=self._registry,
      buckets=cloud.sizes,
    )
    self._batches = micro_batches.Batches(
      cloud,
      cloud.sizes[-1],
      self._limits.max_queue,
      self._limits.max_wait,
      batch_size.observe,
    )
    self._gauge(
      'queue_length', 'Vectors that wait.', lambda: len(self._batches)
    )
    self._gauge('in_flight', 'Requests taken on.', lambda: self.in_flight)
    inner = applications.Starlette(
      routes=[*self._routes(), *(page.routes() if page else ())],
      lifespan=self.lifespan,
      exception_handlers={
        http_error.Refused: guard.told,
        protocol.ProtocolError: guard.told,
        exceptions.HTTPException: guard.told,
        Exception: guard.told,
      },
    )
    inner.router.redirect_slashes = False
    opened = page.open_paths() if page else frozenset()
    self.app = guard.Guard(inner, self._registry, token, opened)

  def _gauge(self, name, text, function):
    gauge = prometheus_client.Gauge(
      f'hybrid_jax_{name}', text, registry=self._registry
    )
    gauge.set_function(function)

  def _routes(self):
    model = '/v2/models/{model}'
    version = model + '/versions/{version}'
    routes = [
      routing.Route('/v2/health/live', self._live),
      routing.Route('/v2/health/ready', self._ready),
      routing.Route('/v2', self._server),
      routing.Route('/v2/repository/index', self._index, methods=['POST']),
      routing.Route('/metrics', self._metrics),
    ]
    for path in (model, version):
      routes += [
        routing.Route(path, self._model),
        routing.Route(path + '/ready', self._model_ready),
        routing.Route(path + '/infer', self._infer, methods=['POST']),
      ]
    return routes

  @contextlib.asynccontextmanager
  async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
    """Within it, requests are answered."""
    self._batches.start()
    self._started = True
    try:
      yield
    finally:
      self._started = False
      await self._batches.stop()

  @property
  def ready(self) -> bool:
    """Whether inference requests are taken on."""
    return self._started and not self.draining

  def _check(self, request):
    """Refuses another model's name or version."""
    model = request.path_params['model']
    version = request.path_params.get('version', _VERSION)
    if model != self._name:
      raise http_error.Refused(
        f'there is no such model; this server has {self._name!r}.', 404
      )
    if version != _VERSION:
      raise http_error.Refused(
        f'{self._name!r} has no such version; it has {_VERSION!r}.', 404
      )

  async def _live(self, request: requests.Request) -> responses.Response:
    return responses.JSONResponse({'live': True})

  async def _ready(self, request: requests.Request) -> responses.Response:
    return responses.JSONResponse(
      {'ready': self.ready}, 200 if self.ready else 503
    )

  async def _model_ready(self, request: requests.Request) -> responses.Response:
    self._check(request)
    return responses.JSONResponse(
      {'name': self._name, 'ready': self.ready}, 200 if self.ready else 503
    )

  async def _server(self, request: requests.Request) -> responses.Response:
    return responses.JSONResponse(
      {
        'name': 'hybrid_jax',
        'version': hybrid_jax.__version__,
        'extensions': ['binary_tensor_data'],
      }
    )

  async def _index(self, request: requests.Request) -> responses.Response:
    """The models there are; which of them are asked for is not looked at."""
    state = 'READY' if self.ready else 'UNAVAILABLE'
    entry = {'name': self._name, 'version': _VERSION, 'state': state}
    return responses.JSONResponse([entry | {'reason': ''}])

  async def _model(self, request: requests.Request) -> responses.Response:
    self._check(request)
    return responses.JSONResponse(
      {
        'name': self._name,
        'versions': [_VERSION],
        'platform': 'tflite',
        'inputs': [self._cloud.given.describe()],
        'outputs': [self._cloud.wanted.describe()],
        'parameters': self._cloud.facts,
      }
    )

  async def _metrics(self, request: requests.Request) -> responses.Response:
    return responses.Response(
      prometheus_client.generate_latest(self._registry),
      media_type=prometheus_client.CONTENT_TYPE_LATEST,
    )

  async def _infer(self, request: requests.Request) -> responses.Response:
    self._check(request)
    if not self.ready:
      raise http_error.Refused('the server is ending.', 503, _BUSY)
    if self.in_flight >= self._limits.max_concurrency:
      raise http_error.Refused(
        f'{self.in_flight} requests are being answered; try again later.',
        503,
        _BUSY,
      )
    self.in_flight += 1
    try:
      sent = await body.read(
        request, self._limits.max_body, self._limits.body_seconds
      )
      asked = protocol.decode_request(
        sent,
        request.headers.get(protocol.HEADER_LENGTH),
        self._cloud.given,
        self._cloud.wanted,
      )
      if self._limits.grid_only and not self._cloud.on_grid(asked.array):
        raise http_error.Refused(
          f'{self._cloud.given.name!r} is not on the grid: the edge half of'
          ' this bundle did not make it.'
        )
      logits = await self._batches.infer(asked.array)
    finally:
      self.in_flight -= 1
    if not np.isfinite(logits).all():
      raise http_error.Refused(
        'the vector is so large that its logits overflow.'
      )
    message = protocol.encode_response(
      self._name, _VERSION, asked, self._cloud.wanted, logits
    )
    return responses.Response(message.body, headers=message.headers)
