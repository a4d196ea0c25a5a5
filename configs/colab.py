"""A short smart-watch study for notebooks: one cut, few attackers.

    hybrid-jax study --config=colab --workdir=runs/colab

It is `watch` at the dense split only, with shorter trainings and one trial
of each attacker. The order of the embeddings is visible; for reliable figures
run `watch`. `:small` is a shorter test, whose figures mean nothing.
"""

import ml_collections

from hybrid_jax.study import config_files


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of the notebooks in `colabs`.

  Args:
    arg: nothing, or `'small'`.
  """
  if arg not in ('', 'small'):
    raise ValueError(f'colab takes small or nothing, not {arg!r}')
  c = config_files.load('watch')
  c.model.split_points = ('dense1',)
  c.training.steps = 400
  c.siamese.steps = 300
  c.defend.warm_steps = 200
  c.defend.steps = 400
  c.attack.adversaries = ('majority', 'linear', 'mlp', 'kde', 'trees')
  c.attack.heads.trials = 1
  c.attack.heads.max_chunks = 4
  c.attack.mlp.widths = ((64,),)
  c.attack.heads.views = ('standardised',)
  c.attack.draws = 2
  c.attack.noise_copies = 2
  c.attack.trees.count = 40
  c.attack.trees.leaves = (1,)
  c.attack.measures.ceiling.resamples = 200
  del c.attack.measures.ranks
  if arg == 'small':
    c.data.hop = 64
    for stage in (c.training, c.siamese, c.defend):
      stage.steps = stage.every = 40
      stage.batch_size = 64
    c.defend.warm_steps, c.defend.noise_draws = 40, 1
    c.attack.adversaries = ('majority', 'knn')
    c.attack.sets.recording_adversaries = ('discriminant',)
    c.attack.windows = (1, 8)
    c.attack.measures.ceiling.resamples = 20
    c.attack.measures.ceiling.releases = (1, 4)
    # After so few steps, the recommended embedding would have no noise.
    c.recommend.utility_loss = 1.0
    for name in ('reduced', 'siamese', 'reduced_siamese', 'snapped'):
      del c.release.embeddings[name]
  return c
