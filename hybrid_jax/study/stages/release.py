"""What leaves the device: every embedding at every split point, as a file."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import noise_level, utility
from hybrid_jax.models import split_model
from hybrid_jax.release import embeddings, mechanisms
from hybrid_jax.study import context


def run(study: context.Study) -> None:
  """Writes `released/*.npz`, and each one's utility; what is there is kept."""
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
  """The embedding's release, fitted on the training fold's features.

  A setting of `config.release` that the embedding has too is the embedding's.
  """
  asked = study.config.release.embeddings[embedding]
  own = ml_collections.ConfigDict(study.config.release)
  for name in asked:
    if name in own:
      own[name] = asked[name]
  trained = {}
  if asked.weights not in (embeddings.SIMPLE, embeddings.SIAMESE):
    params = study.defence_params(asked.weights, split_point)
    trained = {'bottleneck': params['bottleneck']}
  return mechanisms.fit_release(
    asked.mechanisms,
    features[study.rows(dataset.TRAIN)],
    own,
    split_point,
    trained,
  )


def _release(study, split_point, name, features):
  made = fitted(study, split_point, name, features)
  clean = np.asarray(made.transform(features))
  scale = made.noise_scale()
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
          made,
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
  made: mechanisms.Release,
  features: np.ndarray,
  fold: int,
) -> dict[str, float]:
  """The primary task's figures on fresh draws of what is released."""
  rows = study.rows(fold)
  shape = features.shape[1:]
  draws = 1 if made.noise_scale() is None else study.config.attack.draws
  key = study.key('utility', split_point, dataset.FOLDS[fold])
  clean = made.transform(jnp.asarray(features[rows]))
  noisy = made.add_noise(jnp.broadcast_to(clean, (draws, *clean.shape)), key)

  def cloud(params, released):
    rebuilt = made.inverse(released).reshape(len(released), *shape)
    return study.model.apply(
      {'params': params}, rebuilt, split_point, method='cloud'
    )

  logits = split_model.in_blocks(
    jax.jit(cloud),
    params,
    np.asarray(noisy).reshape(-1, clean.shape[1]),
  )
  return utility.measure(
    logits.reshape(draws, len(clean), -1),
    study.data.primary[rows],
    study.data.recording[rows],
  )
