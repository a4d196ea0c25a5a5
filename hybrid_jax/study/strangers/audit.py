"""Attacks the strangers of one fold, and verifies streams of them."""

from typing import Any

import numpy as np

from hybrid_jax import files
from hybrid_jax.attacks import adversary, released_vectors
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import ceiling, leakage
from hybrid_jax.metrics import attack_accuracy, verification
from hybrid_jax.study import problems
from hybrid_jax.study.stages import release
from hybrid_jax.study.strangers import people_folds

_REPEATS = 8  # streams of a person


def audit(group: people_folds.Group, embedding: str) -> dict[str, Any]:
  """Attacks one embedding of a group's strangers.

  Returns:
    The figures of each window, recording and person, which `join_folds` joins
    with those of the other groups.
  """
  study = group.others
  (split_point,) = study.split_points
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  mechanism = release.fitted(study, split_point, embedding, features)
  clean = mechanism.transform_all(features)
  problem = _problem(group, embedding, mechanism, clean)
  figures, choices = _attack(group, problem, study.config.attack)
  return figures | {
    'utility': _utility(group, embedding, mechanism, features),
    'verification': _verify(group, problem, clean, choices[study.data.people]),
  }


def audit_answer(group: people_folds.Group) -> dict[str, Any]:
  """Attacks the answers of the simple network for a group's strangers.

  The cloud learns the answer; and what the network confuses may tell people
  apart. A release that gives the same answers reveals at least as much.

  Returns:
    `people`, `recording`, `person` and `attributes`, as `audit` does.
  """
  arrays, labels = _arrays(group, problems.answers(group.others))
  problem = adversary.Problem(
    **arrays, noise_scale=None, sensitive=labels, **_shapes(group)
  )
  config = problems.answer_config(group.others.config.attack)
  return _attack(group, problem, config)[0]


def _attack(group, problem, config):
  """Attacks a problem; returns the figures, and the choice of each label."""
  study = group.others
  choices = leakage.choose(problem, config, study.config.seed)
  bounds = {}
  if 'ceiling' in config.measures:
    bounds = ceiling.measure(problem, config, study.config.seed)
  test = problem.rows(dataset.TEST)
  person = _numbers(group, study.data.people)[0][test]
  figures = {
    'people': group.people.tolist(),
    'recording': problem.recording[test].tolist(),
    'person': group.people[person].tolist(),
    'attributes': {
      attribute: _figures(problem, attribute, choice, config)
      | ({'ceiling': bounds[attribute]} if bounds else {})
      for attribute, choice in choices.items()
    },
  }
  return figures, choices


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
  study = group.others
  (split_point,) = study.split_points
  arrays, labels = _arrays(group, clean)
  arrays |= {f'sensitive_{name}': values for name, values in labels.items()}
  scale = mechanism.noise_scale()
  if scale is not None:
    arrays['noise_cov'] = np.asarray(scale @ scale.T)
  path = study.released_path(split_point, embedding)
  files.write_npz(path, arrays)
  return released_vectors.read(path, **_shapes(group))


def _arrays(group, clean):
  """Returns the strangers' arrays but the sensitive labels, and these."""
  data, rows = group.others.whole.data, group.strangers
  numbers = {name: _numbers(group, name) for name in data.sensitive}
  arrays = {
    'clean': clean[rows],
    'primary': data.primary[rows],
    'recording': data.recording[rows],
    # No fold of a stranger was trained on.
    'fold': np.where(
      data.fold[rows] == dataset.ATTACK, dataset.TRAIN, data.fold[rows]
    ),
  }
  return arrays, {name: v[0] for name, v in numbers.items() if v}


def _shapes(group):
  """Returns the draws, and the capacity of the attacks on all people.

  Attacks of one capacity share their programs.
  """
  study = group.others
  draws, fold = study.config.attack.draws, study.whole.data.fold
  largest = max((fold == f).sum() for f in (dataset.VALIDATION, dataset.TEST))
  capacity = int((fold != dataset.TEST).sum()), int(draws * largest)
  return {'draws': draws, 'capacity': capacity}


def _utility(group, embedding, mechanism, features):
  """The strangers' utility: each test window, and the mean on validation."""
  study = group.others
  (split_point,) = study.split_points
  weights = study.config.release.embeddings[embedding].weights
  params = study.params(weights, split_point)
  view = people_folds.PartStudy(
    study.config,
    study.workdir,
    whole=study.whole,
    fold=np.where(
      group.strangers, study.whole.data.fold, people_folds.OUT
    ).astype(np.int8),
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
