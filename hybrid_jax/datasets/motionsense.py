"""MotionSense: activities of 24 people with a phone in the trouser pocket.

360 recordings of six activities, 50 samples a second. You download them
(`published_files.DOWNLOAD_ADVICE`); TFDS prepares them once. Source: Malekzadeh
et al., "Mobile sensor data anonymization", IoTDI 2019.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, windows
from hybrid_jax.datasets._motionsense import published_files, recording_labels
from hybrid_jax.datasets._tfds import preparation

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
    choices=tuple(published_files.CHANNELS),
    noun='channel',
    filled=True,
    distinct=True,
  ),
  **windows.OPTIONS,
  'split': plugins.Option(
    'trials',
    'Folds by trials, or by people.',
    choices=('trials', 'people'),
    noun='split',
  ),
  'validation': plugins.Option(
    0.2,
    'Share of each long trial for validation, at its end.',
    unit='share',
    above=0,
    below=1,
  ),
  'validation_people': plugins.Option(
    (2, 8, 15, 16),
    'People of the validation fold, in the split by people.',
    low=1,
    high=24,
    filled=True,
  ),
  'test_people': plugins.Option(
    (18, 19, 20, 21, 22, 23, 24),
    'People of the test fold, in the split by people.',
    low=1,
    high=24,
    filled=True,
  ),
  'primary': plugins.Option(
    'activity',
    'Primary label.',
    choices=tuple(recording_labels.LABELS),
    noun='label',
  ),
  'sensitive': plugins.Option(
    ('person', 'gender'),
    'Labels to hide.',
    choices=tuple(recording_labels.LABELS),
    noun='label',
    filled=True,
  ),
}

_FIRST_SHORT_TRIAL = 11  # as published: trials 1 to 9 train, 11 to 16 test


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads windows of the recordings, `x [n, 1, window, channels]`.

  Units are g, rad/s and rad.

  Args:
    config: see `OPTIONS`. The split 'trials' trains on long trials, validates
      on the last part of each, and tests on short trials. The split 'people'
      keeps all recordings of some people for validation and for the test.

  Raises:
    UserError: a setting, a file or a row is not valid, a recording is too
      short, or a class is missing from a fold; the message names the value.
  """
  sensitive, channels = _check_settings(config)
  examples = _read_examples(config)
  spans = (
    _split_by_people(config, examples)
    if config.split == 'people'
    else _split_by_trials(config, examples)
  )
  columns = [list(published_files.CHANNELS).index(name) for name in channels]
  signals = [example['signal'][:, columns] for example in examples]
  recording, start, fold = windows.place(
    spans,
    [len(signal) for signal in signals],
    config.window,
    config.hop,
    [_file_name(example) for example in examples],
  )
  labels, names = {}, {}
  for label in (config.primary, *sensitive):
    values, names[label] = recording_labels.encode(label, examples)
    labels[label] = values[recording]
    _check_classes(label, labels[label], names[label], fold)
  return dataset.validate(
    dataset.Dataset(
      x=windows.cut(signals, recording, start, config.window),
      primary=labels[config.primary],
      sensitive={label: labels[label] for label in sensitive},
      recording=recording,
      fold=fold,
      primary_names=names[config.primary],
      sensitive_names={label: names[label] for label in sensitive},
      channels=[f'{c} ({published_files.CHANNELS[c]})' for c in channels],
      hertz=HERTZ,
      people='person' if 'person' in sensitive else '',
    )
  )


def input_files(config: ml_collections.ConfigDict) -> list[pathlib.Path]:
  """Returns the published files."""
  folder = pathlib.Path(config.manual_dir)
  names = (
    published_files.names(folder.expanduser()) if config.manual_dir else []
  )
  return [folder / name for name in names]


