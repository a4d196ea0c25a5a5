"""Tests how the release stage fits mechanisms from a config."""

import types

import ml_collections
import numpy as np

from hybrid_jax.study.stages import release


def _study(**own):
  config = ml_collections.FrozenConfigDict(
    {
      'release': {
        'noise': 0.5,
        'reduced_dim': 3,
        'embeddings': {
          'noisy': {'weights': 'simple', 'mechanisms': ('pca', 'noise'), **own}
        },
      }
    }
  )
  return types.SimpleNamespace(
    config=config, rows=lambda fold: np.arange(60) < 50
  )


def test_settings_of_an_embedding_override_the_common_ones():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((60, 6)).astype(np.float32) * [6, 5, 4, 3, 2, 1]

  def fitted(**own):
    return release.fitted(_study(**own), 'conv1', 'noisy', x)

  common, more = fitted(), fitted(noise=2.0)
  assert common.transform(x).shape == more.transform(x).shape == (60, 3)
  np.testing.assert_allclose(
    more.noise_scale(), 4 * common.noise_scale(), rtol=1e-6
  )
  assert fitted(reduced_dim=2).transform(x).shape == (60, 2)
