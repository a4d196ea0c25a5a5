"""Stage `release`: writes the released vectors of all embeddings."""

from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import noise_level, utility
from hybrid_jax.release import embeddings, mechanisms
from hybrid_jax.study import context, networks


def run(study: context.Study) -> None:
  """Writes `released/*.npz` and their utility; keeps existing files."""
  with progress.Progress(
    'release', len(study.targets), unit='embedding'
  ) as bar:
    for split_point, name in study.targets:
      weights = study.config.release.embeddings[name].weights
      result = study.result('release', f'{split_point}-{name}')
      path = study.released_path(split_point, name)
      if not (result.exists() and path.exists()):
        _release(study, split_point, name, study.features(weights, split_point))
      bar.advance(1, last=f'{split_point}-{name}')


def fitted(
  study: context.Study, split_point: str, embedding: str, features: np.ndarray
) -> mechanisms.Release:
  """Fits the release mechanism of an embedding.

  Settings of the embedding replace those of `config.release`.

  Args:
    study: the study after its trainings.
    split_point: the split point of the release.
    embedding: the name of the embedding.
    features: the features of all examples, `[n, ...]`; the mechanism is fitted
      on those of the training fold.
  """
  config = study.config.release.embeddings[embedding]
  settings = ml_collections.ConfigDict(study.config.release)
  for name in config:
    if name in settings:
      settings[name] = config[name]
  trained = {}
  if config.weights not in (embeddings.SIMPLE, embeddings.SIAMESE):
    params = study.defence_params(config.weights, split_point)
    trained = {'bottleneck': params['bottleneck']}
  return mechanisms.fit_release(
    config.mechanisms,
    features[study.rows(dataset.TRAIN)],
    settings,
    split_point,
    trained,
  )


def _release(study, split_point, name, features):
  mechanism = fitted(study, split_point, name, features)
  clean = mechanism.transform_all(features)
  scale = mechanism.noise_scale()
  arrays = {
    'clean': clean,
    'primary': study.data.primary,
    **{f'sensitive_{k}': v for k, v in study.data.sensitive.items()},
    'recording': study.data.recording,
    'fold': study.data.fold,
  }
  if scale is not None:
    arrays['noise_cov'] = np.asarray(scale @ scale.T)
  files.write_npz(study.released_path(split_point, name), arrays)
  weights = study.config.release.embeddings[name].weights
  files.write_json(
    study.result('release', f'{split_point}-{name}'),
    {
      'split_point': split_point,
      'embedding': name,
      **noise_level.measure(
        clean[study.rows(dataset.TRAIN)], arrays.get('noise_cov')
      ),
      **{
        fold: utility_of(
          study,
          split_point,
          study.params(weights, split_point),
          mechanism,
          features,
          i,
        )
        for i, fold in enumerate(dataset.FOLDS)
        if i != dataset.TRAIN
      },
    },
  )


def utility_of(
  study: context.Study,
  split_point: str,
  params: Any,
  mechanism: mechanisms.Release,
  features: np.ndarray,
  fold: int,
) -> dict[str, float]:
  """Measures the primary task on fresh draws of the released vectors.

  Args:
    study: the study.
    split_point: the split point of the release.
    params: the parameters of the network.
    mechanism: the release mechanism.
    features: the features of all examples, `[n, ...]`.
    fold: the fold to measure on.
  """
  rows = study.rows(fold)
  return utility.measure(
    primary_logits(study, split_point, params, mechanism, features, fold),
    study.data.primary[rows],
    study.data.recording[rows],
  )


def primary_logits(
  study: context.Study,
  split_point: str,
  params: Any,
  mechanism: mechanisms.Release,
  features: np.ndarray,
  fold: int,
) -> np.ndarray:
  """Returns the cloud's logits `[draws, n, k]` of a fold; see `utility_of`."""
  rows = study.rows(fold)
  draws = 1 if mechanism.noise_scale() is None else study.config.attack.draws
  key = study.key('utility', split_point, dataset.FOLDS[fold])
  clean = mechanism.transform_all(features[rows])
  noisy = _add_noise(clean, mechanism.noise_scale(), draws, key)
  logits = networks.logits_of_releases(
    study.model, split_point, features.shape[1:], mechanism, params, noisy
  )
  return logits.reshape(draws, len(clean), -1)


def _add_noise(clean, scale, draws, key):
  """Returns `[draws * n, d]`: noisy copies of `clean [n, d]`."""
  if scale is None:
    return clean
  noise = networks.normal(key, (draws, *clean.shape)) @ np.asarray(scale).T
  return (clean + noise).reshape(-1, clean.shape[1])
