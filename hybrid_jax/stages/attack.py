"""Attacks every released file and the three controls with every adversary."""

import functools
from concurrent import futures

import jax
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.adversaries import base as adversaries
from hybrid_jax.datasets import base as datasets
from hybrid_jax.metrics import leakage
from hybrid_jax.stages import base

CONTROLS = ('raw', 'noise', 'decision')


def run(study: base.Study) -> None:
  """Writes `results/attack/*.json`; attacks that are done are kept."""
  targets = [f'control-{name}' for name in CONTROLS] + [
    f'{split_point}-{name}'
    for split_point in study.split_points
    for name in study.embeddings
  ]
  left = [t for t in targets if not study.result('attack', t).exists()]
  # Found before the threads start, since they would each find it anew.
  study.data, study.x, study.model, study.params(base.SIMPLE)
  done = len(targets) - len(left)
  with (
    progress.Progress('attack', len(targets), done, 'target') as bar,
    # Networks and trees take turns at the cores, which neither fills alone.
    futures.ThreadPoolExecutor(study.config.attack.workers) as pool,
  ):
    waiting = {pool.submit(_attack, study, t): t for t in left}
    try:
      for future in futures.as_completed(waiting):
        best = future.result()
        bar.advance(
          1, target=waiting[future], **{a: best[a]['value'] for a in best}
        )
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise


def _attack(study, target):
  problem = (
    _control(study, target.removeprefix('control-'))
    if target.startswith('control-')
    else read_problem(study, target)
  )
  found = audit(problem, study.config.attack, study.config.seed)
  files.write_json(study.result('attack', target), found)
  return found


def read_problem(study: base.Study, target: str) -> adversaries.Problem:
  """The problem in a file of `released/`, in the layout of the README."""
  path = study.workdir / 'released' / f'{target}.npz'
  arrays = files.read_npz(study.needs(path, 'release'))
  try:
    covariance = arrays.get('noise_cov')
    return adversaries.Problem(
      clean=arrays['clean'],
      noise_scale=None
      if covariance is None
      else np.linalg.cholesky(covariance.astype(np.float64)).astype(np.float32),
      primary=arrays['primary'],
      sensitive={
        name.removeprefix('sensitive_'): labels
        for name, labels in arrays.items()
        if name.startswith('sensitive_')
      },
      recording=arrays['recording'],
      fold=arrays['fold'],
      draws=study.config.attack.draws,
    )
  except KeyError as e:
    raise errors.UserError(f'{path} lacks the array {e}.') from e


def audit(problem: adversaries.Problem, config, seed: int) -> dict[str, dict]:
  """All adversaries against one problem; the best by validation is reported.

  Args:
    problem: what is attacked.
    config: the study's `attack`.
    seed: of all attackers.

  Returns:
    For each sensitive label the figures of `leakage.measure` on the test fold
    for the attacker that did best on validation, `adversary`, its name,
    `validation`, its accuracy there, `tried`, how many there were, and
    `by_kind`: the same choice within each kind of adversary, and for the
    committee of those choices.
  """
  held, test = (problem.rows(f) for f in (datasets.VALIDATION, datasets.TEST))
  best = {attribute: {} for attribute in problem.sensitive}
  tried = dict.fromkeys(problem.sensitive, 0)

  def consider(kind, attack):
    labels = problem.sensitive[attack.attribute][held]
    score = float((attack.validation.argmax(-1) == labels).mean())
    kinds = best[attack.attribute]
    tried[attack.attribute] += 1
    if kind not in kinds or score > kinds[kind][0]:
      kinds[kind] = (score, attack)

  for kind in config.adversaries:
    for attack in plugins.load('adversary', kind).attack(problem, config, seed):
      consider(kind, attack)
  for kinds in best.values():
    consider('committee', _committee([attack for _, attack in kinds.values()]))
  out = {}
  for attribute, kinds in best.items():
    labels = problem.sensitive[attribute][test]
    recording = problem.recording[test]
    by_kind = {
      kind: {
        **leakage.measure(attack.test, labels, recording),
        'validation': score,
        'adversary': attack.adversary,
      }
      for kind, (score, attack) in kinds.items()
    }
    # The first of equals, in the config's order.
    winner = max(by_kind, key=lambda kind: by_kind[kind]['validation'])
    out[attribute] = {
      **by_kind[winner],
      'validation_chance': leakage.chance(problem.sensitive[attribute][held]),
      'tried': tried[attribute],
      'by_kind': by_kind,
    }
  return out


def _committee(members):
  """The mean of the probabilities that the best of each kind give."""

  def mean(fold):
    every = [jax.nn.softmax(getattr(m, fold), axis=-1) for m in members]
    return np.log(np.mean(every, axis=0) + 1e-6)

  return adversaries.Attack(
    'committee of the best of each kind',
    members[0].attribute,
    mean('validation'),
    mean('test'),
  )


def _control(study, name):
  data = study.data
  structured = behind = None
  if name == 'raw':
    structured, behind = study.x, functools.partial(_whole_network, study)
    features = study.x.reshape(len(study.x), -1)
  elif name == 'noise':
    dim = min(
      files.read_npz(p)['clean'].shape[1]
      for p in sorted((study.workdir / 'released').glob('*.npz'))
    )
    rng = np.random.default_rng(study.config.seed)
    features = rng.standard_normal((len(study.x), dim)).astype(np.float32)
  else:
    whole = jax.jit(lambda p, x: study.model.apply({'params': p}, x))
    logits = base.in_blocks(whole, study.params(base.SIMPLE), study.x)
    classes = len(data.primary_names)
    features = np.eye(classes, dtype=np.float32)[logits.argmax(-1)]
  return adversaries.Problem(
    clean=features,
    noise_scale=None,
    primary=data.primary,
    sensitive=data.sensitive,
    recording=data.recording,
    fold=data.fold,
    draws=study.config.attack.draws,
    structured=structured,
    behind=behind,
  )


def _whole_network(study, classes):
  model = base.make_model(study.config.model, classes)
  return (
    lambda key: model.init(key, study.x[:1])['params'],
    lambda params, x: model.apply({'params': params}, x),
  )
