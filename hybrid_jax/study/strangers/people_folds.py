"""Folds of people, and the trainings without each of them."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import check as check_data
from hybrid_jax.datasets import dataset
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, trainings
from hybrid_jax.study.stages import defend, siamese, train

OUT = -1  # the fold of windows that take no part
_DEFAULT_EMBEDDINGS = ('noisy_reduced_siamese', 'bounded', 'snapped')
_FEW_PEOPLE = 10
_MIN_WINDOWS = 2  # of a person in each fold


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartStudy(context.Study):
  """Study of the same data set with other folds.

  Attributes:
    whole: the study whose data are used.
    fold: `[n]`, `OUT` for windows that take no part.
  """

  whole: context.Study
  fold: np.ndarray

  @functools.cached_property
  def data(self) -> dataset.Dataset:
    """The data set with the folds of this part."""
    return dataclasses.replace(self.whole.data, fold=self.fold)

  @property
  def training_capacity(self) -> int:
    """That of the whole study, with which this one shares its programs."""
    return self.whole.training_capacity

  def label(self, text: str) -> str:
    """Returns the label of a training, with the name of the fold."""
    return f'{text}, {self.workdir.name}'


@dataclasses.dataclass(frozen=True)
class Group:
  """One fold of people: these are strangers, the others train the network.

  Attributes:
    number: of the fold, from 0.
    people: `[s]`, the classes of the strangers in the label of people.
    others: the study of the other people; its folder is the group's.
    strangers: `[n]` bool, the windows of the strangers.
  """

  number: int
  people: np.ndarray
  others: PartStudy
  strangers: np.ndarray

  @property
  def folder(self) -> pathlib.Path:
    """The folder of the group's trainings, released vectors and results."""
    return self.others.workdir


