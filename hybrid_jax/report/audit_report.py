"""The result of an audit of released vectors, as a table, a page and JSON."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import rich.table

from hybrid_jax import errors, files, progress
from hybrid_jax.report import rows, tables

_SUFFIXES = ('.html', '.json')


@dataclasses.dataclass(frozen=True)
class AuditRow:
  """What the best attacker knows of one sensitive label.

  All figures are from the test fold; the attacker was chosen on validation.
  Shares are from 0 to 1, with 95 % intervals over recordings.

  Attributes:
    label: the name of the sensitive label.
    whose: `'seen'` for people of the training set, or `'strangers'`.
    attacker: the name of the best attacker.
    accuracy: the share of vectors whose label it predicts.
    low: the lower end of the interval of `accuracy`.
    high: the upper end.
    chance: the share of the largest class.
    ceiling: an upper bound on the accuracy of every attacker who sees one
      release, with a confidence of 97.5 %; 1 for most releases without noise,
      `None` where it was not measured.
    by_recording: the accuracy from all vectors of a recording; `None` where the
      recordings are unknown, or the label changes within one.
    tried: the number of attackers that were tried.
  """

  label: str
  whose: str
  attacker: str
  accuracy: float
  low: float
  high: float
  chance: float
  ceiling: float | None
  by_recording: float | None
  tried: int


@dataclasses.dataclass(frozen=True, repr=False)
class AuditReport:
  """The result of an audit.

  `print(report)` shows it as a table, and so does a notebook. `rows` has the
  figures, `to_dict` has all of them, and `save` writes a page.

  Attributes:
    name: the name of the vectors.
    notes: sentences on how the vectors were attacked.
    failed_controls: sentences; where there is one, trust no figure.
    figures: the row of `metrics.json`, with what only the page shows.
    controls: the same for the control `noise`.
    strangers: the leakage, and the ceiling, of people whom the network never
      saw; empty without any.
    without_recordings: the sensitive labels without an accuracy by recording.
    faults: sentences on what is wrong with the vectors.
    copies: how many vectors have a copy in another fold, see
      `datasets.copies`.
  """

  name: str
  notes: tuple[str, ...]
  failed_controls: tuple[str, ...]
  figures: rows.Row = dataclasses.field(hash=False)
  controls: Mapping[str, Any] = dataclasses.field(hash=False)
  strangers: Mapping[str, Any] = dataclasses.field(
    default_factory=dict, hash=False
  )
  without_recordings: tuple[str, ...] = ()
  faults: tuple[str, ...] = ()
  copies: Mapping[str, Any] = dataclasses.field(
    default_factory=dict, hash=False
  )

  @property
  def rows(self) -> list[AuditRow]:
    """One row for each sensitive label, with shares from 0 to 1.

    Where there are strangers, their row follows that of the seen people.
    """
    return [
      _row(label, whose, figures, label not in self.without_recordings)
      for label in self.figures['leakage']
      for whose, figures in self._targets().items()
      if label in figures['leakage']
    ]

  def _targets(self):
    strangers = {'strangers': self.strangers} if self.strangers else {}
    return {'seen': self.figures, **strangers}

  def to_dict(self) -> dict[str, Any]:
    """Returns the content of `metrics.json`; see docs/formats.md."""
    return {
      'rows': [rows.public(self.figures)],
      'controls': {k: rows.public(v) for k, v in self.controls.items()},
      'failed_controls': list(self.failed_controls),
      'strangers': _public_strangers(self.figures, self.strangers),
      'recommended': None,
      'notes': list(self.notes),
      'data': {'faults': list(self.faults), 'copies': dict(self.copies)},
    }

  def save(self, path: str | os.PathLike) -> None:
    """Writes the report to a file, completely or not at all.

    Args:
      path: ends with `.html` for the page of `hybrid-jax audit`, which works
        offline, or with `.json` for the content of `to_dict`. An existing file
        is replaced.

    Raises:
      UserError: the path has another suffix, or cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix not in _SUFFIXES:
      raise errors.UserError(
        f'a report cannot be saved as {str(path)!r}: its suffix is'
        f' {path.suffix!r}; it must be {" or ".join(_SUFFIXES)}.'
      )
    if path.suffix == '.json':
      files.write_json(path, self.to_dict())
      return
    from hybrid_jax.report import page  # Plotly takes a while to import.

    html = page.render_audit(
      self.name,
      self.figures,
      dict(self.controls),
      dict(self.strangers),
      list(self.failed_controls),
      list(self.notes),
      list(self.faults),
    )
    files.write_bytes(path, html.encode())

  def __str__(self) -> str:
    head, *body = self._cells()
    table = rich.table.Table(title=self._title())
    for i, name in enumerate(head):
      table.add_column(
        name, justify='left' if i < 2 else 'right', no_wrap=not i
      )
    for line in body:
      table.add_row(*line)
    failed = [f'FAILED CONTROL: {text}' for text in self.failed_controls]
    faults = [f'fault: {text}' for text in self.faults]
    text = progress.render_text(*failed, *faults, table, *self.notes)
    return '\n'.join(line.rstrip() for line in text.splitlines())

  __repr__ = __str__

  def _repr_html_(self) -> str:
    from hybrid_jax.report import page  # Plotly takes a while to import.

    head, *body = self._cells()
    return page.template('audit_table.html').render(
      title=self._title(),
      failed=self.failed_controls,
      faults=self.faults,
      head=head,
      body=body,
      notes=self.notes,
    )

  def _title(self):
    noise = 'with' if self.figures['sigma'] else 'without'
    return (
      f'{self.name}, {self.figures["dim"]} numbers {noise} noise: accuracy of'
      ' the best attacker, %'
    )

  def _cells(self):
    """Returns the lines of the table, the names of its columns first."""
    table = self.rows
    with_ceiling = any(row.ceiling is not None for row in table)
    with_recordings = any(row.by_recording is not None for row in table)
    head = ['label', 'best attacker', 'accuracy [95 %]', 'chance']
    head += ['ceiling'] * with_ceiling + ['by recording'] * with_recordings
    yield head
    targets = self._targets()
    for row in table:
      figures = targets[row.whose]
      line = [
        f'{row.label}, {row.whose}' if self.strangers else row.label,
        row.attacker,
        tables.percent(figures['leakage'][row.label]),
        tables.share(row.chance),
      ]
      if with_ceiling:
        bound = figures.get('ceiling', {}).get(row.label)
        line.append(tables.ceiling(bound, certain='100.0'))
      if with_recordings:
        found = row.by_recording
        line.append('-' if found is None else tables.share(found))
      yield line


def _public_strangers(row, strangers):
  """The entry `strangers` of `metrics.json`; empty without any."""
  if not strangers:
    return {}
  return {
    'split_point': row['split_point'],
    'embeddings': {
      row['embedding']: {'utility': None} | rows.public(dict(strangers))
    },
  }


def _row(label, whose, figures, with_recordings):
  leakage = figures['leakage'][label]
  ceiling = figures.get('ceiling', {}).get(label, {})
  return AuditRow(
    label=label,
    whose=whose,
    attacker=leakage['adversary'],
    accuracy=leakage['value'],
    low=leakage['low'],
    high=leakage['high'],
    chance=leakage['chance'],
    ceiling=ceiling.get('high'),
    by_recording=leakage['per_recording']['value'] if with_recordings else None,
    tried=leakage['tried'],
  )
