"""ASGI application of one cloud half: health, metadata, inference, metrics."""

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
  cloud_half,
  micro_batches,
  middleware,
  page_files,
  request_body,
)

_VERSION = '1'
_RETRY = {'Retry-After': '1'}


@dataclasses.dataclass(frozen=True)
class Limits:
  """Upper bounds of what the server accepts.

  Attributes:
    max_body: bytes of a request body.
    max_queue: vectors that wait for the cloud half.
    max_concurrency: inference requests that are read, wait or run.
    max_batch: vectors that run at once.
    max_wait: seconds that a vector waits for others once the cloud half is
      free. Vectors that arrive while it runs form a batch in any case.
    body_seconds: seconds until the whole body has arrived.
    grid_only: whether to reject vectors off the grid of the edge's rounding.
  """

  max_body: int = 1 << 20
  max_queue: int = 64
  max_concurrency: int = 128
  max_batch: int = 8
  max_wait: float = 0.0
  body_seconds: float = 10.0
  grid_only: bool = False


class Service:
  """Serves one cloud half under one model name.

  Attributes:
    app: the ASGI application.
    in_flight: inference requests that were accepted and not yet answered.
    draining: whether new inference requests are refused before the server ends.
  """

  def __init__(
    self,
    cloud: cloud_half.CloudHalf,
    name: str = 'cloud',
    limits: Limits | None = None,
    token: str | None = None,
    page: page_files.Page | None = None,
  ):
    """Builds the application; nothing runs before its start.

    Args:
      cloud: maps released vectors to logits.
      name: the model's name in the paths.
      limits: None for the default limits.
      token: bearer token of all requests but those of health; None for none.
      page: the page that runs the edge half in a browser; None for no page.
    """
    self._cloud = cloud
    self._name = name
    self._limits = limits or Limits()
    self.in_flight = 0
    self.draining = False
    self._started = False
    self._registry = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=self._registry)
    batch_size = prometheus_client.Histogram(
      'hybrid_jax_batch_size',
      'Vectors of one batch.',
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
    self._gauge('queue_length', 'Waiting vectors.', lambda: len(self._batches))
    self._gauge(
      'in_flight',
      'Requests in progress.',
      lambda: self.in_flight,
    )
    application = applications.Starlette(
      routes=[*self._routes(), *(page.routes() if page else ())],
      lifespan=self.lifespan,
      exception_handlers=dict.fromkeys(
        (
          protocol.ProtocolError,
          micro_batches.QueueFullError,
          exceptions.HTTPException,
          Exception,
        ),
        middleware.error_response,
      ),
    )
    application.router.redirect_slashes = False
    open_paths = page.open_paths() if page else frozenset()
    self.app = middleware.Middleware(
      application, self._registry, token, open_paths
    )

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
    """Runs the cloud half's worker while the application is up."""
    self._batches.start()
    self._started = True
    try:
      yield
    finally:
      self._started = False
      await self._batches.stop()

  @property
  def ready(self) -> bool:
    """Whether inference requests are accepted."""
    return self._started and not self.draining

  def _check_model(self, request):
    """Raises 404 for another model name or version."""
    model = request.path_params['model']
    version = request.path_params.get('version', _VERSION)
    if model != self._name:
      raise exceptions.HTTPException(
        404, f'unknown model; this server has {self._name!r}.'
      )
    if version != _VERSION:
      raise exceptions.HTTPException(
        404, f'unknown version; {self._name!r} has {_VERSION!r}.'
      )

  async def _live(self, request: requests.Request) -> responses.Response:
    return responses.JSONResponse({'live': True})

  async def _ready(self, request: requests.Request) -> responses.Response:
    return responses.JSONResponse(
      {'ready': self.ready}, 200 if self.ready else 503
    )

  async def _model_ready(self, request: requests.Request) -> responses.Response:
    self._check_model(request)
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
    """Lists the one model, whatever filter the request has."""
    state = 'READY' if self.ready else 'UNAVAILABLE'
    entry = {'name': self._name, 'version': _VERSION, 'state': state}
    return responses.JSONResponse([entry | {'reason': ''}])

  async def _model(self, request: requests.Request) -> responses.Response:
    self._check_model(request)
    return responses.JSONResponse(
      {
        'name': self._name,
        'versions': [_VERSION],
        'platform': 'tflite',
        'inputs': [self._cloud.input.describe()],
        'outputs': [self._cloud.output.describe()],
        'parameters': self._cloud.metadata,
      }
    )

  async def _metrics(self, request: requests.Request) -> responses.Response:
    return responses.Response(
      prometheus_client.generate_latest(self._registry),
      media_type=prometheus_client.CONTENT_TYPE_LATEST,
    )

  async def _infer(self, request: requests.Request) -> responses.Response:
    self._check_model(request)
    if not self.ready:
      raise exceptions.HTTPException(
        503, 'the server is shutting down.', _RETRY
      )
    if self.in_flight >= self._limits.max_concurrency:
      raise exceptions.HTTPException(
        503,
        f'{self.in_flight} requests are in progress; try again later.',
        _RETRY,
      )
    self.in_flight += 1
    try:
      body = await request_body.read(
        request, self._limits.max_body, self._limits.body_seconds
      )
      infer_request = protocol.decode_request(
        body,
        request.headers.get(protocol.HEADER_LENGTH),
        self._cloud.input,
        self._cloud.output,
      )
      vector = infer_request.array
      if self._limits.grid_only and not self._cloud.on_grid(vector):
        raise protocol.ProtocolError(
          f'{self._cloud.input.name!r} is off the grid, so it is not from the'
          ' edge half of this bundle.'
        )
      logits = await self._batches.infer(vector)
    finally:
      self.in_flight -= 1
    if not np.isfinite(logits).all():
      raise protocol.ProtocolError(
        'the vector is so large that its logits overflow.'
      )
    message = protocol.encode_response(
      self._name, _VERSION, infer_request, self._cloud.output, logits
    )
    return responses.Response(message.body, headers=message.headers)
