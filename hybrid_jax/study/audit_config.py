"""The attacks of an audit of released vectors, for the command and Python."""

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.study import config_schema, config_tree

# These attack or rebuild with the network, which an audit does not have.
_WITH_NETWORK = ('transfer', 'decensor')
# These take most of the time: several programs are compiled for each.
_SLOW = ('mlp',)
# Each point of a curve takes attackers of its own.
_CURVES = ('releases', 'attacker_data')


def get(fast: bool = False) -> ml_collections.ConfigDict:
  """Returns `seed` and `attack`, see `study/config_schema.py`.

  Args:
    fast: leaves out the multilayer perceptrons, and the curves over repeated
      releases and over the attacker's data.
  """
  tree = config_schema.of_audit({})
  values = config_tree.complete({}, tree)
  attack = values['attack']
  attack['adversaries'] = tuple(
    name
    for name in without_network(attack['adversaries'])
    if not (fast and name in _SLOW)
  )
  attack['measures'] = {
    name: plugins.defaults('measure', name)
    for name in ('ceiling', 'ranks', *(() if fast else _CURVES))
  }
  return ml_collections.ConfigDict(values)


def without_network(names: tuple[str, ...]) -> tuple[str, ...]:
  """Returns the names of the adversaries that need vectors alone."""
  return tuple(name for name in names if name not in _WITH_NETWORK)


def check_attackers(names: tuple[str, ...]) -> None:
  """Checks that an audit can run these adversaries.

  Args:
    names: of adversaries of the package, or dotted paths of others.

  Raises:
    UserError: there is none, or one is unknown or needs the network.
  """
  known = without_network(tuple(plugins.known('adversary')))
  if not names:
    raise errors.UserError(
      f'attackers is empty; give one or more of {", ".join(known)}.'
    )
  for name in names:
    if not plugins.is_outside(name):
      errors.check_known('attacker', name, known, 'attackers')
