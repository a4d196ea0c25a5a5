"""Audits released vectors in memory: `hybrid_jax.audit`."""

import dataclasses
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import errors
from hybrid_jax.attacks import released_vectors, vector_labels
from hybrid_jax.datasets import dataset, label_encoding
from hybrid_jax.report import audit_report
from hybrid_jax.study import (
  audit_config,
  audit_folds,
  audit_released,
  validate,
)

# An attacker needs some rows in each fold.
_LEAST_ROWS = 20
_SHOWN = 5  # Classes that a note lists.
_FAST = (
  'A first look, with few attackers: audit without `fast` before you rely on'
  ' the figures.'
)
_NOISE = (
  'Noise: the attackers draw it afresh from noise_cov and add it to the'
  ' vectors, which must come without it.'
)
_RECORDINGS_UNKNOWN = (
  'Intervals: no recordings were given, so that every row counts as'
  ' independent. Where rows are of one recording or person, the intervals are'
  ' too narrow.'
)
_CHANGING = (
  'The label {label!r} changes within recordings, so that it has no accuracy by'
  ' recording.'
)


def audit(
  released: Any,
  *,
  primary: Any,
  sensitive: Any,
  noise_cov: Any = None,
  recording: Any = None,
  fold: Any = None,
  fold_strangers: Any = None,
  name: str = 'released',
  fast: bool = False,
  attackers: Sequence[str] | None = None,
  seed: int | None = None,
  config: ml_collections.ConfigDict | None = None,
) -> audit_report.AuditReport:
  """Attacks released vectors and reports what they reveal.

  It is the same code as the command `hybrid-jax audit`, with the same figures.
  It takes some minutes, or less than one if `fast`, and writes nothing. Arrays
  may be of NumPy, PyTorch, JAX or TensorFlow, or lists. Labels are whole
  numbers or text.

  Args:
    released: `[n, d]` numbers, one vector in each row. With `noise_cov`, they
      must be without the noise: the attackers add it.
    primary: `[n]`, the label that the vectors should reveal.
    sensitive: name to `[n]`, the labels that they should not reveal; or one
      array `[n]`, which is then called `sensitive`.
    noise_cov: `[d, d]`, the covariance of the Gaussian noise that the device
      adds; `None` without noise. Only with noise there is a ceiling.
    recording: `[n]`, numbers or names. Rows of one recording or person are
      alike; the intervals resample recordings. By default every row counts as
      independent.
    fold: `[n]`, 0 or `'train'`, 1 or `'validation'`, 2 or `'test'`; also 3 or
      `'attack'`, from which attackers then learn in place of `'train'`; and -1
      or `'none'` for rows of strangers. By default whole recordings are dealt
      out, 60, 20 and 20 %; without `recording`, the rows of each combination of
      labels are cut in order. The report says how the rows were split.
    fold_strangers: `[n]`, where people are in no training of the network: 0, 1
      or 2, as in `fold`, for their rows, and -1 for all others. They are
      attacked on their own: attackers learn from 0, choose on 1, and are scored
      on 2.
    name: of the vectors, in the report.
    fast: leaves out the multilayer perceptrons, and the curves over repeated
      releases and over the attacker's data. Use it for a first look: a slower
      attacker may find more.
    attackers: their names, such as `('linear', 'trees')`; all by default.
      Sets of windows are attacked by those of `attack.sets` that are among
      them.
    seed: of the attackers, 0 by default.
    config: all settings, as `configs/audit.py` returns them; then `fast` is
      not used.

  Returns:
    The report, to `print`, to show in a notebook, or to `save`.

  Raises:
    UserError: an array has the wrong shape, length, type or values, a fold is
      empty, a class has no training example, or a setting is unknown.

  Example:
    >>> import hybrid_jax as hj
    >>> report = hj.audit(
    ...   vectors, primary=exercise, sensitive={'person': person}
    ... )  # doctest: +SKIP
  """
  settings = _settings(config, fast, attackers, seed)
  vectors = _vectors(released)
  n = len(vectors)
  labels = _labels(primary, sensitive, n)
  groups = None if recording is None else _encode('recording', recording, n)[0]
  strangers = None
  if fold_strangers is not None:
    strangers = _fold('fold_strangers', fold_strangers, n, True)
  fold_note = ''
  if fold is None:
    fold, fold_note = _split(labels, groups, strangers)
  else:
    fold = _fold('fold', fold, n, strangers is not None)
  checked = released_vectors.vectors(
    vectors,
    labels,
    np.arange(n) if groups is None else groups,
    fold,
    strangers,
    None if noise_cov is None else _array('noise_cov', noise_cov),
    draws=settings.attack.draws,
  )
  changing = () if groups is None else _changing(labels, groups)
  notes = [
    _FAST if fast and config is None else '',
    '' if noise_cov is None else _NOISE,
    _RECORDINGS_UNKNOWN if groups is None else '',
    fold_note,
    *(_CHANGING.format(label=label) for label in changing),
    *_missing_notes(labels, fold),
    *checked.remarks,
  ]
  report = audit_released.measure(
    name, checked, settings, tuple(filter(None, notes))
  )
  without = changing
  if groups is None:
    without = tuple(label.name for label in labels[1:])
  return dataclasses.replace(report, without_recordings=without)


