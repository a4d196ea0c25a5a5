"""The attacks of `hybrid-jax audit` on a file of released vectors.

    hybrid-jax audit --released=my.npz --out=runs/my

The attackers and measures are those of `watch`, without those that need the
network: the transfer attack and the reconstructions. `:fast` leaves out the
multilayer perceptrons, and the curves over repeated releases and over the
attacker's data.
"""

import ml_collections

from hybrid_jax.study import audit_config


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns `seed` and `attack`, see `study/config_schema.py`.

  Args:
    arg: nothing, or `'fast'`.
  """
  if arg not in ('', 'fast'):
    raise ValueError(f'audit takes fast or nothing, not {arg!r}')
  return audit_config.get(fast=arg == 'fast')
