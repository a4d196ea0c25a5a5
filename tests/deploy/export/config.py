"""A study of few embeddings and attackers, whose noisy point is exported."""

import ml_collections

from configs import watch


def get_config() -> ml_collections.ConfigDict:
  c = watch.get_config('small')
  c.data.hop = 64
  for name in ('reduced_siamese', 'bounded', 'snapped'):
    del c.release.embeddings[name]
  c.strangers.embeddings = ()
  c.attack.adversaries = ('majority', 'linear', 'kde')
  for name in set(c.attack.measures) - {'ceiling'}:
    del c.attack.measures[name]
  del c.grid
  # Whatever the attackers find, the embedding with noise is recommended.
  c.recommend.utility_loss = 1.0
  return c
