"""Whether a study's figures stay within bounds, for continuous integration.

An interval's pessimistic end decides, never the value: the low end of the
utility, and the high end of a leakage or a ceiling. All are shares, 0 to 1.
"""

import dataclasses
import json
import pathlib
from typing import Any

import junitparser
import rich.table

from hybrid_jax import errors, files, progress

UTILITY, LEAKAGE, CEILING = 'utility', 'leakage', 'ceiling'
# To this many decimals figures are compared: the last bits of a float, where
# a quantile was interpolated, decide nothing.
_DECIMALS = 9


@dataclasses.dataclass(frozen=True)
class Bound:
  """What a figure must reach or stay below.

  Attributes:
    figure: `UTILITY`, `LEAKAGE` or `CEILING`.
    label: the sensitive label; empty for the utility.
    share: the least utility, or the largest leakage or ceiling, 0 to 1.
  """

  figure: str
  label: str
  share: float

  @property
  def name(self) -> str:
    """`leakage of person`."""
    return f'{self.figure} of {self.label}' if self.label else self.figure


@dataclasses.dataclass(frozen=True)
class Check:
  """A line of the table, as it is shown; `message` says how it failed."""

  name: str
  required: str
  found: str
  value: str
  passed: bool
  message: str


def parse_bounds(
  min_utility: str | None, max_leakage: list[str], max_ceiling: list[str]
) -> list[Bound]:
  """The bounds as the command line has them.

  Args:
    min_utility: a share, or None for no bound.
    max_leakage: texts `LABEL=SHARE`, or several joined by commas.
    max_ceiling: the same.

  Raises:
    UserError: what is not a share of 0 to 1, not `LABEL=SHARE`, or a label
      that has two bounds; and when there is no bound at all.
  """
  bounds = []
  if min_utility is not None:
    share = _parse_share('--min-utility', min_utility)
    bounds.append(Bound(UTILITY, '', share))
  for figure, texts in ((LEAKAGE, max_leakage), (CEILING, max_ceiling)):
    flag = f'--max-{figure}'
    for text in (part for whole in texts for part in whole.split(',')):
      label, _, share = text.strip().rpartition('=')
      if not label:
        raise errors.UserError(f'{flag}: {text!r} is not LABEL=SHARE.')
      bound = Bound(figure, label, _parse_share(f'{flag}={label}', share))
      if bound.name in [b.name for b in bounds]:
        raise errors.UserError(f'{flag} bounds {label!r} twice.')
      bounds.append(bound)
  if not bounds:
    raise errors.UserError(
      'no bound; give --min-utility, --max-leakage or --max-ceiling.'
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
  """A study's or an audit's `metrics.json`.

  Raises:
    UserError: it is not there, is not JSON, or lacks what a gate needs.
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
      if all(isinstance(found, dict) for found in leakage):
        return metrics
  raise errors.UserError(
    f'{path} is damaged: it needs `failed_controls` and `rows` with `leakage`.'
  )


def pick(
  metrics: dict[str, Any], split_point: str | None, embedding: str | None
) -> dict[str, Any]:
  """The row that is named, else the recommended one, else the only one.

  Raises:
    UserError: a name is unknown, or which row is meant is not clear.
  """
  rows = {}
  for row in metrics['rows']:
    there = rows.setdefault(str(row.get('split_point')), {})
    there[str(row.get('embedding'))] = row
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


def check(
  metrics: dict[str, Any], row: dict[str, Any], bounds: list[Bound]
) -> list[Check]:
  """One check for each bound, and one for the study's controls at the end.

  Raises:
    UserError: a label is unknown, or `row` lacks a figure that is bounded.
  """
  failed = metrics['failed_controls']
  found = f'{len(failed)} failed' if failed else 'none failed'
  message = f'controls: {" ".join(map(str, failed))}'
  controls = Check('controls', 'none failed', found, '', not failed, message)
  return [*(_check(row, bound) for bound in bounds), controls]


def _check(row: dict[str, Any], bound: Bound) -> Check:
  least = bound.figure == UTILITY
  end, sign = ('low', '>=') if least else ('high', '<=')
  value, found = (_share(row, bound, key) for key in ('value', end))
  short = bound.share - found if least else found - bound.share
  passed = round(short, _DECIMALS) <= 0
  text = '{:.4f}'.format
  if not passed and text(found) == text(bound.share):
    text = f'{{:.{_DECIMALS}f}}'.format  # So that one sees why.
  required, shown = f'{sign} {text(bound.share)}', text(found)
  message = f'{bound.name}: its {end} end is {shown}, required is {required}.'
  return Check(bound.name, required, shown, f'{value:.4f}', passed, message)


def _share(row: dict[str, Any], bound: Bound, key: str) -> float:
  """The figure's `value`, `low` or `high`, which must be a share."""
  figures = row.get(bound.figure)
  if bound.figure == UTILITY and not figures:
    raise errors.UserError(
      f'{point(row)} has no utility, as an audit of vectors has none; leave'
      ' --min-utility out.'
    )
  if bound.label:
    # Known by their leakage, since a ceiling may be missing.
    errors.check_known(f'{bound.figure} label', bound.label, row[LEAKAGE])
    figures = figures.get(bound.label) if isinstance(figures, dict) else None
  if bound.figure == CEILING and not figures:
    raise errors.UserError(
      f'{point(row)} has no ceiling for {bound.label!r}; run the attack stage'
      ' of launch.study with ceilings on, and its report stage.'
    )
  found: Any = figures.get(key) if isinstance(figures, dict) else None
  if type(found) not in (int, float) or not 0 <= found <= 1:
    raise errors.UserError(
      f'metrics.json is damaged: {key!r} of the {bound.name} of {point(row)} is'
      f' {found!r}, not a share from 0 to 1.'
    )
  return float(found)


def point(row: dict[str, Any]) -> str:
  """`dense1 noisy_reduced_siamese`."""
  return f'{row.get("split_point")} {row.get("embedding")}'


def terminal(row: dict[str, Any], checks: list[Check]) -> str:
  """The table of all checks, and below it what failed."""
  out = rich.table.Table(title=f'{point(row)}, shares from 0 to 1')
  out.add_column('bound', overflow='fold')
  for header in ('required', 'found (pessimistic end)', 'value'):
    out.add_column(header, justify='right')
  out.add_column('')
  for c in checks:
    verdict = 'pass' if c.passed else 'FAIL'
    out.add_row(c.name, c.required, c.found, c.value, verdict)
  return progress.render_text(out) + ''.join(
    f'FAIL: {c.message}\n' for c in checks if not c.passed
  )


def write_junit(
  path: pathlib.Path, row: dict[str, Any], checks: list[Check]
) -> None:
  """Writes JUnit XML, a test case for each check; see `files.atomic_write`."""
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