def _split(labels, groups, strangers):
  """Folds of the rows that are not of strangers; and how they were made."""
  n = len(labels[0].codes)
  rows = np.ones(n, bool) if strangers is None else strangers < 0
  if not rows.any():
    raise errors.UserError(
      "'fold_strangers': every row is of a stranger; give these folds as 'fold'"
      ' then.'
    )
  fold = np.full(n, vector_labels.OUT, np.int8)
  fold[rows], note = audit_folds.split(
    {label.what: label.codes[rows] for label in labels},
    None if groups is None else groups[rows],
  )
  return fold, note


def _labels(primary, sensitive, n):
  """Returns the labels, the primary one first."""
  if not isinstance(sensitive, Mapping):
    given = {'sensitive': ('sensitive', sensitive)}
  else:
    given = {k: (f'sensitive[{k!r}]', v) for k, v in sensitive.items()}
  if not given:
    raise errors.UserError(
      "'sensitive' is empty; it must be labels, or a dict from names to labels."
    )
  for name in given:
    if not isinstance(name, str) or not name:
      raise errors.UserError(
        f"'sensitive' has the key {name!r}; a key is the name of a label."
      )
    if name == 'primary':
      raise errors.UserError(
        "'sensitive' has the key 'primary', which is the primary label's; give"
        ' the sensitive label another name.'
      )
  return [
    vector_labels.Label(name, what, *_encode(what, values, n))
    for name, (what, values) in [
      ('primary', ('primary', primary)),
      *given.items(),
    ]
  ]


def _settings(config, fast, attackers, seed):
  if config is None:
    config = audit_config.get(fast)
  config = ml_collections.ConfigDict(config.to_dict())
  if attackers is not None:
    names = dataset.as_tuple(attackers)
    audit_config.check_attackers(names)
    config.attack.adversaries = tuple(names)
    sets = config.attack.sets
    for key in ('adversaries', 'recording_adversaries'):
      sets[key] = tuple(name for name in sets[key] if name in names)
  if seed is not None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
      raise errors.UserError(f"'seed' is {seed!r}; it must be a whole number.")
    config.seed = int(seed)
  return validate.prepare_audit(config)


def _array(what, values):
  """Returns an array of any library as one of NumPy."""
  if hasattr(values, 'detach'):  # A tensor of PyTorch.
    values = values.detach().cpu()
  if np.ma.is_masked(values):
    raise errors.UserError(
      f'{what!r} is masked in {int(np.ma.count_masked(values))} places; leave'
      ' these rows out, or fill them.'
    )
  try:
    array = np.asarray(values)
    if array.dtype.name.startswith('bfloat16'):
      array = array.astype(np.float32)
  except Exception as e:  # Each library has errors of its own.
    reason = ' '.join(str(e).split())
    raise errors.UserError(
      f'{what!r} is {type(values).__name__}, and no array: {reason}'
    ) from e
  return array


def _vectors(released):
  vectors = _array('released', released)
  released_vectors.check_vectors('released', vectors)
  if len(vectors) < _LEAST_ROWS:
    raise errors.UserError(
      f"'released' has {len(vectors)} rows; an audit needs {_LEAST_ROWS} or"
      ' more.'
    )
  return vectors


def _encode(what, values, n):
  """Returns labels as class numbers, and the names of the classes."""
  if values is None:
    raise errors.UserError(f'{what!r} is None; give each vector a label.')
  array = _label_array(what, values)
  if array.shape != (n,):
    raise errors.UserError(
      f'{what!r} has shape {array.shape}, and there are {n} vectors.'
    )
  return label_encoding.encode(array, repr(what))


def _label_array(what, values):
  """Returns labels as an array; NumPy alone would make text of [1, 'a']."""
  if isinstance(values, list | tuple):
    array = np.fromiter(values, object, len(values))
  else:
    array = _array(what, values)
  if array.dtype == object:
    _check_one_type(what, array.ravel().tolist())
  return array


def _check_one_type(what, values):
  """Checks that labels are numbers, or text; None and NaN are left alone."""
  rows = {}
  for row, value in enumerate(values):
    if isinstance(value, str | bytes):
      rows.setdefault('text', row)
    elif isinstance(value, numbers.Number | np.bool_) and value == value:
      rows.setdefault('number', row)
  if len(rows) > 1:
    text, number = rows['text'], rows['number']
    raise errors.UserError(
      f'{what!r} mixes text and numbers: {values[text]!r} in row {text},'
      f' {values[number]!r} in row {number}. Labels are all text or all whole'
      ' numbers.'
    )


def _fold(name, values, count, has_strangers):
  array = _label_array(name, values)
  if array.shape != (count,):
    raise errors.UserError(
      f'{name!r} has shape {array.shape}, and there are {count} vectors.'
    )
  if array.dtype.kind != 'f' or not np.isnan(array).any():
    array = label_encoding.read(array, repr(name))
  return released_vectors.parse_fold(array, name, has_strangers)


def _changing(labels, recording):
  """Returns the sensitive labels that change within a recording."""
  return tuple(
    label.name
    for label in labels[1:]
    if len(np.unique(np.stack([recording, label.codes]), axis=1).T)
    > len(np.unique(recording))
  )


def _missing_notes(labels, fold):
  for label in labels[1:]:
    classes = label.codes[fold != vector_labels.OUT]
    for i, name in enumerate(dataset.FOLDS):
      missing = np.setdiff1d(classes, label.codes[fold == i])
      if len(missing):
        listed = ', '.join(label.classes[code] for code in missing[:_SHOWN])
        more = ', …' if len(missing) > _SHOWN else ''
        yield (
          f'The {name} fold has no row of {len(missing)} of the'
          f' {len(label.classes)} classes of {label.name}: {listed}{more}.'
        )
