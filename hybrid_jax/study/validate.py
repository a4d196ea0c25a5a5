"""Settings: checked before any work, and compared with a work directory's."""

import json
import pathlib
from collections.abc import Sequence

import ml_collections

from hybrid_jax import errors, files, plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.models.pretrained import weights
from hybrid_jax.release import mechanisms
from hybrid_jax.study import trainings
from hybrid_jax.training import augmentation, precision

# What an embedding may set for itself, in place of `config.release`.
_OWN = ('noise', 'reduced_dim', 'prototypes', 'sharpness')


def asked_split_points(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """The config's split points; one alone may be given as a word."""
  asked = config.model.split_points
  return (asked,) if isinstance(asked, str) else tuple(asked)


def check(
  config: ml_collections.ConfigDict,
  split_points: Sequence[str],
) -> None:
  """Refuses names that nothing answers to, before any work is done.

  Args:
    config: the study's.
    split_points: those that the model has.

  Raises:
    UserError: an unknown data set, data setting, split point, release
      mechanism, adversary or kind of weights, or none of them where one is
      needed; it lists the known ones and points out the nearest.
  """
  options = plugins.options('data set', config.data.name)
  for name in config.data:
    errors.check_known('data setting', name, ['name', *options])
  asked = asked_split_points(config)
  if not asked:
    raise errors.UserError(
      f'model.split_points is empty; name some of {", ".join(split_points)}.'
    )
  for split_point in asked:
    errors.check_known('split point', split_point, split_points)
    for group, name in (
      ('siamese', 'weight'),
      ('siamese', 'margin'),
      ('release', 'reduced_dim'),
      ('release', 'noise'),
      ('release', 'bottleneck_dim'),
      ('release', 'limit'),
    ):
      mechanisms.at_split_point(config[group][name], split_point)
  for embedding in config.release.embeddings.values():
    errors.check_known(
      'kind of weights',
      embedding.weights,
      ['simple', 'siamese', *plugins.known('defence')],
    )
    for name in embedding:
      errors.check_known(
        'setting of an embedding',
        name,
        ['weights', 'mechanisms', 'split_points', *_OWN],
      )
    for name in embedding.get('split_points') or ():
      errors.check_known('split point of an embedding', name, split_points)
    for name in embedding.mechanisms:
      errors.check_known(
        'release mechanism', name, plugins.known('release mechanism')
      )
  precision.check(config.model)
  check_attack(config.attack)
  for names in config.attack.only_at.values():
    for name in names:
      errors.check_known('split point of an adversary', name, split_points)
  augmentation.check(config.augment)
  weights.check(
    config.model.pretrained, config.model.name, config.model.options
  )
  if config.get('grid'):
    trainings.check_grid(config, split_points)
  for name, value in config.input.items():
    if value < 0:
      raise errors.UserError(
        f'input.{name} is {value}; it must not be negative.'
      )
  for group in ('training', 'siamese', 'defend'):
    for name in ('steps', 'batch_size', 'every'):
      if config[group][name] < 1:
        raise errors.UserError(
          f'{group}.{name} is {config[group][name]}; it must be at least 1.'
        )


def check_attack(config: ml_collections.ConfigDict) -> None:
  """Refuses unknown adversaries, measures and views of a config's `attack`."""
  if not config.adversaries:
    raise errors.UserError(
      'attack.adversaries is empty; name some of'
      f' {", ".join(plugins.known("adversary"))}.'
    )
  for name in config.adversaries:
    errors.check_known('adversary', name, plugins.known('adversary'))
  for name in config.only_at:
    errors.check_known('adversary', name, plugins.known('adversary'))
  for name in config.measures:
    errors.check_known('measure', name, plugins.known('measure'))
  for name in config.heads.views:
    errors.check_known('view', name, adversary.VIEWS)


def claim(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Makes `workdir` this config's own, or finds that it already is.

  In how many processes a study runs is not part of what it is.

  Raises:
    UserError: it belongs to another config; the differing keys are named.
  """
  path = workdir / 'config.json'
  wanted = json.loads(config.to_json_best_effort())
  wanted.pop('distributed', None)
  if not path.exists():
    files.write_json(path, wanted)
    return
  stored, asked = _flat(files.read_json(path)), _flat(wanted)
  differing = [
    f'{key} (there {stored.get(key, "absent")}, asked for'
    f' {asked.get(key, "absent")})'
    for key in sorted(stored.keys() | asked.keys())
    if stored.get(key) != asked.get(key)
  ]
  if differing:
    raise errors.UserError(
      f'{workdir} belongs to another config; it differs in '
      + '; '.join(differing)
      + '. Choose another --workdir, or remove this one.'
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
