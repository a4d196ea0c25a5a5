"""Selects and runs the measures of one attack problem.

A measure is one file in this folder with
`measure(problem, config, seed) -> dict | None`. It returns figures for JSON, or
`None` if it does not apply to the problem. `config` is the study's `attack`;
its `measures` has the settings of each measure under the measure's name.
"""

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary

# The accuracy of the best attacker: every audit has this measure.
LEAKAGE = 'leakage'
# Stands for the split point of a control, which has none.
CONTROL = ''


def names(
  config: ml_collections.ConfigDict, split_point: str | None = None
) -> tuple[str, ...]:
  """Returns the names of the configured measures, `LEAKAGE` first.

  Args:
    config: `measures`, name to settings. Settings may hold `split_points`, the
      only split points with this measure.
    split_point: where the network is cut; `None` for released vectors without a
      network, which get all measures.
  """

  def applies(settings):
    only = settings.get('split_points')
    return split_point is None or only is None or split_point in only

  return (
    LEAKAGE,
    *(
      name
      for name, settings in sorted(config.measures.items())
      if name != LEAKAGE and applies(settings)
    ),
  )


def config_at(
  config: ml_collections.FrozenConfigDict, split_point: str
) -> ml_collections.FrozenConfigDict:
  """Returns `config` with only the adversaries that attack a split point.

  Args:
    config: `adversaries`, names, and `only_at`, name to the only split points
      that the adversary attacks, besides the controls.
    split_point: where the network is cut, or `CONTROL`.
  """
  selected = ml_collections.ConfigDict(config)
  selected.adversaries = tuple(
    name
    for name in config.adversaries
    if split_point == CONTROL
    or split_point in config.only_at.get(plugins.key(name), (split_point,))
  )
  return ml_collections.FrozenConfigDict(selected)


def run(
  name: str,
  problem: adversary.Problem,
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict | None:
  """Runs one measure on one problem.

  Args:
    name: of the measure, as `names` returns it.
    problem: what is attacked.
    config: the study's `attack`. A measure that is not the package's has the
      dotted path of its module in `measures.NAME.module`.
    seed: of all attackers.
  """
  settings = config.measures.get(name) or {}
  module = plugins.load('measure', settings.get('module') or name)
  return module.measure(problem, config, seed)
