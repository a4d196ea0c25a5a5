"""The networks of a study: parameters of its trainings, and features."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
import optax

from hybrid_jax import errors, files, plugins
from hybrid_jax.datasets import normalization, sources
from hybrid_jax.models import split_model
from hybrid_jax.release import bottleneck, embeddings, mechanisms
from hybrid_jax.study import (
  array_cache,
  examples,
  trainings,
  workdir,
)
from hybrid_jax.training import (
  augmentation,
  checkpoint,
  distributed,
  loop,
  precision,
  train_state,
)


@dataclasses.dataclass(frozen=True)
class Networks(workdir.Workdir, examples.Examples):
  """Networks of a study, and what is computed from them.

  Attributes:
    config: see `study/config_schema.py`.
    workdir: the folder of all files that the study writes.
  """

  _params: dict = dataclasses.field(default_factory=dict, repr=False)
  _features: array_cache.ArrayCache = dataclasses.field(
    default_factory=array_cache.ArrayCache, repr=False
  )

  @functools.cached_property
  def normalizer(self) -> normalization.Normalizer:
    """The normalizer of the training fold, which the work directory keeps."""
    path = self.workdir / 'normalizer.npz'
    if not path.exists():
      fitted = super().normalizer
      if not distributed.is_first():
        return fitted
      files.write_npz(path, {'mean': fitted.mean, 'std': fitted.std})
    return normalization.Normalizer(**files.read_npz(path))

  @functools.cached_property
  def model(self) -> split_model.SplitModel:
    """The network without its parameters."""
    return split_model.make(self.config.model, len(self.data.primary_names))

  @property
  def trainable(self) -> split_model.SplitModel | precision.Mixed:
    """The network in the precision of its training."""
    return precision.trainable(self.model, self.config.model)

  def optimizer(
    self, config: ml_collections.ConfigDict
  ) -> optax.GradientTransformation:
    """Returns the optimizer of `config.training` or `config.siamese`."""
    return train_state.optimizer(config, split_points=self.model.SPLIT_POINTS)

  @property
  def augment_settings(self) -> dict[str, np.ndarray]:
    """The arguments of `augment`: `mean` and `std` of the normalizer."""
    return dataclasses.asdict(self.normalizer)

  def augment(
    self, settings: Mapping[str, Any] | None = None
  ) -> augmentation.Augment:
    """Returns the random changes of training examples.

    Args:
      settings: `augment_settings`, of this study by default. Studies that
        differ in them alone may share a program of which they are an argument.
    """
    values = settings or self.augment_settings
    normalizer = normalization.Normalizer(values['mean'], values['std'])
    return augmentation.make(self.config.augment, normalizer)

  def key(self, *names: str) -> jax.Array:
    """Returns a random key that depends on the seed and the names alone."""
    key = jax.random.key(self.config.seed)
    for name in names:
      for byte in name.encode():
        key = jax.random.fold_in(key, byte)
    return key

  def initial_params(self) -> dict:
    """Returns fresh parameters of the whole network."""
    return split_model.init(self.model, self.key('init'), self.example)

  def training_folder(
    self, weights: trainings.Training | str, split_point: str = ''
  ) -> pathlib.Path:
    """Returns the folder of a training's checkpoints and curve."""
    return self.workdir / 'training' / trainings.of(weights).folder(split_point)

  def params(
    self, weights: trainings.Training | str, split_point: str = ''
  ) -> dict[str, Any]:
    """Returns the trained parameters of the network; reads them once.

    Args:
      weights: a training, or the name of a method for its training with the
        config's settings and seed 0.
      split_point: where the network is cut; the simple network has none.

    Raises:
      UserError: that training is not finished; the message names its stage.
    """
    training = trainings.of(weights)
    if training.method not in (embeddings.SIMPLE, embeddings.SIAMESE):
      return self.defence_params(training, split_point)['network']
    stage = 'train' if training.method == embeddings.SIMPLE else 'siamese'
    config = self.config.training if stage == 'train' else self.config.siamese

    def fresh():
      return train_state.create(self.initial_params(), self.optimizer(config))

    return self._restore(
      self.training_folder(training, split_point), fresh, config.steps, stage
    )

  def defence_params(
    self, weights: trainings.Training | str, split_point: str
  ) -> dict[str, Any]:
    """Returns a defence's trained `network`, `bottleneck` and `defence`."""
    config = self.config.defend
    settings = trainings.defence_settings(
      self.config, trainings.of(weights).method
    )

    def fresh():
      return train_state.create(
        self.initial_defence_params(weights, split_point),
        train_state.defence_optimizer(
          config, settings.get('adversary_factor', 1.0)
        ),
      )

    return self._restore(
      self.training_folder(weights, split_point), fresh, config.steps, 'defend'
    )

  def initial_defence_params(
    self, weights: trainings.Training | str, split_point: str
  ) -> dict[str, Any]:
    """Returns fresh parameters of a defence's training.

    The bottleneck is all zeros: it has the shapes, and is filled by
    `bottleneck.fit` or from a checkpoint.
    """
    training = trainings.of(weights)
    size = math.prod(self.feature_shape(split_point))
    release = self.config.release
    dim = mechanisms.at_split_point(release.bottleneck_dim, split_point)
    defence = plugins.load('defence', training.method).make(
      trainings.defence_settings(self.config, training.method)
    )
    names = self.data.sensitive_names
    classes = {
      k: len(names[k]) for k in trainings.defended_labels(self.config, names)
    }
    return {
      'network': self.initial_params(),
      'bottleneck': bottleneck.Bottleneck(
        encode=np.zeros((size, dim), np.float32),
        shift=np.zeros(dim, np.float32),
        decode=np.zeros((dim, size), np.float32),
        mean=np.zeros(size, np.float32),
        limit=float(mechanisms.at_split_point(release.limit, split_point)),
      ),
      'defence': _init_defence(
        lambda key: defence.init(key, dim, classes),
        self.key('defence', training.label),
      ),
    }

  def _restore(self, folder, fresh, steps, stage):
    """Reads parameters once; `fresh` returns a state of their structure."""
    if folder not in self._params:
      like = fresh()
      checkpoints = folder / 'checkpoints'
      distributed.wait_for_file(checkpoint.path(checkpoints, steps))
      state = checkpoint.restore(checkpoints, like)
      if state is None or int(state.step) < steps:
        raise errors.UserError(
          f'{folder} has no finished training; run --stages={stage} first.'
        )
      if (folder / loop.BEST).exists():
        state = checkpoint.restore(folder / loop.BEST, like) or state
      self._params[folder] = train_state.trained_params(state)
    return self._params[folder]

  def feature_shape(self, split_point: str) -> tuple[int, ...]:
    """Returns the shape of one example's features at a split point."""
    edge = functools.partial(self.model.init_with_output, method='edge')
    key = jax.random.key(0)
    features, _ = jax.eval_shape(
      lambda x: edge(key, x, split_point), self.example
    )
    return features.shape[1:]

  def features(
    self, weights: trainings.Training | str, split_point: str
  ) -> np.ndarray:
    """Returns the edge's output for every example `[n, ...]`.

    The newest features stay in memory, up to a quarter of
    `input.memory_limit`.

    Args:
      weights: see `params`.
      split_point: where the network is cut.

    Raises:
      UserError: the features do not fit in memory; see `check_memory`.
    """
    self.check_memory(split_point)
    edge = functools.partial(
      split_model.call, split_model.Part(self.model, 'edge', split_point)
    )
    key = (trainings.of(weights), split_point)
    return self._features.get(
      key,
      lambda: split_model.in_blocks(edge, self.params(*key), self.x),
      limit=self.config.input.memory_limit * 2**30 / 4,
    )

  def logits(
    self, params: dict[str, Any], x: np.ndarray | sources.Source
  ) -> np.ndarray:
    """Returns the whole network's logits `[n, classes]` of `x [n, ...]`."""
    network = split_model.Part(self.model)
    return split_model.in_blocks(
      functools.partial(split_model.call, network), params, x
    )

  def check_memory(self, split_point: str) -> None:
    """Checks that the features at a split point fit in memory.

    Raises:
      UserError: they are larger than the limit.
    """
    size = 4 * len(self.x) * math.prod(self.feature_shape(split_point)) / 2**30
    limit = max(
      self.config.input.memory_limit, sources.Source.memory_budget / 2**30
    )
    if size > limit:
      raise errors.UserError(
        f'the features at {split_point!r} take {size:.2f} GiB for'
        f' {len(self.x)} examples, but the attacks need them in memory, and the'
        f' limit is {limit:g} GiB: cut later (model.split_points), take'
        ' fewer examples, or raise input.memory_limit.'
      )


