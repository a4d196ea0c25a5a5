"""Speech of RAVDESS: emotion is the task; actor, gender and words are hidden.

1,440 clips: 24 actors say two sentences twice, in eight emotions and, but for
the neutral one, in two intensities. Not part of this package, and for
non-commercial use: S. R. Livingstone and F. A. Russo, "The Ryerson audio-visual
database of emotional speech and song", PLoS ONE 13 (2018), CC BY-NC-SA 4.0.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.datasets import audio, dataset, folds, label_encoding

DOWNLOAD_ADVICE = (
  'Download Audio_Speech_Actors_01-24.zip from'
  ' https://zenodo.org/records/1188976, and unpack it.'
)
# Label to its classes, in the order of the published numbers, from 01.
LABELS: dict[str, tuple[str, ...]] = {
  'emotion': (
    *('neutral', 'calm', 'happy', 'sad'),
    *('angry', 'fearful', 'disgust', 'surprised'),
  ),
  'intensity': ('normal', 'strong'),
  'statement': ('Kids are talking by the door', 'Dogs are sitting by the door'),
  'repetition': ('first', 'second'),
  'actor': tuple(f'{i:02d}' for i in range(1, 25)),
  'gender': ('man', 'woman'),
}
_HELD = ('repetition', 'statement')


def _audio_option(name, default):
  return dataclasses.replace(audio.OPTIONS[name], default=default)


OPTIONS = {
  'path': plugins.Option(
    '', "Folder with the actors' folders, or an .npz of spectrograms."
  ),
  'layout': plugins.Option(
    'picture',
    'Spectrograms as pictures [bands, window, 1], or as series [1, window,'
    ' bands].',
    choices=('picture', 'series'),
    noun='layout',
  ),
  'rate': audio.OPTIONS['rate'],
  'bands': audio.OPTIONS['bands'],
  'spectrum': audio.OPTIONS['spectrum'],
  'step': _audio_option('step', 16.0),
  'window': _audio_option('window', 128),
  'trim': _audio_option('trim', 30.0),
  'split': plugins.Option(
    'repetition',
    'What of each actor is held out: the second repetition, or statement.',
    choices=_HELD,
    noun='split',
  ),
  'primary': plugins.Option(
    'emotion', 'Primary label.', choices=tuple(LABELS), noun='label'
  ),
  'sensitive': plugins.Option(
    ('actor', 'gender', 'statement'),
    'Labels to hide.',
    choices=tuple(LABELS),
    noun='label',
    filled=True,
    distinct=True,
  ),
}

# Modality, vocal channel, emotion, intensity, statement, repetition, actor.
_FILE_NAME = re.compile(
  r'(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)\.wav',
  re.IGNORECASE,
)
_AUDIO, _SPEECH = '03', '01'
_NUMBERS = ('emotion', 'intensity', 'statement', 'repetition', 'actor')


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads one log-mel spectrogram of each clip.

  The layout 'picture' is `[n, bands, window, 1]`, 'series' `[n, 1, window,
  bands]`. Values are the logarithm of the power, of a folder log10. A clip that
  is shorter than a window is padded by silence; of a longer one the middle is
  used. Every clip is a recording of its own.

  The first repetition (or statement) of each actor is for training. Of the
  second, one half validates and one half tests: for each actor, emotion and
  intensity, both have as many clips.

  Args:
    config: see `OPTIONS`. A folder, or its subfolders, have the published file
      names (`Actor_01/03-01-05-01-02-01-01.wav`). An `.npz` has
      `X [n, bands, spectra]`, `emotion` from 0, and `intensity`, `statement`,
      `repetition` and `actor` from 1, each `[n]`; its spectrograms are used as
      they are.

  Raises:
    UserError: the path does not exist or has no clip, a label is out of range,
      a clip cannot be read, or a label cannot be studied in this split.
  """
  sensitive = dataset.as_tuple(config.sensitive)
  _check_labels(config, sensitive)
  path = pathlib.Path(config.path).expanduser()
  if not config.path or not path.exists():
    raise errors.UserError(
      f'data.path {config.path!r} does not exist; it must be the folder of the'
      f' unpacked RAVDESS speech, or an .npz of it. {DOWNLOAD_ADVICE}'
    )
  read = _read_folder if path.is_dir() else _read_file
  spectra, numbers = _without_copies(path, *read(path, config))
  numbers['gender'] = numbers['actor'] % 2  # Men have odd published numbers.
  labels, names = {}, {}
  for label in (config.primary, *sensitive):
    labels[label], names[label] = label_encoding.encode(
      numbers[label], label, LABELS[label], unused='drop'
    )
  is_picture = config.layout == 'picture'
  with errors.prefix(path):
    return dataset.validate(
      dataset.Dataset(
        x=spectra[..., None] if is_picture else spectra.swapaxes(1, 2)[:, None],
        primary=labels.pop(config.primary),
        primary_names=names.pop(config.primary),
        sensitive=labels,
        sensitive_names=names,
        recording=np.arange(len(spectra), dtype=np.int32),
        fold=_folds(numbers, config.split),
        channels=['log power']
        if is_picture
        else [f'band {i + 1} (log power)' for i in range(spectra.shape[1])],
        people='actor' if 'actor' in sensitive else '',
      )
    )


