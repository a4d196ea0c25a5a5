"""The smart-watch study in a notebook's minutes: one cut, few attackers.

    python -m launch.study --config=configs/colab.py --workdir=runs/colab

It is `configs/watch.py:fast` at the dense split alone, with shorter trainings
and one trial of each attacker. The order of the embeddings shows; for figures
to rely on run `configs/watch.py`. `:small` shows in less time that all works,
and finds nothing out.
"""

import ml_collections

from configs import watch


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """The study of the notebooks in `colabs`.

  Args:
    arg: nothing, or `'small'`.
  """
  if arg not in ('', 'small'):
    raise ValueError(f'configs/colab.py takes small or nothing, not {arg!r}')
  c = watch.get_config('fast')
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
    c.training.steps = c.training.every = 40
    c.siamese.steps = c.siamese.every = 40
    c.defend.warm_steps = c.defend.steps = c.defend.every = 40
    c.attack.adversaries = ('majority', 'linear')
    c.attack.heads.max_chunks = 1
    c.attack.windows = (1, 8)
    c.attack.measures.ceiling.resamples = 20
    c.attack.measures.ceiling.releases = (1, 4)
    # Else it would be one without noise, after so few steps.
    c.recommend.utility_loss = 1.0
    for name in ('reduced', 'siamese', 'reduced_siamese', 'snapped'):
      del c.release.embeddings[name]
  return c