def count_folds(study: context.Study) -> int:
  """Returns the number of folds over people; 0 where strangers are off."""
  config = study.config.strangers
  people = study.data.people
  if not people or config.people_folds == 0:
    return 0
  if config.people_folds > 0:
    return config.people_folds
  count = len(study.data.sensitive_names[people])
  # Each fold has two people or more.
  return min(5, count // 2) if count <= _FEW_PEOPLE else 3


def check(study: context.Study) -> None:
  """Checks that each person can be a stranger once.

  Raises:
    UserError: there are too few people for the folds, a person has too few
      windows, or a class would be missing; the message has the numbers.
  """
  data, folds = study.data, count_folds(study)
  if study.config.strangers.people_folds > 0 and not data.people:
    raise errors.UserError(
      f'strangers.people_folds is {study.config.strangers.people_folds}, but'
      f' the data set {study.config.data.name!r} does not say which label is'
      ' people; set data.people where it has that setting, or'
      ' strangers.people_folds=0.'
    )
  if not folds:
    return
  chosen_embeddings(study, study.split_points[0])
  _check_people(study, folds)


def _check_people(study, folds):
  data = study.data
  person, names = data.sensitive[data.people], data.sensitive_names[data.people]
  off = 'or turn it off with --config.strangers.people_folds=0'
  if len(names) < 4:
    raise errors.UserError(
      f'{len(names)} people of label {data.people!r}; two folds of two'
      f' strangers need 4 or more. Record more people, {off}.'
    )
  if folds < 2 or len(names) < 2 * folds:
    raise errors.UserError(
      f'{len(names)} people of label {data.people!r} for'
      f' strangers.people_folds={folds}; there must be 2 folds or more, of 2'
      f' people or more: give --config.strangers.people_folds=2 to'
      f' {len(names) // 2}, {off}.'
    )
  _check_recordings(data, person, names)
  for i, name in enumerate(names):
    for fold, title in enumerate(dataset.FOLDS):
      count = int(((person == i) & (data.fold == fold)).sum())
      if count < _MIN_WINDOWS:
        raise errors.UserError(
          f'{name!r} of label {data.people!r} has {count}'
          f' {"window" if count == 1 else "windows"} in the {title} fold; each'
          f' person needs {_MIN_WINDOWS} or more in each fold. Record more,'
          f' make this fold larger, leave the person out, {off}.'
        )
  batches = {
    f'{group}.batch_size': study.config[group].batch_size
    for group in ('training', 'siamese', 'defend')
  }
  setting, batch = max(batches.items(), key=lambda item: item[1])
  for people in split(len(names), folds):
    strangers = np.isin(person, people)
    for fold, title in enumerate(dataset.FOLDS):
      for whose, rows in (('', strangers), ('other ', ~strangers)):
        held = data.primary[rows & (data.fold == fold)]
        missing = sorted(set(range(len(data.primary_names))) - set(held))
        if missing:
          raise errors.UserError(
            f'the {whose}people of the fold'
            f' {", ".join(str(names[p]) for p in people)} have no example of'
            f' the primary class {data.primary_names[missing[0]]!r} in the'
            f' {title} fold; take fewer folds, {off}.'
          )
    left = int((~strangers & (data.fold == dataset.TRAIN)).sum())
    if left < batch:
      raise errors.UserError(
        f'without {", ".join(str(names[p]) for p in people)} the training fold'
        f' has {left} windows, less than {setting}={batch}; give'
        f' --config.{setting}={left} or less, take more folds, {off}.'
      )


def _check_recordings(data, person, names):
  """Checks that no recording has windows of two people."""
  pair = check_data.find_varying(person, data.recording)
  if pair:
    one, other = pair
    raise errors.UserError(
      f'a recording is of one person, but examples {one} and {other} are of one'
      f' recording, and of {names[person[one]]!r} and {names[person[other]]!r}'
      f' of label {data.people!r}. Give each person recordings of their own, or'
      ' name another label of people.'
    )


def split(people: int, folds: int) -> list[np.ndarray]:
  """Returns the people of each fold: every `folds`-th one."""
  return [np.arange(i, people, folds) for i in range(folds)]


def groups(study: context.Study, split_point: str) -> list[Group]:
  """Returns all folds of people, at one split point."""
  data = study.data
  person = data.sensitive[data.people]
  config = _config(study, split_point)
  out = []
  for number, people in enumerate(
    split(len(data.sensitive_names[data.people]), count_folds(study))
  ):
    strangers = np.isin(person, people)
    folder = study.workdir / 'strangers' / f'fold{number}'
    fold = np.where(strangers, OUT, data.fold).astype(np.int8)
    others = PartStudy(config, folder, whole=study, fold=fold)
    out.append(Group(number, people, others, strangers))
  return out


def chosen_embeddings(study: context.Study, split_point: str) -> list[str]:
  """Returns the embeddings to audit on strangers at a split point.

  They are `simple` and those of the config, where they are released there.

  Raises:
    UserError: the config names an embedding that the study does not have.
  """
  names = study.config.strangers.embeddings
  for name in names:
    errors.check_known(
      'embedding', name, study.embeddings, 'strangers.embeddings'
    )
  wanted = (embeddings.SIMPLE, *(names or _DEFAULT_EMBEDDINGS))
  return [n for n in dict.fromkeys(wanted) if (split_point, n) in study.targets]


def _config(study, split_point):
  # A ConfigDict of a ConfigDict would share its groups.
  config = ml_collections.ConfigDict(study.config.to_dict())
  config.model.split_points = (split_point,)
  config.attack.adversaries = study.config.strangers.adversaries
  names = chosen_embeddings(study, split_point)
  for name in list(config.release.embeddings):
    if name not in names:
      del config.release.embeddings[name]
    else:
      config.release.embeddings[name].split_points = (split_point,)
  return ml_collections.FrozenConfigDict(config)


def fit(parts: Sequence[Group]) -> None:
  """Trains the networks of the groups' embeddings on the other people."""
  studies = [group.others for group in parts]
  study = studies[0]
  (split_point,) = study.split_points
  weights = {e.weights for e in study.config.release.embeddings.values()}
  train.train_studies(studies)
  if embeddings.SIAMESE in weights:
    training = trainings.Training(embeddings.SIAMESE)
    siamese.train_members([(each, training) for each in studies], split_point)
  defend.train_studies(studies)
