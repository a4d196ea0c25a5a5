"""Finds, checks and reads the files of MotionSense as they are published.

data_subjects_info.csv                 code,weight,height,age,gender
A_DeviceMotion_data/dws_1/sub_1.csv    fifty rows a second, 12 channels
"""

import dataclasses
import pathlib
import re

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import csv_table, digests

FOLDER = 'A_DeviceMotion_data'
PEOPLE = 'data_subjects_info.csv'
CHANNELS = {
  'attitude.roll': 'rad',
  'attitude.pitch': 'rad',
  'attitude.yaw': 'rad',
  'gravity.x': 'g',
  'gravity.y': 'g',
  'gravity.z': 'g',
  'rotationRate.x': 'rad/s',
  'rotationRate.y': 'rad/s',
  'rotationRate.z': 'rad/s',
  'userAcceleration.x': 'g',
  'userAcceleration.y': 'g',
  'userAcceleration.z': 'g',
}
ACTIVITIES = {
  'dws': 'walking downstairs',
  'ups': 'walking upstairs',
  'wlk': 'walking',
  'jog': 'jogging',
  'sit': 'sitting',
  'std': 'standing',
}
GENDERS = ('female', 'male')
DOWNLOAD_ADVICE = (
  f'Get {FOLDER}.zip and {PEOPLE} from the folder data of'
  ' https://github.com/mmalekz/motion-sense, unpack the first beside the'
  ' second, and name the folder that holds both as data.manual_dir.'
)


@dataclasses.dataclass(frozen=True)
class Recording:
  """One file: a person in one trial of an activity.

  Attributes:
    activity: a key of `ACTIVITIES`.
    trial: 1 to 16.
    code: the number of the person.
  """

  activity: str
  trial: int
  code: int

  @property
  def name(self) -> str:
    """The path of the file, within the published folder."""
    return f'{FOLDER}/{self.activity}_{self.trial}/sub_{self.code}.csv'


def find_recordings(folder: pathlib.Path) -> list[Recording]:
  """Returns the recordings in a folder, by person, trial and activity.

  Args:
    folder: holds the published files.

  Raises:
    UserError: a file is missing, or is not named as published.
  """
  root = folder / FOLDER
  for path in (root, folder / PEOPLE):
    if not path.exists():
      raise errors.UserError(f'{path} does not exist. {DOWNLOAD_ADVICE}')
  recordings = []
  for path in sorted(root.glob('*/*.csv')):
    if path.name.startswith('.') or path.parent.name.startswith('.'):
      continue
    trial = re.fullmatch(r'([a-z]+)_(\d+)', path.parent.name)
    person = re.fullmatch(r'sub_(\d+)', path.stem)
    if not trial or not person or trial[1] not in ACTIVITIES:
      raise errors.UserError(
        f'{path} is not named as published, dws_1/sub_1.csv; the activities'
        f' are {", ".join(ACTIVITIES)}.'
      )
    recordings.append(Recording(trial[1], int(trial[2]), int(person[1])))
  if not recordings:
    raise errors.UserError(
      f'{root} holds no dws_1/sub_1.csv. {DOWNLOAD_ADVICE}'
    )
  return sorted(recordings, key=lambda r: (r.code, r.trial, r.activity))


def digest(folder: pathlib.Path) -> str:
  """Returns 32 hexadecimal digits of the names and contents of all files.

  Args:
    folder: holds the published files.

  Raises:
    UserError: see `find_recordings`.
  """
  return digests.of_files(folder, names(folder))[:32]


def names(folder: pathlib.Path) -> list[str]:
  """Returns the names of all files, within the folder; see `digest`."""
  return [PEOPLE, *(r.name for r in find_recordings(folder))]


def read_people(path: pathlib.Path) -> dict[int, dict[str, float]]:
  """Reads `data_subjects_info.csv`.

  Args:
    path: the file.

  Returns:
    Code of a person to `weight` (kg), `height` (cm), `age` (years) and `gender`
    (an index of `GENDERS`).

  Raises:
    UserError: a column is missing, a value is not a finite number or not valid,
      or a code occurs twice; the message names the row.
  """
  table = csv_table.read(path)
  columns = ('weight', 'height', 'age', 'gender')
  codes = table.floats(['code'])[:, 0].tolist()
  people = {}
  for number, code, values in zip(
    table.numbers, codes, table.floats(columns).tolist(), strict=True
  ):
    person = dict(zip(columns, values, strict=True))
    if person['gender'] not in (0, 1):
      raise errors.UserError(
        f'{path}, row {number}: gender is {person["gender"]:g}; it must be 0'
        ' (female) or 1 (male).'
      )
    if code in people or code != int(code):
      raise errors.UserError(
        f'{path}, row {number}: code {code:g} occurs twice, or is not a whole'
        ' number.'
      )
    people[int(code)] = person
  return people


def read_signal(path: pathlib.Path) -> np.ndarray:
  """Reads one recording, `[time, 12]` float32, in the order of `CHANNELS`.

  Raises:
    UserError: a column is missing, there is no row, a row has another length,
      or a value is not a finite number; the message names the row.
  """
  return csv_table.read_numbers(path, list(CHANNELS)).astype(np.float32)