def input_files(config: ml_collections.ConfigDict) -> list[pathlib.Path]:
  """Returns the clips, or the `.npz`."""
  path = pathlib.Path(config.path)
  if not config.path or not path.expanduser().is_dir():
    return [path] if config.path else []
  return [path / name for name, _ in _clips(path.expanduser())[0]]


def parse(name: str) -> dict[str, int] | None:
  """Returns the classes that a file name tells, by label, from 0.

  Args:
    name: such as `03-01-05-01-02-01-01.wav`.

  Returns:
    The index into `LABELS` of each label but the gender; `None` if it is no
    clip of speech.
  """
  match = _FILE_NAME.fullmatch(name)
  if not match or (match[1], match[2]) != (_AUDIO, _SPEECH):
    return None
  numbers = {
    label: int(number) - 1
    for label, number in zip(_NUMBERS, match.groups()[2:], strict=True)
  }
  if not 0 <= numbers['actor'] < len(LABELS['actor']):
    return None
  return numbers


def _check_labels(config, sensitive: Sequence[str]) -> None:
  """Checks that each label is there once, and varies within the split."""
  if config.primary in sensitive:
    others = [name for name in LABELS if name != config.primary]
    raise errors.UserError(
      f'data.sensitive is {sensitive}; name one or more of'
      f' {", ".join(others)}, and not the primary label, {config.primary}.'
    )
  if config.split in (config.primary, *sensitive):
    other = next(name for name in _HELD if name != config.split)
    raise errors.UserError(
      f'data.split is {config.split!r}: training has one {config.split} and'
      ' the test the other, so it is no label to learn. Give'
      f' data.split={other}, or remove {config.split!r} from the labels.'
    )


def _without_copies(path, spectra, numbers):
  """Leaves out clips that equal an earlier one.

  Some takes occur twice: both repetitions of actor 07, happy, with normal
  intensity and the second statement, are equal.
  """
  kept = np.unique(folds.group_duplicates(spectra), return_index=True)[1]
  if copies := len(spectra) - len(kept):
    progress.say(f'{path}: clips left out that equal an earlier one: {copies}')
  return spectra[kept], {label: v[kept] for label, v in numbers.items()}


def _folds(numbers: Mapping[str, np.ndarray], split: str) -> np.ndarray:
  """Returns `[n]`: one repetition or statement trains, the other is halved."""
  other = next(name for name in _HELD if name != split)
  # Men and women have their own parity, so that both are halved alike.
  parity = (
    numbers[other]
    + numbers['emotion']
    + numbers['intensity']
    + numbers['actor'] // 2
  ) % 2
  held = np.where(parity == 0, dataset.VALIDATION, dataset.TEST)
  return np.where(numbers[split] == 0, dataset.TRAIN, held).astype(np.int8)


