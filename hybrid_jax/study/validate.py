"""Validates a study's config, and compares it with a work directory's."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from hybrid_jax import errors, files
from hybrid_jax.models.pretrained import weights
from hybrid_jax.release import embeddings
from hybrid_jax.study import config_schema, config_tree


def asked_split_points(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Returns the config's split points; one alone may be given as a word."""
  names = config.model.split_points
  return (names,) if isinstance(names, str) else tuple(names)


def prepare(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Returns a config with a default for all that it lacks, validated.

  Args:
    config: of a study; stays as it is.

  Raises:
    UserError: a setting is unknown, has a wrong type, is out of range, or names
      what is not known; see `config_tree.check`.
  """
  out = config_schema.complete(config)
  cuts = config_tree.names(out.model.get('split_points'))
  tree = config_schema.of(out)
  known = tree['model']['split_points'].known()
  config_tree.check(out, tree, split_points=cuts, known=known)
  weights.check(out.model.pretrained, out.model.name, out.model.options)
  _check_simple(out)
  if out.release.embeddings and out.strangers.people_folds:
    for name in config_tree.names(out.strangers.embeddings):
      errors.check_known(
        'embedding', name, out.release.embeddings, 'strangers.embeddings'
      )
  return out


def _check_simple(config):
  """Checks that the plain features are released, which others compare with."""
  names = config.release.embeddings
  if not names:
    return
  if embeddings.SIMPLE not in names:
    raise errors.UserError(
      f'release.embeddings has no {embeddings.SIMPLE!r}, but'
      f' {", ".join(names)}; keep it: the recommendation compares the utility'
      " with that of the network's plain features."
    )
  cuts = config_tree.names(names[embeddings.SIMPLE].get('split_points'))
  asked = asked_split_points(config)
  if cuts and not set(cuts) & set(asked):
    raise errors.UserError(
      f'release.embeddings.{embeddings.SIMPLE}.split_points is'
      f' {", ".join(cuts)}, none of model.split_points {", ".join(asked)}.'
    )


def prepare_audit(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Does the same for a config of `hybrid-jax audit`: `seed` and `attack`."""
  values = config.to_dict()
  tree = config_schema.of_audit(values)
  values = config_tree.complete(values, tree)
  config_tree.check(values, tree)
  return ml_collections.ConfigDict(values)


def claim(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Stores the config in a new work directory, or compares it with the stored.

  A config may add measures and a grid to the stored one, which it then
  replaces: nothing that is there depends on them. The number of processes is
  no part of a study, and may differ.

  Raises:
    UserError: the work directory has another config, whose differing keys the
      message names; or it was made by an earlier version.
  """
  path = workdir / 'config.json'
  wanted = json.loads(config.to_json_best_effort())
  wanted.pop('distributed', None)
  if not path.exists():
    files.write_json(path, wanted)
    return
  there = files.read_json(path)
  stored, asked = _flat(there), _flat(wanted)
  added = _added(stored, asked)
  asked = {k: v for k, v in asked.items() if k not in added}
  differing = [
    f'{key} (there {stored.get(key, "absent")}, asked for'
    f' {asked.get(key, "absent")})'
    for key in sorted(stored.keys() | asked.keys())
    if stored.get(key) != asked.get(key)
  ]
  if differing:
    check_version(path, there)
    raise errors.UserError(
      f'{workdir} belongs to another config; it differs in '
      + '; '.join(differing)
      + '. Choose another --workdir, or remove this one.'
    )
  if added:
    files.write_json(path, wanted)


def _added(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> set[str]:
  """Returns the settings of whole groups that only add to a study.

  They are the grid, a measure, and an attacker's settings. The stored config
  has no setting of such a group; so no result that is there has used it.
  """

  def group(key):
    parts = key.split('.')
    if parts[0] == 'grid':
      return 'grid'
    if parts[:2] == ['attack', 'measures']:
      return '.'.join(parts[:3])
    # `attack.draws` is no group, and `attack.only_at` is never absent.
    return '.'.join(parts[:2]) if parts[0] == 'attack' and parts[2:] else None

  groups = {group(key) for key in stored} | set(stored)
  return {key for key in asked if group(key) and group(key) not in groups}


def check_version(path: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Refuses a stored config with settings that this version does not have.

  Args:
    path: its `config.json`.
    config: what is stored there.

  Raises:
    UserError: there is such a setting, or it is no config of a study.
  """
  try:
    unknown = config_tree.unknown_keys(config, config_schema.of(config))
  except errors.UserError as e:
    raise errors.UserError(f'{path} is no config of a study: {e}') from e
  if unknown:
    names = ', '.join(unknown[:3]) + (', …' if len(unknown) > 3 else '')
    raise errors.UserError(
      f'{path.parent} was made by an earlier version of hybrid_jax, since this'
      f' one has no setting {names}. Use that version, or another --workdir.'
    )


def _flat(value, prefix=''):
  if not isinstance(value, dict) or not value:
    return {prefix: value}
  return {
    key: leaf
    for name, inner in value.items()
    for key, leaf in _flat(
      inner, f'{prefix}.{name}' if prefix else name
    ).items()
  }
