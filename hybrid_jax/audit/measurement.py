"""What every measure is given, and how several are asked of one problem.

A measure is one file beside this one with
`measure(problem, config, seed) -> dict | None`: figures for JSON, or `None`
where it does not suit the problem. `config` is the study's `attack`, in which
`measures` has each measure's own settings under its name.
"""

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary

# Every audit has it: the best attacker for each sensitive label.
LEAKAGE = 'leakage'
# The split point of a control, in place of one.
NOWHERE = ''


def asked(
  config: ml_collections.ConfigDict, split_point: str | None = None
) -> tuple[str, ...]:
  """The measures that a config asks for at a split point; `LEAKAGE` first.

  Args:
    config: `measures`, name to settings, which may hold `split_points`, where
      alone it is wanted; all others are attacked without it.
    split_point: `None` for released vectors of one's own.
  """

  def suits(settings):
    only = settings.get('split_points')
    return split_point is None or only is None or split_point in only

  return (
    LEAKAGE,
    *(
      name
      for name, settings in sorted(config.measures.items())
      if name != LEAKAGE and suits(settings)
    ),
  )


def at(
  config: ml_collections.FrozenConfigDict, split_point: str
) -> ml_collections.FrozenConfigDict:
  """`config` with the adversaries that attack a split point.

  Args:
    config: `adversaries`, names, and `only_at`, name to the split points where
      alone, and on the controls, it attacks.
    split_point: `NOWHERE` for controls.
  """
  own = ml_collections.ConfigDict(config)
  own.adversaries = tuple(
    name
    for name in config.adversaries
    if split_point == NOWHERE
    or split_point in config.only_at.get(name, (split_point,))
  )
  return ml_collections.FrozenConfigDict(own)


def take(
  name: str,
  problem: adversary.Problem,
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict | None:
  """One measure of one problem."""
  return plugins.load('measure', name).measure(problem, config, seed)