def normal(key: jax.Array, shape: tuple[int, ...]) -> np.ndarray:
  """Draws standard normal numbers, float32, without a program for each shape.

  Args:
    key: random key.
    shape: of the array. A shape of more rows begins with the same numbers.
  """
  rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
  return rng.standard_normal(shape, np.float32)


def cloud_of_releases(
  model: split_model.SplitModel,
  split_point: str,
  shape: tuple[int, ...],
  release: mechanisms.Release,
) -> jax.tree_util.Partial:
  """Returns `(params, released [b, d]) -> logits` of the cloud half.

  Releases of one structure and shape share its compilations.

  Args:
    model: the network.
    split_point: where it is cut.
    shape: of one example's features.
    release: how the features were released.
  """
  features = _CloudOfFeatures(model, split_point, shape)
  return jax.tree_util.Partial(_CloudOfReleases(features), release.decoder())


def cloud_of_features(
  model: split_model.SplitModel, split_point: str, shape: tuple[int, ...]
) -> jax.tree_util.Partial:
  """Returns `(params, features [b, e]) -> logits` of the cloud half.

  Args:
    model: the network.
    split_point: where it is cut.
    shape: of one example's features.
  """
  return jax.tree_util.Partial(_CloudOfFeatures(model, split_point, shape))