def _clips(folder):
  """Returns paths within a folder with their numbers, and those left out."""
  clips, others, copies = {}, [], []
  for file in sorted(folder.rglob('*')):
    relative = file.relative_to(folder)
    is_hidden = any(part[0] == '.' for part in relative.parts)
    if file.suffix.lower() != '.wav' or is_hidden:
      continue
    numbers = parse(file.name)
    if numbers is None:
      others.append(str(relative))
    elif file.name.lower() in clips:
      copies.append(str(relative))
    else:
      clips[file.name.lower()] = (relative, numbers)
  return list(clips.values()), others, copies


def _read_folder(path, config):
  """Reads the clips of a folder.

  Returns:
    Spectrograms `[n, bands, window]` float32; and the classes by label, `[n]`.
  """
  audio.soundfile()
  clips, others, copies = _clips(path)
  if not clips:
    raise errors.UserError(
      f'{path} has no clip of speech, such as 03-01-05-01-02-01-12.wav; it has'
      f' {len(others)} other .wav files. {DOWNLOAD_ADVICE}'
    )
  for names, why in (
    (others, 'that are no clips of speech'),
    (copies, 'whose name occurs twice'),  # Some archives hold all files twice.
  ):
    if names:
      progress.say(
        f'{path}: .wav files left out {why}: {len(names)}, the first is'
        f' {names[0]}'
      )
  settings = audio.LogMel(
    config.rate, config.bands, config.spectrum, config.step, config.trim
  )
  audio.check_bands(settings)
  spectra = np.empty((len(clips), config.bands, config.window), np.float32)
  with progress.Progress('spectrograms', len(clips), unit='clip') as bar:
    for i, (name, _) in enumerate(clips):
      sound = audio.read(path / name, settings)
      spectra[i] = _fit(audio.log_mel(sound, settings), config.window).T
      bar.advance(1)
  return spectra, {
    label: np.array([numbers[label] for _, numbers in clips])
    for label in _NUMBERS
  }


def _fit(spectra: np.ndarray, window: int) -> np.ndarray:
  """Returns the middle of `spectra [k, bands]`, or pads it by silence."""
  first = max(len(spectra) - window, 0) // 2
  return audio.pad(spectra[first : first + window], window)


def _read_file(path, config):
  """Reads the spectrograms of an `.npz`; see `_read_folder`."""
  del config
  stored = files.read_npz(path, 'It must be an .npz without Python objects.')
  for name in ('X', *_NUMBERS):
    if name not in stored:
      raise errors.UserError(
        f'{path} lacks the array {name!r}; it has {", ".join(sorted(stored))}.'
      )
  spectra = stored['X']
  if spectra.ndim != 3 or spectra.dtype.kind != 'f' or not spectra.size:
    raise errors.UserError(
      f"{path}: 'X' is {spectra.dtype} of shape {spectra.shape}; it must be"
      ' floating point of shape [clips, bands, spectra].'
    )
  numbers = {}
  for label in _NUMBERS:
    values, count = stored[label], len(LABELS[label])
    first = int(label != 'emotion')
    if values.shape != (len(spectra),) or values.dtype.kind not in 'iu':
      raise errors.UserError(
        f'{path}: {label!r} is {values.dtype} of shape {values.shape}; it must'
        f' be a whole number for each of {len(spectra)} clips.'
      )
    numbers[label] = values.astype(np.int64) - first
    wrong = (numbers[label] < 0) | (numbers[label] >= count)
    if wrong.any():
      row = int(np.argmax(wrong))
      raise errors.UserError(
        f'{path}, row {row}: {label} is {values[row]}; it must be {first} to'
        f' {count - 1 + first}.'
      )
  return spectra.astype(np.float32), numbers
