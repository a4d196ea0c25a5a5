"""The trainings of a study: a method, its settings, and a seed."""

import dataclasses
import itertools
from collections.abc import Iterable

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.release import embeddings, mechanisms


@dataclasses.dataclass(frozen=True)
class Training:
  """One training of the network.

  Attributes:
    method: `'simple'`, `'siamese'`, or the name of a defence.
    weight: of the Siamese loss or the defence's penalty; `None` for the
      config's.
    margin: of the Siamese loss; `None` for the config's.
    seed: of the random draws. All seeds start from one simple network.
  """

  method: str
  weight: float | None = None
  margin: float | None = None
  seed: int = 0

  @property
  def label(self) -> str:
    """The method with its settings, without the seed: `bounded@1`."""
    label = self.method
    if self.weight is not None:
      label += f'@{self.weight:g}'
    if self.margin is not None:
      label += f'-margin{self.margin:g}'
    return label

  def folder(self, split_point: str) -> str:
    """Returns the name of the folder of checkpoints: `bounded@1-dense1-seed0`.

    Args:
      split_point: where the network is cut. The simple network has none.
    """
    if self.method == embeddings.SIMPLE:
      return self.label
    folder = f'{self.label}-{split_point}'
    # The Siamese network of the paper is trained once.
    if self.method == embeddings.SIAMESE and self.seed == 0:
      return folder
    return f'{folder}-seed{self.seed}'


def of(weights: Training | str) -> Training:
  """Returns the training of a method's name, with the config's settings."""
  return weights if isinstance(weights, Training) else Training(weights)


def setting(
  config: ml_collections.ConfigDict,
  training: Training,
  name: str,
  split_point: str,
) -> float:
  """Returns the `'weight'` or `'margin'` of a training, or the config's."""
  value = getattr(training, name)
  if value is not None:
    return float(value)
  settings = (
    config.siamese
    if training.method == embeddings.SIAMESE
    else defence_settings(config, training.method)
  )
  value = settings[name]
  return float(mechanisms.at_split_point(value, split_point))


def defence_settings(
  config: ml_collections.ConfigDict, method: str
) -> ml_collections.ConfigDict:
  """Returns the options of a defence: its defaults, and those of the config."""
  return plugins.settings('defence', method, config.defend)


def defended_labels(
  config: ml_collections.ConfigDict, labels: Iterable[str]
) -> tuple[str, ...]:
  """Returns the sensitive labels that defences learn from, in their order.

  Args:
    config: of the study; `defend.labels` names them, or none for all.
    labels: all sensitive labels of the data set.

  Raises:
    UserError: the data set has no such label.
  """
  labels, chosen = tuple(labels), config.defend.labels
  for name in chosen:
    errors.check_known('sensitive label', name, labels, 'defend.labels')
  return tuple(name for name in labels if name in (chosen or labels))


def of_grid(config: ml_collections.ConfigDict) -> tuple[Training, ...]:
  """Returns all trainings of a study's grid: method, weight, margin, seed.

  Args:
    config: of the study. `grid.methods` maps each method to its weights, and
      to none for the weight of the config. `grid.margins` are for the Siamese
      loss alone, where none stand for the margin of the config.
  """
  grid = config.grid
  out = []
  for method, weights in grid.methods.items():
    default = Training(method)
    weights = _axis(
      weights, setting(config, default, 'weight', grid.split_point)
    )
    margins: tuple[float | None, ...] = (None,)
    if method == embeddings.SIAMESE:
      margins = _axis(
        grid.margins, setting(config, default, 'margin', grid.split_point)
      )
    out += [
      Training(method, *each)
      for each in itertools.product(weights, margins, range(grid.seeds))
    ]
  return tuple(out)


def _axis(values, default):
  """Returns `values`, where `None` is the config's own; it alone for none."""
  return tuple(None if v == default else float(v) for v in values) or (None,)
