"""Checks the figures of a study against bounds, for continuous integration.

The pessimistic end of an interval is compared with the bound, not the value:
the low end of the utility, and the high end of a leakage, of a stream, or of a
ceiling. All figures are shares from 0 to 1.
"""

import dataclasses
import json
import pathlib
import re
from typing import Any

import junitparser
import rich.table

from hybrid_jax import errors, files, progress

UTILITY, LEAKAGE, CEILING = 'utility', 'leakage', 'ceiling'
STREAM = 'stream'  # leakage from several windows of one class
# Figures are compared to this many decimals, so that rounding errors of an
# interpolated quantile do not decide.
_DECIMALS = 9


@dataclasses.dataclass(frozen=True)
class Bound:
  """Bound of one figure.

  Attributes:
    figure: `UTILITY`, `LEAKAGE`, `CEILING` or `STREAM`.
    label: the sensitive label; empty for the utility.
    share: the smallest utility, or the largest leakage or ceiling, that is
      allowed, from 0 to 1.
    windows: the number of windows that the attacker combines; 1 but for
      `STREAM`.
  """

  figure: str
  label: str
  share: float
  windows: int = 1

  @property
  def name(self) -> str:
    """The name in tables and messages: `leakage of person`."""
    if self.figure == STREAM:
      return f'leakage of {self.label}, {self.windows} windows'
    return f'{self.figure} of {self.label}' if self.label else self.figure


@dataclasses.dataclass(frozen=True)
class Check:
  """Line of the table as text; `message` explains a failure."""

  name: str
  required: str
  actual: str
  value: str
  passed: bool
  message: str


def parse_bounds(
  min_utility: str | None,
  max_leakage: list[str],
  max_ceiling: list[str],
  max_stream: list[str],
) -> list[Bound]:
  """Parses the bounds of the command line.

  Args:
    min_utility: a share, or None for no bound.
    max_leakage: texts `LABEL=SHARE`, or several joined by commas.
    max_ceiling: the same.
    max_stream: texts `WINDOWS:LABEL=SHARE`, or several joined by commas.

  Raises:
    UserError: a text has another form, a share is not from 0 to 1, a label
      has two bounds, or there is no bound at all.
  """
  bounds = []
  if min_utility is not None:
    share = _parse_share('--min-utility', min_utility)
    bounds.append(Bound(UTILITY, '', share))
  for figure, texts in (
    (LEAKAGE, max_leakage),
    (CEILING, max_ceiling),
    (STREAM, max_stream),
  ):
    flag = f'--max-{figure}'
    for text in (part for value in texts for part in value.split(',')):
      left, _, share = text.strip().rpartition('=')
      windows, label = '1', left
      if figure == STREAM:
        windows, _, label = left.partition(':')
      # More digits are no number of windows, and `int` refuses thousands.
      if not label or not re.fullmatch(r'[1-9][0-9]{0,8}', windows):
        form = 'WINDOWS:LABEL=SHARE' if figure == STREAM else 'LABEL=SHARE'
        raise errors.UserError(f'{flag}: {text!r} is not {form}.')
      share = _parse_share(f'{flag}={left}', share)
      bound = Bound(figure, label, share, int(windows))
      if bound.name in [b.name for b in bounds]:
        raise errors.UserError(f'{flag} bounds {label!r} twice.')
      bounds.append(bound)
  if not bounds:
    raise errors.UserError(
      'no bound; give --min-utility, --max-leakage, --max-ceiling or'
      ' --max-stream.'
    )
  return bounds


