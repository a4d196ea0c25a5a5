"""People whom the network never saw: folds of people, audited one by one.

The edge is trained on the other people. A stranger is in no training, no
validation, no normalization, no PCA, no prototype and no choice. The strangers'
windows keep the folds of the data set: those of its training fold are labelled
releases that an attacker learns from, those of validation are labelled releases
that it chooses with, and those of the test fold are later releases, on which it
is scored.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.attacks import released_vectors
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import ceiling, leakage
from hybrid_jax.metrics import (
  attack_accuracy,
  bayes_ceiling,
  bootstrap,
  verification,
)
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, trainings
from hybrid_jax.study.stages import defend, release, siamese, train

OUT = -1  # the fold of windows that take no part
_DEFAULT_EMBEDDINGS = ('noisy_reduced_siamese', 'bounded', 'snapped')
_FEW_PEOPLE = 10
_MIN_WINDOWS = 2  # of a person in each fold
_REPEATS = 8  # streams of a person


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
  few = len(study.data.sensitive_names[people]) <= _FEW_PEOPLE
  return 5 if few else 3


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
  if folds < 2 or len(names) < 2 * folds:
    raise errors.UserError(
      f'{len(names)} people of label {data.people!r} for'
      f' strangers.people_folds={folds}; there must be 2 folds or more, of 2'
      f' people or more: give --config.strangers.people_folds='
      f'{max(2, len(names) // 2)} or less, {off}.'
    )
  for i, name in enumerate(names):
    for fold, title in enumerate(dataset.FOLDS):
      count = int(((person == i) & (data.fold == fold)).sum())
      if count < _MIN_WINDOWS:
        raise errors.UserError(
          f'{name!r} of label {data.people!r} has {count} windows in the'
          f' {title} fold; each person needs {_MIN_WINDOWS} or more in each'
          f' fold. Record more, leave the person out, {off}.'
        )
  batch = max(
    study.config[g].batch_size for g in ('training', 'siamese', 'defend')
  )
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
        f' has {left} windows, less than a batch of {batch}; take more folds,'
        f' {off}.'
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


def audit(group: Group, embedding: str) -> dict[str, Any]:
  """Attacks one embedding of a group's strangers.

  Returns:
    The figures of each window, recording and person, which `summarise` joins
    with those of the other groups.
  """
  study = group.others
  (split_point,) = study.split_points
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  mechanism = release.fitted(study, split_point, embedding, features)
  clean = mechanism.transform_all(features)
  problem = _problem(group, embedding, mechanism, clean)
  choices = leakage.choose(problem, study.config.attack, study.config.seed)
  bounds = {}
  if 'ceiling' in study.config.attack.measures:
    bounds = ceiling.measure(problem, study.config.attack, study.config.seed)
  test = problem.rows(dataset.TEST)
  who = study.data.people
  person = _numbers(group, who)[0][test]
  return {
    'people': group.people.tolist(),
    'recording': problem.recording[test].tolist(),
    'person': group.people[person].tolist(),
    'utility': _utility(group, embedding, mechanism, features),
    'attributes': {
      attribute: _figures(problem, attribute, choice, study.config.attack)
      | ({'ceiling': bounds[attribute]} if bounds else {})
      for attribute, choice in choices.items()
    },
    'verification': _verify(group, problem, clean, choices[who]),
  }


def _numbers(group, label):
  """Renumbers a label among the strangers, from 0.

  Returns:
    `[m]` for the windows of the strangers, and the names of the classes; `None`
    if there are fewer than two, or an attacker would lack examples of one.
  """
  data = group.others.whole.data
  classes, numbers = np.unique(
    data.sensitive[label][group.strangers], return_inverse=True
  )
  fold = data.fold[group.strangers]
  for held in (dataset.TRAIN, dataset.VALIDATION, dataset.TEST):
    if len(np.unique(numbers[fold == held])) < len(classes):
      return None
  names = [data.sensitive_names[label][c] for c in classes]
  return (numbers.astype(np.int32), names) if len(classes) > 1 else None


def _problem(group, embedding, mechanism, clean):
  """Writes the strangers' released vectors, and reads them as a problem."""
  study, rows = group.others, group.strangers
  (split_point,) = study.split_points
  data = study.whole.data
  sensitive = {name: _numbers(group, name) for name in data.sensitive}
  arrays = {
    'clean': clean[rows],
    'primary': data.primary[rows],
    **{f'sensitive_{k}': v[0] for k, v in sensitive.items() if v},
    'recording': data.recording[rows],
    # No fold of a stranger was trained on.
    'fold': np.where(
      data.fold[rows] == dataset.ATTACK, dataset.TRAIN, data.fold[rows]
    ),
  }
  scale = mechanism.noise_scale()
  if scale is not None:
    arrays['noise_cov'] = np.asarray(scale @ scale.T)
  path = study.released_path(split_point, embedding)
  files.write_npz(path, arrays)
  draws, fold = study.config.attack.draws, data.fold
  largest = max((fold == f).sum() for f in (dataset.VALIDATION, dataset.TEST))
  # The shapes of the attacks on all people, with which they share programs.
  capacity = int((fold != dataset.TEST).sum()), int(draws * largest)
  return released_vectors.read(path, draws, capacity=capacity)


