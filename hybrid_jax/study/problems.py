"""The attack problems of a study: its released vectors, and the controls."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from hybrid_jax import files
from hybrid_jax.attacks import adversary, released_vectors
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.models import split_model
from hybrid_jax.release import embeddings, mechanisms
from hybrid_jax.study import context, networks
from hybrid_jax.study.stages import release

CONTROLS = ('raw', 'noise', 'decision')
ANSWER = 'control-decision'  # the target that is the answer alone
# The counts hold all that an answer tells. With more attackers, one would be
# the best on validation by luck.
_ANSWER_ADVERSARIES = ('majority', 'frequencies')


def of_embedding(
  study: context.Study,
  split_point: str,
  embedding: str,
  path: pathlib.Path | None = None,
) -> adversary.Problem:
  """Returns the problem of one embedding, with all that an attacker may know.

  Args:
    study: the study after its release stage.
    split_point: the split point of the release.
    embedding: the name of the embedding.
    path: a file of released vectors; by default the study's.
  """
  if path is None:
    path = study.require(study.released_path(split_point, embedding), 'release')
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  simple = study.features(embeddings.SIMPLE, split_point)
  return of_release(
    study,
    path,
    study.params(weights, split_point),
    release.fitted(study, split_point, embedding, features),
    split_point,
    None if embedding == embeddings.SIMPLE else simple.reshape(len(simple), -1),
  )


def of_release(
  study: context.Study,
  path: pathlib.Path,
  params: Any,
  mechanism: mechanisms.Release,
  split_point: str,
  uncensored: np.ndarray | None,
) -> adversary.Problem:
  """Returns the problem of a file of released vectors.

  Args:
    study: the study that made the file.
    path: the file.
    params: the parameters of the network.
    mechanism: the release mechanism.
    split_point: the split point of the release.
    uncensored: the features of the network without a defence, `[n, e]`; `None`
      if the attacker does not know them.
  """
  # All problems of a split point share this function, and its compilation.
  edge = _Edge(study.model, split_point)
  return released_vectors.read(
    path,
    study.config.attack.draws,
    uncensored=uncensored,
    cloud=functools.partial(_cloud_half, study, params, mechanism, split_point),
    x=study.x,
    edge=jax.tree_util.Partial(edge, params, mechanism.encoder()),
  )


def control(study: context.Study, name: str) -> adversary.Problem:
  """Returns the problem of a control.

  Args:
    study: the study after its release stage.
    name: one of `CONTROLS`: the raw inputs, pure noise, or the predicted
      primary class.
  """
  data = study.data
  cloud = None
  rows = np.arange(len(study.x))
  if name == 'raw':
    cloud = functools.partial(_whole_network, study)
    rows = _rows_in_memory(study)
    features = sources.read_rows(study.x, rows).reshape(len(rows), -1)
  elif name == 'noise':
    dim = min(
      files.read_npz(p)['clean'].shape[1]
      for p in sorted((study.workdir / 'released').glob('*.npz'))
    )
    rng = np.random.default_rng(study.config.seed)
    features = rng.standard_normal((len(study.x), dim)).astype(np.float32)
  else:
    features = answers(study)
  return adversary.Problem(
    clean=features,
    noise_scale=None,
    primary=data.primary[rows],
    sensitive={k: v[rows] for k, v in data.sensitive.items()},
    recording=data.recording[rows],
    fold=data.fold[rows],
    draws=study.config.attack.draws,
    cloud=cloud,
  )


def answers(study: context.Study) -> np.ndarray:
  """Returns the primary classes that the simple network predicts, one-hot.

  Returns:
    `[n, classes]` float32, for all examples of the data set.
  """
  logits = study.logits(study.params(embeddings.SIMPLE), study.x)
  classes = len(study.data.primary_names)
  return np.eye(classes, dtype=np.float32)[logits.argmax(-1)]


def answer_config(
  config: ml_collections.FrozenConfigDict,
) -> ml_collections.FrozenConfigDict:
  """Returns a study's `attack` with the adversaries that attack answers."""
  selected = ml_collections.ConfigDict(config)
  selected.adversaries = _ANSWER_ADVERSARIES
  return ml_collections.FrozenConfigDict(selected)


def _rows_in_memory(study):
  """Returns rows that fit in memory, with each class in the training fold."""
  data = study.data
  rows = sources.subsample_rows(study.x, data.fold, data.recording)
  train = np.flatnonzero(study.rows(dataset.TRAIN))
  first = [
    train[np.unique(labels[train], return_index=True)[1]]
    for labels in data.labels().values()
  ]
  return np.unique(np.concatenate([rows, *first]))


@dataclasses.dataclass(frozen=True)
class _Edge:
  """Function of the parameters, a release, and inputs; no noise is added."""

  model: split_model.SplitModel
  split_point: str

  def __call__(self, params, release, x):
    edge = split_model.Part(self.model, 'edge', self.split_point)
    return release.transform(edge(params, x))


def _cloud_half(study, params, mechanism, split_point, outputs):
  """Returns the cloud half with `outputs` outputs, on released vectors."""
  model = split_model.make(study.config.model, outputs)
  _, cloud = split_model.split_params(model, params, split_point)

  def fresh(key):
    whole = split_model.init(model, key, study.example)
    return split_model.split_params(model, whole, split_point)[1]

  def trained(key):
    return cloud | {'head': fresh(key)['head']}

  shape = study.feature_shape(split_point)
  return adversary.TrainableCloud(
    fresh,
    networks.cloud_of_features(model, split_point, shape),
    networks.features_of_releases(mechanism),
    # A cloud of a head alone has no parameters of its own.
    trained if set(cloud) > {'head'} else None,
  )


def _whole_network(study, outputs):
  model = split_model.make(study.config.model, outputs)
  return adversary.TrainableCloud(
    lambda key: split_model.init(model, key, study.example),
    jax.tree_util.Partial(_OnFlatInputs(model, study.x.shape[1:])),
  )


@dataclasses.dataclass(frozen=True)
class _OnFlatInputs:
  """The whole network on flattened inputs."""

  model: split_model.SplitModel
  shape: tuple[int, ...]

  def __call__(self, params, x):
    return split_model.Part(self.model)(params, x.reshape(-1, *self.shape))
