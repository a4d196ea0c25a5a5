"""The attacks of `hybrid-jax audit` on a file of released vectors.

    hybrid-jax audit --released=my.npz --out=runs/my

The attackers and measures are those of `watch`, without those that need the
network: the transfer attack and the reconstructions.
"""

import ml_collections

from hybrid_jax.study import config_files


def get_config() -> ml_collections.ConfigDict:
  """Returns `seed` and `attack`, see `study/schema.py`."""
  c = ml_collections.ConfigDict()
  c.seed = 0
  c.attack = config_files.load('watch').attack
  c.attack.adversaries = tuple(
    name
    for name in c.attack.adversaries
    if name not in ('transfer', 'decensor')
  )
  del c.attack.measures.reconstruction
  return c
