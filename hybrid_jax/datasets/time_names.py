"""Columns of times: their names, units and texts. Needs no other package.

Data sets and the device's client read them alike.
"""

import datetime
import re

UNITS = {'s': 1.0, 'ms': 1e-3, 'us': 1e-6, 'ns': 1e-9}

_UNIT_WORDS = {
  **dict.fromkeys(('s', 'sec', 'secs', 'second', 'seconds'), 's'),
  **dict.fromkeys(
    ('ms', 'msec', 'millis', 'millisecond', 'milliseconds'), 'ms'
  ),
  **dict.fromkeys(
    ('us', 'µs', 'usec', 'micros', 'microsecond', 'microseconds'), 'us'
  ),
  **dict.fromkeys(('ns', 'nsec', 'nanos', 'nanosecond', 'nanoseconds'), 'ns'),
}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_YEARS = (315532800, 4102444800)  # 1980 and 2100, in seconds since 1970
_TIME_WORDS = {
  'time',
  'times',
  'timestamp',
  'timestamps',
  'datetime',
  'date',
  'clock',
  'epoch',
  'elapsed',
  'utc',
  'unix',
  'unixtime',
  'systime',
  'sensortime',
}
_STEPS = {0.5: 's', 500: 'ms', 5e5: 'us'}  # the first one above a step
_FASTEST_GUESS = 400  # rows a second; faster ones are slower in another unit


def is_time(name: str) -> bool:
  """Returns whether a column's name says that it holds times."""
  words = split_words(name)
  others = [word for word in words if word not in _UNIT_WORDS]
  if not others:  # The name is a unit: `seconds`, but not `s`.
    return len(''.join(words)) > 2
  # A capital T is a temperature.
  is_t = others == ['t'] and name.strip().startswith('t')
  return is_t or bool(_TIME_WORDS & set(others))


def split_words(name: str) -> list[str]:
  """Returns the words of a name in lower case: `gyroTime_ms` has three."""
  spaced = re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name)
  return re.findall(r'[a-zµ]+', spaced.lower())


def find_unit(name: str, first: float, step: float) -> str | None:
  """Returns the unit of a column of times, one of `UNITS`.

  Args:
    name: its name, which may have the unit: `time_ms`, `t (s)`.
    first: a time of it; times since 1970 tell their unit by their size.
    step: the usual step. Where nothing else tells the unit, steps below 0.5 are
      seconds, below 500 milliseconds.

  Returns:
    `None` where only the step tells it, and not which: rows of more than 400 a
    second may be rows of one a second, in the next larger unit.
  """
  units = [_UNIT_WORDS[w] for w in split_words(name) if w in _UNIT_WORDS]
  if units:
    return units[-1]
  for unit, size in UNITS.items():
    if _YEARS[0] <= first * size <= _YEARS[1]:
      return unit
  unit = next((u for most, u in _STEPS.items() if step < most), 'ns')
  is_slow = step * UNITS[unit] * _FASTEST_GUESS >= 1
  return unit if unit == 's' or is_slow else None


def parse(text: str) -> float:
  """Returns a time as a number; of ISO 8601 in seconds.

  A date-time without a time zone is taken as UTC. A time of day has no date.

  Raises:
    ValueError: it is neither a number nor ISO 8601.
  """
  try:
    return float(text)
  except ValueError:
    pass
  try:
    moment = datetime.datetime.fromisoformat(text.strip())
  except ValueError:
    time = datetime.time.fromisoformat(text.strip())
    moment = datetime.datetime.combine(_EPOCH, time)
  if moment.tzinfo is None:
    moment = moment.replace(tzinfo=datetime.UTC)
  return (moment - _EPOCH).total_seconds()


def is_date(text: str) -> bool:
  """Returns whether a time is a date-time and no number."""
  try:
    float(text)
  except ValueError:
    return True
  return False
