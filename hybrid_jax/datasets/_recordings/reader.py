"""The files of MotionSense as they are published: found, checked and read.

data_subjects_info.csv                 code,weight,height,age,gender
A_DeviceMotion_data/dws_1/sub_1.csv    fifty rows a second, 12 channels
"""

import csv
import dataclasses
import hashlib
import math
import pathlib
import re

import numpy as np

from hybrid_jax import errors, files

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
ADVICE = (
  f'Get {FOLDER}.zip and {PEOPLE} from the folder data of'
  ' https://github.com/mmalekz/motion-sense, unpack the first beside the'
  ' second, and name the folder that holds both as data.manual_dir.'
)


@dataclasses.dataclass(frozen=True)
class Recording:
  """One file: a person (`code`) in one trial of an activity."""

  activity: str
  trial: int
  code: int

  @property
  def name(self) -> str:
    """Its file, in the published folder."""
    return f'{FOLDER}/{self.activity}_{self.trial}/sub_{self.code}.csv'


def find(folder: pathlib.Path) -> list[Recording]:
  """The recordings below the published folder, by person, trial, activity.

  Raises:
    UserError: the layout is not the published one; it names what is amiss.
  """
  root = folder / FOLDER
  for path in (root, folder / PEOPLE):
    if not path.exists():
      raise errors.UserError(f'{path} is not there. {ADVICE}')
  found = []
  for path in sorted(root.glob('*/*.csv')):
    trial = re.fullmatch(r'([a-z]+)_(\d+)', path.parent.name)
    person = re.fullmatch(r'sub_(\d+)', path.stem)
    if path.name.startswith('.') or path.parent.name.startswith('.'):
      continue
    if not trial or not person or trial[1] not in ACTIVITIES:
      raise errors.UserError(
        f'{path} is not named as published, dws_1/sub_1.csv; the activities'
        f' are {", ".join(ACTIVITIES)}.'
      )
    found.append(Recording(trial[1], int(trial[2]), int(person[1])))
  if not found:
    raise errors.UserError(f'{root} holds no dws_1/sub_1.csv. {ADVICE}')
  return sorted(found, key=lambda r: (r.code, r.trial, r.activity))


def digest(folder: pathlib.Path) -> str:
  """32 hexadecimal digits of the names and contents of all files.

  Raises:
    UserError: see `find`.
  """
  total = hashlib.sha256()
  for name in (PEOPLE, *(r.name for r in find(folder))):
    total.update(f'{name} {files.sha256(folder / name)}\n'.encode())
  return total.hexdigest()[:32]


def read_people(path: pathlib.Path) -> dict[int, dict[str, float]]:
  """Code to `weight` (kg), `height` (cm), `age` (years), `gender` (0 or 1).

  Raises:
    UserError: a column is missing, a value is not a number or not possible, or
      a code comes twice; it names the file and the row.
  """
  rows = csv.reader(_lines(path))
  header = [name.strip() for name in next(rows, [])]
  columns = ('code', 'weight', 'height', 'age', 'gender')
  _check_header(path, header, columns)
  people = {}
  for number, row in enumerate(rows, 2):
    if not row:
      continue
    _check_row(path, number, header, row)
    person = {name: float(row[header.index(name)]) for name in columns}
    code, gender = person.pop('code'), person['gender']
    if gender not in (0, 1):
      raise errors.UserError(
        f'{path}, row {number}: gender is {gender:g}; it is 0 (female) or 1'
        ' (male).'
      )
    if code in people or code != int(code):
      raise errors.UserError(
        f'{path}, row {number}: code {code:g} comes twice, or is not a whole'
        ' number.'
      )
    people[int(code)] = person
  return people


def read_signal(path: pathlib.Path) -> np.ndarray:
  """One recording: `[time, 12]` float32, in the order of `CHANNELS`.

  Raises:
    UserError: a column is missing, there is no row, a row has another length,
      or a value is not a finite number; it names the file and the row.
  """
  lines = _lines(path)
  header = [name.strip().strip('"') for name in (lines or [''])[0].split(',')]
  _check_header(path, header, CHANNELS)
  if not any(line.strip() for line in lines[1:]):
    raise errors.UserError(f'{path} holds no row below its header.')
  try:
    table = np.loadtxt(
      lines[1:], np.float32, comments=None, delimiter=',', ndmin=2
    )
  except ValueError as e:
    _complain(path, header, lines)
    raise errors.UserError(f'{path}: {e}.') from e
  if table.shape[1] != len(header) or not np.isfinite(table).all():
    _complain(path, header, lines)
  return table[:, [header.index(name) for name in CHANNELS]]


def _lines(path):
  try:
    return path.read_text(encoding='utf-8-sig').splitlines()
  except OSError as e:
    raise errors.UserError(f'{path} cannot be read: {e.strerror or e}.') from e
  except UnicodeDecodeError as e:
    raise errors.UserError(f'{path} is not text: {e}.') from e


def _check_header(path, header, columns):
  wrong = [name for name in columns if header.count(name) != 1]
  if wrong:
    raise errors.UserError(
      f'{path}, row 1: the column {wrong[0]!r} is there'
      f' {header.count(wrong[0])} times, and must be once. The columns are'
      f' {", ".join(columns)}; row 1 holds {", ".join(header)}.'
    )


def _check_row(path, number, header, row):
  if len(row) != len(header):
    raise errors.UserError(
      f'{path}, row {number}: {len(row)} values, where the header (row 1) has'
      f' {len(header)}.'
    )
  for name, value in zip(header, row, strict=True):
    try:
      finite = math.isfinite(float(value)) and abs(float(value)) < 3e38
    except ValueError:
      finite = False
    if not finite:
      raise errors.UserError(
        f'{path}, row {number}: {name or "the first column"} is'
        f' {value.strip()!r}, which is not a finite number.'
      )


def _complain(path, header, lines):
  """Names the first row that is amiss; numpy is fast, but counts otherwise."""
  for number, line in enumerate(lines[1:], 2):
    if line.strip():
      _check_row(path, number, header, line.split(','))
