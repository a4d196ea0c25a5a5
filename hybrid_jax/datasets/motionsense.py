"""MotionSense: what 24 people do with a phone in the pocket, and who they are.

360 recordings of six activities, 50 samples a second. They are got by hand
(`recordings.ADVICE`), and prepared once with TFDS. Source: Malekzadeh et al.,
"Mobile sensor data anonymization", IoTDI 2019.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, windows
from hybrid_jax.datasets._recordings import attributes, reader
from hybrid_jax.datasets._tfds import prepare

HERTZ = 50.0  # samples a second

OPTIONS = {
  'manual_dir': plugins.Option(
    '', 'Holds A_DeviceMotion_data and data_subjects_info.csv.'
  ),
  'data_dir': plugins.Option(
    '', 'Where TFDS keeps data; empty for ~/tensorflow_datasets.'
  ),
  'channels': plugins.Option(
    (
      'userAcceleration.x',
      'userAcceleration.y',
      'userAcceleration.z',
      'rotationRate.x',
      'rotationRate.y',
      'rotationRate.z',
    ),
    'Channels of the sensor.',
    choices=tuple(reader.CHANNELS),
    noun='channel',
    filled=True,
  ),
  'window': plugins.Option(128, 'Length of a window.', unit='samples', low=1),
  'hop': plugins.Option(
    32, "From one window's start to the next.", unit='samples', low=1
  ),
  'split': plugins.Option(
    'trials',
    'Folds by trials, or by people.',
    choices=('trials', 'people'),
    noun='split',
  ),
  'validation': plugins.Option(
    0.2,
    'Share of each long trial that validates, its last part.',
    unit='share',
    above=0,
    below=1,
  ),
  'gap': plugins.Option(
    32,
    'Dropped at each border of folds, in each long trial.',
    unit='samples',
    low=0,
  ),
  'validation_people': plugins.Option(
    (2, 8, 15, 16),
    'People who validate, in the split by people.',
    low=1,
    high=24,
    filled=True,
  ),
  'test_people': plugins.Option(
    (18, 19, 20, 21, 22, 23, 24),
    'People who test, in the split by people.',
    low=1,
    high=24,
    filled=True,
  ),
  'primary': plugins.Option(
    'activity',
    'Primary label.',
    choices=tuple(attributes.LABELS),
    noun='label',
  ),
  'sensitive': plugins.Option(
    ('person', 'gender'),
    'Labels to hide.',
    choices=tuple(attributes.LABELS),
    noun='label',
    filled=True,
  ),
}

_FIRST_SHORT_TRIAL = 11  # as upstream: 1 to 9 train, 11 to 16 test


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Windows of the recordings: `x [n, 1, window, channels]`, g, rad/s and rad.

  Args:
    config: see `OPTIONS`; `window`, `hop` and `gap` in samples. The split
      'trials' trains on long trials, validates on the last part of each, after
      a gap, and tests on the short trials. The split 'people' keeps all that
      some people did for validation, and for the test.

  Raises:
    UserError: a setting, a file or a row cannot be right, a recording is too
      short, or a class is missing from a fold; it names the value.
  """
  sensitive, channels = _check(config)
  found = _prepared(config)
  folds = _people_folds(config, found) if config.split == 'people' else None
  recording, start, fold = _place(config, found, folds)
  columns = [list(reader.CHANNELS).index(name) for name in channels]
  signals = [example['signal'][:, columns] for example in found]
  labels, names = {}, {}
  for name in (config.primary, *sensitive):
    values, names[name] = attributes.label(name, found)
    labels[name] = values[recording]
    _check_folds(name, labels[name], names[name], fold)
  return dataset.validate(
    dataset.Dataset(
      x=windows.cut(signals, recording, start, config.window),
      primary=labels[config.primary],
      sensitive={name: labels[name] for name in sensitive},
      recording=recording,
      fold=fold,
      primary_names=names[config.primary],
      sensitive_names={name: names[name] for name in sensitive},
      channels=[f'{c} ({reader.CHANNELS[c]})' for c in channels],
    )
  )


def _names(setting) -> tuple[str, ...]:
  return (setting,) if isinstance(setting, str) else tuple(setting)


