"""What every measure is given, and how several are asked of one problem.

A measure is one file beside this one with
`measure(problem, config, seed) -> dict | None`: figures for JSON, or `None`
where it does not suit the problem. `config` is the study's `attack`, in which
`measures` has each measure's own settings under its name.
"""

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.adversaries import base as adversaries

# Every audit has it: the best attacker for each sensitive label.
LEAKAGE = 'leakage'


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


def measure(
  name: str,
  problem: adversaries.Problem,
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict | None:
  """One measure of one problem."""
  return plugins.load('measure', name).measure(problem, config, seed)