def _utility(group, embedding, mechanism, features):
  """The strangers' utility: each test window, and the mean on validation."""
  study = group.others
  (split_point,) = study.split_points
  weights = study.config.release.embeddings[embedding].weights
  params = study.params(weights, split_point)
  view = PartStudy(
    study.config,
    study.workdir,
    whole=study.whole,
    fold=np.where(group.strangers, study.whole.data.fold, OUT).astype(np.int8),
  )
  correct = {}
  for fold in (dataset.VALIDATION, dataset.TEST):
    logits = release.primary_logits(
      view, split_point, params, mechanism, features, fold
    )
    labels = view.data.primary[view.rows(fold)]
    correct[fold] = attack_accuracy.correct_windows(logits, labels)
  return {
    'correct': correct[dataset.TEST].tolist(),
    'chance': attack_accuracy.chance(labels),
    'validation': float(correct[dataset.VALIDATION].mean()),
  }


def _figures(problem, attribute, choice, config):
  """The accuracy of the chosen attackers, not yet averaged."""
  test, validation = (
    problem.rows(fold) for fold in (dataset.TEST, dataset.VALIDATION)
  )
  labels = problem.sensitive[attribute][test]

  def window(attack):
    return attack_accuracy.correct_windows(attack.test, labels, attack.columns)

  correct, truth = choice.by_recording()
  sets = {}
  for count in config.windows:
    result = choice.by_windows('class', count)
    if result:
      sets[str(count)] = {
        'correct': result[0].tolist(),
        'chance': attack_accuracy.chance(result[1]),
      }
  return {
    'window': {
      'correct': window(choice.again['window']).tolist(),
      'chance': attack_accuracy.chance(labels),
      'adversary': choice.first['window'].adversary,
      'training_fold_only': float(window(choice.first['window']).mean()),
      'validation': choice.ranked.best_window()[0],
      'validation_chance': attack_accuracy.chance(
        problem.sensitive[attribute][validation]
      ),
    },
    'recording': {
      'correct': correct.tolist(),
      'chance': attack_accuracy.chance(truth),
      'adversary': choice.adversary('recording'),
      'training_fold_only': float(choice.by_recording(again=False)[0].mean()),
    },
    'by_windows': sets,
    'tried': choice.ranked.tried,
  }


def _verify(group, problem, clean, choice):
  """Verifies streams of the strangers: `auc` and `eer` of each of them.

  Two scores are tried, and validation chooses: the probability that the best
  attacker names one person twice, and a Gaussian model of the other people.
  """
  out = {}
  centred = _centred_vectors(group, problem, clean)
  for count in group.others.config.strangers.stream_windows:
    results = {
      fold: {
        name: verification.by_person(*trials)
        for name, trials in _trials(
          group, problem, centred, choice, fold, count
        ).items()
      }
      for fold in (dataset.VALIDATION, dataset.TEST)
    }
    held = results[dataset.VALIDATION]
    best = max(held, key=lambda name: held[name]['auc'].mean())
    out[str(count)] = {'score': best} | {
      key: values.tolist()
      for key, values in results[dataset.TEST][best].items()
    }
  return out