def _check_settings(config) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Checks the settings, and returns the sensitive labels and the channels."""
  sensitive = dataset.as_tuple(config.sensitive)
  channels = dataset.as_tuple(config.channels)
  if config.primary in sensitive:
    others = [
      name for name in recording_labels.LABELS if name != config.primary
    ]
    raise errors.UserError(
      f'data.sensitive is {sensitive}; name one or more of'
      f' {", ".join(others)}, and not the primary label, {config.primary}.'
    )
  if config.split == 'people' and 'person' in (config.primary, *sensitive):
    raise errors.UserError(
      "data.split is 'people': the people of the test are not in training, so"
      " they cannot be classes. Remove 'person' from data.sensitive and"
      ' data.primary, or split by trials.'
    )
  if not config.manual_dir:
    raise errors.UserError(
      'data.manual_dir is not set, and MotionSense is not downloaded'
      f' automatically. {published_files.DOWNLOAD_ADVICE}'
    )
  return sensitive, channels


def _read_examples(config) -> list[Mapping[str, Any]]:
  """Reads all recordings, by person and trial; prepares them if necessary.

  The builder's config is named by a digest of the published files, so prepared
  data are never used for other files.
  """
  folder = pathlib.Path(config.manual_dir).expanduser()
  name = published_files.digest(folder)
  tfds = preparation.import_tfds()
  # This module imports TFDS, which is not installed everywhere.
  from hybrid_jax.datasets._motionsense import builder

  motion_sense = builder.MotionSense(
    data_dir=preparation.expand_data_dir(config.data_dir),
    config=tfds.core.BuilderConfig(name=name),
    file_format='array_record',
  )
  preparation.prepare(motion_sense, folder)
  source = motion_sense.as_data_source(split=builder.SPLIT)
  return sorted(
    (source[i] for i in range(len(source))),
    key=lambda e: (e['code'], e['trial'], int(e['activity'])),
  )


def _split_by_trials(
  config, examples: Sequence[Mapping[str, Any]]
) -> list[windows.Span]:
  """Returns the spans of the split 'trials'."""
  spans = []
  for i, example in enumerate(examples):
    length = len(example['signal'])
    if example['trial'] >= _FIRST_SHORT_TRIAL:
      spans.append(windows.Span(i, 0, length, dataset.TEST))
    else:
      border = round((1 - config.validation) * max(length - config.gap, 0))
      spans += [
        windows.Span(i, 0, border, dataset.TRAIN),
        windows.Span(i, border + config.gap, length, dataset.VALIDATION),
      ]
  return spans


def _split_by_people(
  config, examples: Sequence[Mapping[str, Any]]
) -> list[windows.Span]:
  """Returns the spans of the split 'people': each recording is one span."""
  fold_of = dict.fromkeys(
    sorted(int(example['code']) for example in examples), dataset.TRAIN
  )
  for fold, people in (
    (dataset.VALIDATION, config.validation_people),
    (dataset.TEST, config.test_people),
  ):
    for code in people:
      if code not in fold_of:
        raise errors.UserError(
          f'person {code} of data.{dataset.FOLDS[fold]}_people has no'
          f' recording; the people are {", ".join(map(str, fold_of))}.'
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
        f'the {name} fold has no person; see data.validation_people and'
        ' data.test_people.'
      )
  return [
    windows.Span(i, 0, len(example['signal']), fold_of[int(example['code'])])
    for i, example in enumerate(examples)
  ]


def _file_name(example):
  activity = list(published_files.ACTIVITIES)[int(example['activity'])]
  return published_files.Recording(
    activity, int(example['trial']), int(example['code'])
  ).name


def _check_classes(label, values, names, fold):
  """Checks that every fold has every class."""
  for f, fold_name in enumerate(dataset.FOLDS):
    counts = np.bincount(values[fold == f], minlength=len(names))
    if not counts.all():
      raise errors.UserError(
        f'class {names[int(np.argmin(counts))]!r} of label {label!r} is missing'
        f' from the {fold_name} fold.'
      )