def _parse_share(where: str, text: str) -> float:
  number = text.strip().removesuffix('%')
  try:
    share = float(number)
  except ValueError:
    share = float('nan')
  if number == text.strip() and 0 <= share <= 1:
    return share
  hint = f'; for {share:g} % write {share / 100:g}' if 0 <= share <= 100 else ''
  raise errors.UserError(f'{where}: {text!r} is not a share from 0 to 1{hint}.')


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Reads the `metrics.json` of a study or an audit.

  Raises:
    UserError: the file is missing, is not JSON, or lacks a needed entry.
  """
  path = workdir / 'metrics.json'
  try:
    metrics = json.loads(path.read_text(encoding='utf-8'))
  except OSError as e:
    raise errors.UserError(f'could not read {path}: {e.strerror}.') from e
  except ValueError as e:
    raise errors.UserError(f'{path} is damaged: {e}.') from e
  match metrics:
    case {'rows': [_, *_] as rows, 'failed_controls': list()}:
      leakage = [isinstance(r, dict) and r.get(LEAKAGE) for r in rows]
      if all(isinstance(figures, dict) for figures in leakage):
        return metrics
  raise errors.UserError(
    f'{path} is damaged: it needs `failed_controls` and `rows` with `leakage`.'
  )


def pick(
  metrics: dict[str, Any], split_point: str | None, embedding: str | None
) -> dict[str, Any]:
  """Returns the named row, else the recommended one, else the only one.

  Raises:
    UserError: a name is unknown, or no row is named, recommended or the only
      one.
  """
  rows = {}
  for row in metrics['rows']:
    by_embedding = rows.setdefault(str(row.get('split_point')), {})
    by_embedding[str(row.get('embedding'))] = row
  if (split_point is None) != (embedding is None):
    raise errors.UserError('--split_point and --embedding go together.')
  if split_point is None:
    named = metrics.get('recommended')
    if not named and len(metrics['rows']) == 1:
      named = metrics['rows'][0]
    if not isinstance(named, dict):
      raise errors.UserError(
        'metrics.json recommends no row; give --split_point and --embedding.'
      )
    split_point = str(named.get('split_point'))
    embedding = str(named.get('embedding'))
  errors.check_known('split point', split_point, rows)
  errors.check_known('embedding', str(embedding), rows[split_point])
  return rows[split_point][str(embedding)]


def of_strangers(
  metrics: dict[str, Any], row: dict[str, Any]
) -> dict[str, Any]:
  """Returns the figures of people whom the network never saw, as a row.

  Args:
    metrics: see `read`.
    row: the row of the same split point and embedding; see `pick`.

  Raises:
    UserError: there are no figures of strangers, or none for this row.
  """
  strangers = metrics.get('strangers')
  by_embedding = (strangers or {}).get('embeddings')
  if not strangers or not by_embedding:
    raise errors.UserError(
      'metrics.json has no figures of strangers; the data need a label of'
      ' people, and the study its stages strangers and report.'
    )
  name = str(row.get('embedding'))
  errors.check_known(
    'split point of strangers',
    str(row.get('split_point')),
    [str(strangers.get('split_point'))],
  )
  errors.check_known('embedding of strangers', name, by_embedding)
  return {
    'split_point': row.get('split_point'),
    'embedding': f'{name} strangers',
    **by_embedding[name],
  }


def check(
  metrics: dict[str, Any], row: dict[str, Any], bounds: list[Bound]
) -> list[Check]:
  """Checks each bound, and at the end the study's controls.

  Raises:
    UserError: a label is unknown, or `row` lacks a figure that has a bound.
  """
  failed = metrics['failed_controls']
  actual = f'{len(failed)} failed' if failed else 'none failed'
  message = f'controls: {" ".join(map(str, failed))}'
  controls = Check('controls', 'none failed', actual, '', not failed, message)
  return [*(_check(row, bound) for bound in bounds), controls]


def _check(row: dict[str, Any], bound: Bound) -> Check:
  is_minimum = bound.figure == UTILITY
  end, sign = ('low', '>=') if is_minimum else ('high', '<=')
  value, limit = (_share(row, bound, key) for key in ('value', end))
  excess = bound.share - limit if is_minimum else limit - bound.share
  passed = round(excess, _DECIMALS) <= 0
  text = '{:.4f}'.format
  if not passed and text(limit) == text(bound.share):
    text = f'{{:.{_DECIMALS}f}}'.format  # Equal texts would hide the reason.
  required, actual = f'{sign} {text(bound.share)}', text(limit)
  message = f'{bound.name}: its {end} end is {actual}, required is {required}.'
  return Check(bound.name, required, actual, f'{value:.4f}', passed, message)


def _share(row: dict[str, Any], bound: Bound, key: str) -> float:
  """Returns `value`, `low` or `high` of the figure that has a bound."""
  figures = row.get(LEAKAGE if bound.figure == STREAM else bound.figure)
  if bound.figure == UTILITY and not figures:
    raise errors.UserError(
      f'{point(row)} has no utility, since it was an audit of vectors; leave'
      ' --min-utility out.'
    )
  if bound.label:
    # The leakage has all labels; a ceiling may be missing.
    errors.check_known(f'{bound.figure} label', bound.label, row[LEAKAGE])
    figures = figures.get(bound.label) if isinstance(figures, dict) else None
  if bound.figure == STREAM and isinstance(figures, dict):
    curves = figures.get('by_windows')
    curve = curves.get('class') if isinstance(curves, dict) else None
    curve = curve if isinstance(curve, dict) else {}
    known = sorted(curve, key=lambda k: (len(k), k))  # 2 before 16.
    errors.check_known('number of windows', str(bound.windows), known)
    figures = curve[str(bound.windows)]
  if bound.figure == CEILING and not figures:
    raise errors.UserError(
      f'{point(row)} has no ceiling for {bound.label!r}; run the attack stage'
      ' of hybrid-jax study with ceilings on, and its report stage.'
    )
  share: Any = figures.get(key) if isinstance(figures, dict) else None
  if type(share) not in (int, float) or not 0 <= share <= 1:
    raise errors.UserError(
      f'metrics.json is damaged: {key!r} of the {bound.name} of {point(row)} is'
      f' {share!r}, not a share from 0 to 1.'
    )
  return float(share)


def point(row: dict[str, Any]) -> str:
  """Returns the name of a row: `dense1 noisy_reduced_siamese`."""
  return f'{row.get("split_point")} {row.get("embedding")}'


def terminal(row: dict[str, Any], checks: list[Check]) -> str:
  """Formats the table of all checks, with the failures below it."""
  out = rich.table.Table(title=f'{point(row)}, shares from 0 to 1')
  out.add_column('bound', overflow='fold')
  for header in ('required', 'pessimistic end', 'value'):
    out.add_column(header, justify='right')
  out.add_column('')
  for c in checks:
    verdict = 'pass' if c.passed else 'FAIL'
    out.add_row(c.name, c.required, c.actual, c.value, verdict)
  return progress.render_text(out) + ''.join(
    f'FAIL: {c.message}\n' for c in checks if not c.passed
  )


def write_junit(
  path: pathlib.Path, row: dict[str, Any], checks: list[Check]
) -> None:
  """Writes JUnit XML with one test case for each check."""
  suite = junitparser.TestSuite(f'privacy gate: {point(row)}')
  for c in checks:
    case = junitparser.TestCase(c.name, point(row).replace(' ', '.'), 0)
    if not c.passed:
      case.result = junitparser.Failure(c.message, 'bound')
    suite.add_testcase(case)
  xml = junitparser.JUnitXml()
  xml.add_testsuite(suite)
  xml.update_statistics()
  with files.atomic_write(path) as temporary:
    xml.write(str(temporary))
