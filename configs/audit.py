"""The attacks of `launch.audit` on a file of released vectors.

    python -m launch.audit --released=my.npz --out=runs/my

The attackers and measures are those of `configs/watch.py`, without those that
need the network: the transfer attack and the reconstructions.
"""

import ml_collections

from configs import watch


def get_config() -> ml_collections.ConfigDict:
  """Returns `seed` and `attack`, see `study/schema.py`."""
  c = ml_collections.ConfigDict()
  c.seed = 0
  c.attack = watch.get_config().attack
  c.attack.adversaries = tuple(
    name
    for name in c.attack.adversaries
    if name not in ('transfer', 'decensor')
  )
  del c.attack.measures.reconstruction
  return c
