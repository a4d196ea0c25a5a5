"""What a stage is given: the config, the workdir, and earlier results."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, settings
from hybrid_jax.datasets import base as datasets
from hybrid_jax.models import base as models
from hybrid_jax.training import checkpoint
from hybrid_jax.training import state as train_state

SIMPLE = 'simple'
# The paper's five in its order; a config's others come after them.
EMBEDDINGS = (
  'simple',
  'reduced',
  'siamese',
  'reduced_siamese',
  'noisy_reduced_siamese',
)


@dataclasses.dataclass(frozen=True)
class Study:
  """One study: what is asked for, and where its results lie.

  Attributes:
    config: see `configs/watch.py`.
    workdir: all that is written lies under it.
  """

  config: ml_collections.ConfigDict
  workdir: pathlib.Path
  _params: dict = dataclasses.field(default_factory=dict, repr=False)

  @functools.cached_property
  def data(self) -> datasets.Dataset:
    """The data set, in sensor units."""
    return plugins.load('data set', self.config.data.name).load(
      self.config.data
    )

  @functools.cached_property
  def normalizer(self) -> datasets.Normalizer:
    """Fitted on the training fold."""
    return datasets.fit_normalizer(self.data.x[self.rows(datasets.TRAIN)])

  @functools.cached_property
  def x(self) -> np.ndarray:
    """The examples `[n, ...]`, normalized."""
    return self.normalizer(self.data.x)

  @functools.cached_property
  def model(self) -> models.SplitModel:
    """The network, without its parameters."""
    return make_model(self.config.model, len(self.data.primary_names))

  @property
  def split_points(self) -> tuple[str, ...]:
    """Where the study cuts, in the network's order."""
    asked = settings.asked_split_points(self.config)
    return tuple(p for p in self.model.SPLIT_POINTS if p in asked)

  @property
  def embeddings(self) -> tuple[str, ...]:
    """The names of the study's embeddings, the paper's in its order."""
    asked = tuple(self.config.release.embeddings)
    own = tuple(name for name in asked if name not in EMBEDDINGS)
    return tuple(name for name in EMBEDDINGS if name in asked) + own

  def rows(self, fold: int) -> np.ndarray:
    """`[n]` bool: the examples of a fold."""
    return self.data.fold == fold

  def key(self, *names: str) -> jax.Array:
    """A random key of its own for each name; no state, no order."""
    key = jax.random.key(self.config.seed)
    for name in names:
      for byte in name.encode():
        key = jax.random.fold_in(key, byte)
    return key

  def initial_params(self) -> dict:
    """Fresh parameters of the whole network."""
    return self.model.init(self.key('init'), self.x[:1])['params']

  def run_folder(self, weights: str, split_point: str = '') -> pathlib.Path:
    """Where the training of these weights lies."""
    name = weights if weights == SIMPLE else f'{weights}-{split_point}'
    return self.workdir / 'training' / name

  def params(self, weights: str, split_point: str = '') -> dict[str, Any]:
    """The trained parameters, read once.

    Raises:
      UserError: that training is not done; it names the stage to run.
    """
    if weights == SIMPLE:
      split_point = ''  # The same network, wherever it is cut.
    if (weights, split_point) in self._params:
      return self._params[weights, split_point]
    stage = 'train' if weights == SIMPLE else weights
    settings = self.config.training if stage == 'train' else self.config[stage]
    tx = train_state.optimizer(settings)
    like = train_state.create(self.initial_params(), tx)
    folder = self.run_folder(weights, split_point) / 'checkpoints'
    found = checkpoint.restore(folder, like)
    if found is None or int(found.step) < settings.steps:
      raise errors.UserError(
        f'{folder} holds no finished training; run --stages={stage} first.'
      )
    self._params[weights, split_point] = found.params
    return found.params

  def features(self, weights: str, split_point: str) -> np.ndarray:
    """What the edge gives for every example: `[n, ...]`."""
    edge = jax.jit(
      lambda params, x: self.model.apply(
        {'params': params}, x, split_point, method='edge'
      )
    )
    return in_blocks(edge, self.params(weights, split_point), self.x)

  def released_path(self, split_point: str, embedding: str) -> pathlib.Path:
    """Where the released vectors lie."""
    return self.workdir / 'released' / f'{split_point}-{embedding}.npz'

  def result(self, *names: str) -> pathlib.Path:
    """Where a stage keeps a result."""
    return self.workdir.joinpath('results', *names).with_suffix('.json')

  def needs(self, path: pathlib.Path, stage: str) -> pathlib.Path:
    """Returns `path` if it is there.

    Raises:
      UserError: it is not; the message names the stage that writes it.
    """
    if not path.exists():
      raise errors.UserError(
        f'{path} is not there; run --stages={stage} first.'
      )
    return path

  def read(self, *names: str, stage: str) -> dict:
    """A result of an earlier stage."""
    return files.read_json(self.needs(self.result(*names), stage))


def make_model(
  config: ml_collections.ConfigDict, classes: int
) -> models.SplitModel:
  """The network of `config.model`, with `classes` outputs.

  Raises:
    UserError: the model, or one of its options, is not known.
  """
  module = plugins.load('model', config.name)
  options = config.options.to_dict()
  fields = {f.name for f in dataclasses.fields(module.Model)}
  for option in options:
    errors.check_known(
      'model option', option, sorted(fields - {'classes', 'parent', 'name'})
    )
  return module.Model(classes=classes, **options)


def in_blocks(apply, params, x: np.ndarray, block: int = 1024) -> np.ndarray:
  """`apply(params, x)` over `x [n, ...]` in blocks of one shape."""
  padded = np.pad(x, ((0, -len(x) % block), *[(0, 0)] * (x.ndim - 1)))
  out = [
    np.asarray(apply(params, padded[i : i + block]))
    for i in range(0, len(padded), block)
  ]
  return np.concatenate(out)[: len(x)]