def features_of_releases(release: mechanisms.Release) -> jax.tree_util.Partial:
  """Returns `released [b, d] -> features [b, e]`, as the cloud computes them.

  Args:
    release: how the features were released.
  """
  return jax.tree_util.Partial(_inverse, release.decoder())


def _inverse(decoder, released):
  return decoder.inverse(released)


def logits_of_releases(
  model: split_model.SplitModel,
  split_point: str,
  shape: tuple[int, ...],
  release: mechanisms.Release,
  params: dict[str, Any],
  released: np.ndarray,
) -> np.ndarray:
  """Returns the cloud half's logits `[n, classes]` of `released [n, d]`.

  Args:
    model: see `cloud_of_releases`; so are `split_point`, `shape` and `release`.
    split_point: see there.
    shape: see there.
    release: see there.
    params: of the network.
    released: the released vectors.
  """
  cloud = cloud_of_releases(model, split_point, shape, release)
  return split_model.in_blocks(
    functools.partial(_logits, cloud), params, released
  )


def _init_defence(init, key):
  """Returns a defence's fresh parameters; most have none, and no program."""
  shapes = jax.eval_shape(init, key)
  return jax.jit(init)(key) if jax.tree.leaves(shapes) else shapes


@jax.jit
def _logits(cloud, params, released):
  return cloud(params, released)


@dataclasses.dataclass(frozen=True)
class _CloudOfFeatures:
  """Function of the network's parameters and flat features."""

  model: split_model.SplitModel
  split_point: str
  shape: tuple[int, ...]

  def __call__(self, params, features):
    cloud = split_model.Part(self.model, 'cloud', self.split_point)
    return cloud(params, features.reshape(len(features), *self.shape))


@dataclasses.dataclass(frozen=True)
class _CloudOfReleases:
  """Function of a decoder, the network's parameters, and releases."""

  cloud: _CloudOfFeatures

  def __call__(self, decoder, params, released):
    return self.cloud(params, _inverse(decoder, released))