def _check(config) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Sensitive labels and channels; refuses settings before a file is read."""
  sensitive, channels = _names(config.sensitive), _names(config.channels)
  errors.check_known('split', config.split, ('trials', 'people'))
  for name in (config.primary, *sensitive):
    errors.check_known('label', name, attributes.LABELS)
  for name in channels:
    errors.check_known('channel', name, reader.CHANNELS)
  if not channels or len(set(channels)) < len(channels):
    raise errors.UserError(
      f'data.channels is {channels}; name one or more of'
      f' {", ".join(reader.CHANNELS)}, each once.'
    )
  if not sensitive or config.primary in sensitive:
    others = [name for name in attributes.LABELS if name != config.primary]
    raise errors.UserError(
      f'data.sensitive is {sensitive}; name one or more of'
      f' {", ".join(others)}, and not the primary label, {config.primary}.'
    )
  for name, least in (('window', 1), ('hop', 1), ('gap', 0)):
    if config[name] < least:
      raise errors.UserError(
        f'data.{name} is {config[name]}; it must be at least {least}.'
      )
  if not 0 < config.validation < 1:
    raise errors.UserError(
      f'data.validation is {config.validation}; it is a share between 0 and 1.'
    )
  if config.split == 'people' and 'person' in (config.primary, *sensitive):
    raise errors.UserError(
      "data.split is 'people', so the people of the test are not in training,"
      " and none can be told from the others by name: leave 'person' out of"
      ' data.sensitive and data.primary, or split by trials.'
    )
  if not config.manual_dir:
    raise errors.UserError(
      'data.manual_dir is not set, and MotionSense is not downloaded by itself.'
      f' {reader.ADVICE}'
    )
  return sensitive, channels


def _prepared(config) -> list[Mapping[str, Any]]:
  """All examples of the builder, by person and trial; prepared if need be.

  The builder's config is named by a digest of the published files, so that
  what is prepared is never taken for that of other files.
  """
  folder = pathlib.Path(config.manual_dir).expanduser()
  name = reader.digest(folder)
  library = prepare.library()
  # Only here, because it imports TFDS, which not every installation has.
  from hybrid_jax.datasets._recordings import motion_sense

  builder = motion_sense.MotionSense(
    data_dir=prepare.data_dir(config.data_dir),
    config=library.core.BuilderConfig(name=name),
    file_format='array_record',
  )
  prepare.prepare(builder, folder)
  source = builder.as_data_source(split=motion_sense.SPLIT)
  return sorted(
    (source[i] for i in range(len(source))),
    key=lambda e: (e['code'], e['trial'], int(e['activity'])),
  )


def _people_folds(config, found) -> np.ndarray:
  """`[recordings]`, the fold of each one's person."""
  codes = [int(example['code']) for example in found]
  asked = {
    dataset.VALIDATION: config.validation_people,
    dataset.TEST: config.test_people,
  }
  fold_of = dict.fromkeys(codes, dataset.TRAIN)
  for fold, people in asked.items():
    for code in people:
      if code not in fold_of:
        raise errors.UserError(
          f'person {code} of data.{dataset.FOLDS[fold]}_people has no'
          f' recording; there are {", ".join(map(str, sorted(fold_of)))}.'
        )
      if fold_of[code] not in (dataset.TRAIN, fold):
        raise errors.UserError(
          f'person {code} is in data.validation_people and in'
          ' data.test_people; a person belongs to one fold.'
        )
      fold_of[code] = fold
  for fold, name in enumerate(dataset.FOLDS):
    if fold not in fold_of.values():
      raise errors.UserError(
        f'there is nobody in the {name} fold; see data.validation_people and'
        ' data.test_people.'
      )
  return np.array([fold_of[code] for code in codes], np.int8)


def _place(
  config, found: Sequence[Mapping[str, Any]], folds: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns `recording [n]`, `start [n]` and `fold [n]` of every window."""
  spans = []
  for i, example in enumerate(found):
    length = len(example['signal'])
    if folds is not None:
      spans.append(windows.Span(i, 0, length, int(folds[i])))
    elif example['trial'] >= _FIRST_SHORT_TRIAL:
      spans.append(windows.Span(i, 0, length, dataset.TEST))
    else:
      cut = round((1 - config.validation) * max(length - config.gap, 0))
      spans += [
        windows.Span(i, 0, cut, dataset.TRAIN),
        windows.Span(i, cut + config.gap, length, dataset.VALIDATION),
      ]
  return windows.place(
    spans,
    [len(example['signal']) for example in found],
    config.window,
    config.hop,
    [_file(example) for example in found],
  )


def _file(example):
  activity = list(reader.ACTIVITIES)[int(example['activity'])]
  return reader.Recording(
    activity, int(example['trial']), int(example['code'])
  ).name


def _check_folds(name, values, names, fold):
  for f, fold_name in enumerate(dataset.FOLDS):
    counts = np.bincount(values[fold == f], minlength=len(names))
    if not counts.all():
      raise errors.UserError(
        f'class {names[int(np.argmin(counts))]!r} of label {name!r} is missing'
        f' from the {fold_name} fold.'
      )
