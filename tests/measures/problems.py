"""Small synthetic problems: ten people, four features, two classes."""

import numpy as np

from configs import watch
from hybrid_jax.attacks import adversary

PEOPLE, DIM = 10, 4
# Ten corners of a cube in four dimensions; each is linearly separable.
CODE = np.array([[(i >> b & 1) * 2 - 1 for b in range(DIM)] for i in range(16)])
CODE = CODE[[0, 3, 5, 6, 7, 9, 10, 12, 14, 15]].astype(float)


def config():
  """Returns the watch study's attack config with few, small attackers."""
  c = watch.get_config('full').attack
  c.adversaries = (
    'majority',
    'linear',
    'mlp',
    'knn',
    'kde',
    'mixture',
    'trees',
  )
  c.heads.trials = 2
  c.mlp.widths = ((16,),)
  c.heads.batch_size = 64
  c.heads.learning_rate = 2e-2
  c.heads.chunk, c.heads.max_chunks = 60, 3
  c.knn.neighbours = (1, 9)
  c.kde.bandwidths = (0.6, 2.0)
  c.mixture.update({'bandwidths': (1.0,), 'powers': (0.5, 1.0)})
  c.trees.count = 20
  c.noise_copies = 2
  c.draws = 2
  c.windows = (1, 4, 1000)
  c.transfer.steps, c.transfer.every = 60, 30
  c.transfer.learning_rate = 2e-2
  c.decensor.update({'widths': (32,), 'steps': 100, 'head': ()})
  c.measures.ceiling.resamples = 30
  return c


def problem(leak, noise=None, n=600, seed=0, **more):
  """`leak` is how far each person's corner is out on every axis.

  Recordings of five of one person; half of them train. In every fold each
  person has equally many.
  """
  rng = np.random.default_rng(seed)
  recording = np.arange(n) // 5
  who = recording % PEOPLE
  turn = recording // PEOPLE % 4
  fold = np.array([0, 1, 2, 0])[turn]
  clean = rng.standard_normal((n, DIM)) + leak * CODE[who]
  return adversary.Problem(
    clean=clean.astype(np.float32),
    noise_scale=None
    if noise is None
    else noise * np.eye(DIM, dtype=np.float32),
    primary=np.arange(n) % 2,
    sensitive={'who': who},
    recording=recording,
    fold=fold,
    draws=2,
    **more,
  )