def _centred_vectors(group, problem, clean):
  """Vectors less the mean of their primary class, which the cloud knows.

  Returns:
    Fold to `[draws, n, d]` of the strangers, and `None` to `[1, n, d]` of the
    windows of the other people on which the network was not trained.
  """
  study, view = group.others, problem.views['within']
  held = _background(study)
  vectors = clean[held]
  if problem.noise_scale is not None:
    rng = np.random.default_rng(study.config.seed)
    noise = rng.standard_normal(vectors.shape)
    vectors = vectors + noise @ problem.noise_scale.T
  background, labels = view(vectors), study.data.primary[held]
  means = np.stack(
    [
      background[labels == y].mean(axis=0)
      for y in range(len(study.data.primary_names))
    ]
  )
  return {None: (background - means[labels])[None]} | {
    fold: view(x) - means[problem.primary[problem.rows(fold)]]
    for fold, x in problem.evaluation_draws.items()
  }


def _background(study):
  return np.isin(study.data.fold, (dataset.VALIDATION, dataset.TEST))


def _trials(group, problem, centred, choice, fold, count):
  """Scores of all pairs of streams of a fold, and the people of both sides.

  Returns:
    The name of a score to the arguments of `verification.by_person`.
  """
  who, study = group.others.data.people, group.others
  rows = problem.rows(fold)
  streams, person, kind = verification.trial_streams(
    problem.sensitive[who][rows], problem.recording[rows], count, _REPEATS
  )
  attacks = choice.first if fold == dataset.VALIDATION else choice.again
  # Streams are of several recordings, as the sets of windows of a class are.
  numbers = study.config.attack.windows
  nearest = max((k for k in numbers if k <= count), default=min(numbers))
  attack = attacks['class', nearest]
  named = attack_accuracy.class_log_probs(
    verification.pool(
      attack.likelihoods(dataset.FOLDS[fold]), streams, mean=False
    ),
    attack.columns,
    len(group.people),
  )
  held = _background(study)
  others, other_people, _ = verification.trial_streams(
    study.data.sensitive[who][held], study.data.recording[held], count, _REPEATS
  )
  model = verification.GaussianScorer(
    verification.pool(centred[None], others, mean=True)[0], other_people
  )
  means = verification.pool(centred[fold], streams, mean=True)
  first, second = kind == 0, kind == 1
  people = person[first], person[second]
  return {
    'attacker': (
      verification.posterior_scores(named[:, first], named[:, second]),
      *people,
    ),
    'Gaussian': (model(means[:, first], means[:, second]), *people),
  }


def summarise(study: context.Study, split_point: str) -> dict[str, Any]:
  """Joins the results of all folds of people.

  Returns:
    `split_point`; `label`, the label of people; `folds`, the names of the
    people of each; `embeddings`: the name to `utility`, `validation_utility`,
    `leakage`, `ceiling` and `verification`. Each figure has an interval over
    recordings, or over people where a set or stream is of a person. Chance is
    among the strangers of a fold.

  Raises:
    UserError: a result is missing; the message names the stage.
  """
  data = study.data
  parts = groups(study, split_point)
  return {
    'split_point': split_point,
    'label': data.people,
    'folds': [
      [str(data.sensitive_names[data.people][p]) for p in group.people]
      for group in parts
    ],
    'embeddings': {
      name: join(
        [
          group.others.read('strangers', name, stage='strangers')
          for group in parts
        ]
      )
      for name in chosen_embeddings(study, split_point)
    },
  }


