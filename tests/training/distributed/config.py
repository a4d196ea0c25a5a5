"""A study of a few steps, on real data, with one of everything."""

import ml_collections

from configs import watch


def get_config() -> ml_collections.ConfigDict:
  c = watch.get_config('small')
  c.data.hop = 128
  c.model.options.widths, c.model.options.dense = (8, 8, 8), 16
  for stage in (c.training, c.siamese, c.defend):
    stage.steps, stage.every, stage.batch_size = 6, 3, 32
  c.defend.warm_steps = 3
  c.defend.noise_draws = c.attack.draws = 1
  for name in set(c.release.embeddings) - {'simple', 'siamese', 'bounded'}:
    del c.release.embeddings[name]
  c.attack.adversaries = ('majority', 'linear', 'knn', 'kde')
  c.attack.knn.neighbours = (1,)
  c.attack.windows = (1,)
  for name in set(c.attack.measures) - {'ranks'}:
    del c.attack.measures[name]
  c.attack.measures.ranks.max_items = 50
  del c.grid
  return c