def join(results: list[dict[str, Any]]) -> dict[str, Any]:
  """Joins the results of `audit` for one embedding; see `summarise`."""
  attributes = dict.fromkeys(a for r in results for a in r['attributes'])
  utility = [r['utility'] for r in results]
  windows = [len(r['recording']) for r in results]
  recordings = [r['recording'] for r in results]
  leakage_of, ceiling_of = {}, {}
  for attribute in attributes:
    has = [r for r in results if attribute in r['attributes']]
    figures = [r['attributes'][attribute] for r in has]
    leakage_of[attribute] = _join_leakage(
      figures, [r['recording'] for r in has]
    )
    if all('ceiling' in f for f in figures):
      ceiling_of[attribute] = _join_ceiling(
        [f['ceiling'] for f in figures], [r['recording'] for r in has]
      )
  return {
    'utility': _estimate(utility, recordings),
    'validation_utility': _mean([u['validation'] for u in utility], windows),
    'leakage': leakage_of,
    'ceiling': ceiling_of,
    'verification': {
      count: verification.summarise(
        {
          key: np.concatenate([r['verification'][count][key] for r in results])
          for key in ('auc', 'eer')
        }
      )
      for count in _by_number(results[0]['verification'])
    },
  }


def _join_leakage(figures, recordings):
  windows = [len(r) for r in recordings]
  window = [f['window'] for f in figures]
  recording = [f['recording'] for f in figures]
  counts = [
    k
    for k in _by_number(figures[0]['by_windows'])
    if all(k in f['by_windows'] for f in figures)
  ]
  held = {
    key: _mean([f[key] for f in window], windows)
    for key in ('validation', 'validation_chance', 'training_fold_only')
  }
  return {
    **_estimate(window, recordings),
    **held,
    'tried': figures[0]['tried'],
    'adversary': ', '.join(dict.fromkeys(f['adversary'] for f in window)),
    'per_recording': _estimate(recording)
    | {
      'training_fold_only': _mean(
        [f['training_fold_only'] for f in recording],
        [len(f['correct']) for f in recording],
      )
    },
    'by_windows': {
      'class': {
        k: _estimate([f['by_windows'][k] for f in figures]) for k in counts
      }
    },
  }


def _join_ceiling(figures, recordings):
  """The mean bound, and McDiarmid's margin for all recordings together."""
  windows = [len(r) for r in recordings]
  value = _mean([f['value'] for f in figures], windows)
  margin = bayes_ceiling.confidence_margin(_distinct(recordings))
  curves = [f['stream']['by_windows'] for f in figures]
  return {
    'value': value,
    'high': min(value + margin, 1.0),
    'bits': _mean([f['bits'] for f in figures], windows),
    'stream': {
      'by_windows': {
        k: {
          end: _mean([curve[k][end] for curve in curves], windows)
          for end in ('value', 'high')
        }
        for k in _by_number(curves[0])
      }
    },
  }


def _estimate(parts, recordings=None):
  """The accuracy over all groups, with its interval and chance.

  Args:
    parts: of each group `correct`, `[n]`, and `chance`.
    recordings: of each group `[n]`; by default each entry stands alone.
  """
  correct = np.concatenate([part['correct'] for part in parts])
  group = (
    np.arange(len(correct)) if recordings is None else _distinct(recordings)
  )
  estimate = bootstrap.accuracy(correct, group)
  floor = _mean(
    [part['chance'] for part in parts], [len(part['correct']) for part in parts]
  )
  return dataclasses.asdict(estimate) | {
    'chance': floor,
    'advantage': estimate.value - floor,
  }


def _distinct(recordings):
  """Numbers `[n]` of the recordings of all groups."""
  return np.unique(
    np.concatenate(
      [
        np.stack([np.full(len(part), i), part], axis=1)
        for i, part in enumerate(recordings)
      ]
    ),
    axis=0,
    return_inverse=True,
  )[1].ravel()


def _by_number(keys):
  """Keys that are numbers, in order; JSON files have them in another."""
  return sorted(keys, key=int)


def _mean(values, weights):
  return float(np.average(values, weights=weights))
