"""Kinds of tables of the pages: figures of docs/results as Markdown.

`TABLES` has the kinds.
"""

import re
from collections.abc import Callable
from typing import Any

from hybrid_jax import errors
from hybrid_jax.report import bench_plots, style, tables

_INTERVAL = re.compile(r'\d[\d.]* \[[\d., ]+\]')


def _markdown(columns: list[str], rows: list[list[str]]) -> str:
  lines = [columns, ['---'] * len(columns), *rows]
  table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
  # An interval is not broken into lines.
  return _INTERVAL.sub(lambda m: m[0].replace(' ', '\N{NO-BREAK SPACE}'), table)


def text(data: dict[str, Any], table: str) -> str:
  """Returns a table whose cells the file has as text."""
  return _markdown(
    data['tables'][table]['columns'], data['tables'][table]['rows']
  )


def study(
  data: dict[str, Any], cut: str = '', ceiling: str = '', recordings: str = ''
) -> str:
  """Returns the rows and controls of a study, in per cent.

  Args:
    data: what `summary.summarize` returns.
    cut: the split point of all rows; by default all, with a column for it.
    ceiling: the label whose ceiling has a column; by default none has.
    recordings: `no` leaves out the accuracy by recording, where each example is
      its own.
  """
  rows = [r for r in data['rows'] if cut in ('', r['split_point'])]
  labels = list(rows[0]['leakage'])
  lines = [
    _line(r['split_point'], title_of(data, r['embedding']), r, labels, ceiling)
    for r in rows
  ]
  lines.append(_chance(rows[0], labels, ceiling))
  for name, control in data['controls'].items():
    title = f'*control: {style.CONTROLS[name]}*'
    lines.append(_line('', title, control, labels, ceiling))
  columns = ['cut', 'released', 'numbers', 'utility']
  for label in labels:
    columns += [f'{_words(label)} found', 'by recording']
    columns += ['ceiling'] if label == ceiling else []
  # Columns without content are left out, as those of measures not taken.
  kept = [i for i in range(len(columns)) if any(line[i] for line in lines)]
  left_out = ['cut'] * bool(cut) + ['by recording'] * (recordings == 'no')
  kept = [i for i in kept if columns[i] not in left_out]
  return _markdown(
    [columns[i] for i in kept], [[line[i] for i in kept] for line in lines]
  )


def _line(cut, title, row, labels, ceiling):
  line = [cut, title, str(row.get('dim', '')), _figures(row.get('utility'))]
  for label in labels:
    figures = row['leakage'][label]
    line += [_figures(figures), _figures(figures.get('per_recording'))]
    if label == ceiling:
      line.append(tables.ceiling(row.get('ceiling', {}).get(label), '100'))
  return line


def _chance(row, labels, ceiling):
  line = ['', '*chance*', '', tables.share(row['utility']['chance'])]
  for label in labels:
    figures = row['leakage'][label]
    recording = figures.get('per_recording', {})
    line.append(tables.share(figures['chance']))
    line.append(tables.share(recording['chance']) if recording else '')
    line += [''] if label == ceiling else []
  return line


def _figures(figures):
  if not figures:
    return ''
  return (
    tables.percent(figures)
    if 'low' in figures
    else tables.share(figures['value'])
  )


def title_of(data: dict[str, Any], embedding: str) -> str:
  """Returns the title of an embedding of a study."""
  embeddings = data['config']['release']['embeddings']
  return style.title_of({**embeddings[embedding], 'embedding': embedding})


def _words(label):
  return label.replace('_', ' ')


def strangers(
  data: dict[str, Any], label: str = '', recordings: str = ''
) -> str:
  """Returns the figures of strangers beside those of the people of training.

  Args:
    data: what `summary.summarize` returns, of a study with strangers.
    label: the sensitive label that is found; by default that of people.
    recordings: `no` leaves out the accuracy by recording, where each example is
      its own.
  """
  label = label or data['strangers']['label']
  pairs = _seen_and_strangers(data)
  lines = [
    [
      title_of(data, name),
      *_beside(_line('', '', row, [label], label)[3:] for row in pair),
    ]
    for name, *pair in pairs
  ]
  answers = data['strangers'].get('controls', {}).get('decision')
  if answers:
    pair = data['controls']['decision'], answers
    lines.append(
      [
        f'*{style.CONTROLS["decision"]}*',
        *_beside(_line('', '', row, [label], label)[3:] for row in pair),
      ]
    )
  _, *pair = pairs[0]
  lines.append(
    ['*chance*', *_beside(_chance(row, [label], label)[3:] for row in pair)]
  )
  columns = ['released']
  for name in ('utility', f'{_words(label)} found', 'by recording', 'ceiling'):
    columns += [name, 'strangers']
  if recordings == 'no':
    place = columns.index('by recording')
    for line in (columns, *lines):
      del line[place : place + 2]
  return _markdown(columns, lines)


def _seen_and_strangers(data):
  """Each embedding with its figures of seen people, and of strangers."""
  unseen = data['strangers']
  return [
    (row['embedding'], row, unseen['embeddings'][row['embedding']])
    for row in data['rows']
    if row['split_point'] == unseen['split_point']
    and row['embedding'] in unseen['embeddings']
  ]


def _beside(lines):
  """The cells of two lines: the first of both, the second of both, ..."""
  return [cell for pair in zip(*lines, strict=True) for cell in pair]


def attributes(data: dict[str, Any]) -> str:
  """Returns what is found of strangers, of every sensitive label.

  Args:
    data: what `summary.summarize` returns, of a study with strangers.
  """
  rows = [
    (title_of(data, name), figures)
    for name, _, figures in _seen_and_strangers(data)
  ]
  _, first = rows[0]
  labels = list(first['leakage'])
  lines = [_line('', name, figures, labels, '') for name, figures in rows]
  lines.append(_chance(first, labels, ''))
  columns = ['released', 'utility', *_found_columns(labels)]
  return _markdown(columns, [[line[1], *line[3:]] for line in lines])


def _found_columns(labels):
  return [
    column
    for label in labels
    for column in (f'{_words(label)} found', 'by recording')
  ]


def linkage(data: dict[str, Any], cut: str) -> str:
  """Returns the linkage attack against the noise of reduced Siamese features.

  Args:
    data: what `summary.summarize` returns.
    cut: the split point.
  """
  embeddings = data['config']['release']['embeddings']
  rows = [
    row
    for row in data['rows']
    if row['split_point'] == cut
    and embeddings[row['embedding']]['weights'] == 'siamese'
    and 'pca' in embeddings[row['embedding']].get('mechanisms', ())
  ]
  rows.sort(key=lambda row: row['relative_noise'])
  ranks = [row['ranks']['linkage'] for row in rows]
  return _markdown(
    ['ours: noise', *(f'{row["relative_noise"]:g}' for row in rows)],
    [
      ['accuracy %', *(tables.share(row['utility']['value']) for row in rows)],
      ['mean rank %', *(_two_digits(r['mean_rank']) for r in ranks)],
      ['top-1 %', *(_two_digits(r['top1']) for r in ranks)],
    ],
  )


def _two_digits(figures):
  value = 100 * figures['value']
  return f'{value:.0f}' if value >= 10 else f'{value:.2g}'


def rebuilt(data: dict[str, Any], label: str = '') -> str:
  """Returns how similar rebuilt images are, and whether a label is recognised.

  Args:
    data: what `summary.summarize` returns, of a study of images.
    label: the label that is recognised: the area under the ROC curve. By
      default it is left out.
  """
  rows = [r for r in data['rows'] if 'reconstruction' in r]
  if not rows or (label and not any(_recognition(r, label) for r in rows)):
    what = f'recognition of {label}' if label else 'reconstruction'
    raise errors.UserError(f'no row of the study has a {what}.')
  attacks = list(dict.fromkeys(n for r in rows for n in r['reconstruction']))
  matched = list(dict.fromkeys(n for r in rows for n in _recognition(r, label)))
  lines = []
  for row in rows:
    similar, found = row['reconstruction'], _recognition(row, label)
    lines.append(
      [
        row['split_point'],
        title_of(data, row['embedding']),
        *(
          tables.plain(similar[n]['ssim']) if n in similar else '–'
          for n in attacks
        ),
        *(
          tables.percent(found[n]['auc']) if n in found else '–'
          for n in matched
        ),
      ]
    )
  columns = ['cut', 'released', *(f'SSIM, {name}' for name in attacks)]
  columns += [f'{_words(label)} recognised, {name}' for name in matched]
  return _markdown(columns, lines)


def _recognition(row, label):
  return row.get('recognition', {}).get(label, {})


def seeds(
  studies: list[dict[str, Any]], cut: str = '', people: str = ''
) -> str:
  """Returns the mean over seeds of each figure, and the least and the most.

  The last row is chance, which all seeds share.

  Args:
    studies: what `summary.summarize` returns, of one config with other seeds.
    cut: the split point of all rows; by default the last one.
    people: `strangers` for the figures of people whom the network never saw.

  Raises:
    UserError: two studies have one seed, other rows or chances, or no such
      rows; or `people` is another word, or given with `cut`.
  """
  errors.check_known('people of a table of seeds', people, ('', 'strangers'))
  numbers = [data['config']['seed'] for data in studies]
  if len(set(numbers)) < len(numbers):
    raise errors.UserError(f'the seeds are {numbers}; they must differ.')
  if cut and people:
    raise errors.UserError('strangers are at one split point; leave out cut.')
  by_embedding: list[dict[str, Any]] = []
  for data in studies:
    chosen = cut or data['rows'][-1]['split_point']
    rows = {
      r['embedding']: r for r in data['rows'] if r['split_point'] == chosen
    }
    if people == 'strangers':
      unseen = data.get('strangers', {}).get('embeddings', {})
      rows = {name: unseen[name] for name in rows if name in unseen}
    by_embedding.append(rows)
  names = list(by_embedding[0])
  if not names:
    raise errors.UserError(f'there are no rows of {people or cut!r}.')
  if any(list(rows) != names for rows in by_embedding):
    raise errors.UserError('the studies of the seeds have other rows.')
  labels = list(by_embedding[0][names[0]]['leakage'])
  lines = []
  for name in names:
    rows = [each[name] for each in by_embedding]
    line = [title_of(studies[0], name), _spread([r['utility'] for r in rows])]
    for label in labels:
      found = [row['leakage'][label] for row in rows]
      line += [_spread(found), _spread([f['per_recording'] for f in found])]
    lines.append(line)
  chances = [
    _chance(row, labels, '')[3:]
    for rows in by_embedding
    for row in rows.values()
  ]
  if any(chance != chances[0] for chance in chances):
    raise errors.UserError('the studies of the seeds have other chances.')
  lines.append(['*chance*', *chances[0]])
  columns = ['released', f'utility, seeds {", ".join(map(str, numbers))}']
  columns += _found_columns(labels)
  return _markdown(columns, lines)


def _spread(figures):
  values = [f['value'] for f in figures]
  mean = sum(values) / len(values)
  ends = [tables.share(end) for end in (min(values), max(values))]
  return f'{tables.share(mean)} ({" to ".join(ends)})'


def defences(data: dict[str, Any]) -> str:
  """Returns each method of a grid at its operating point, in per cent."""
  rivals = data['rivals']
  rows = []
  for method, point in rivals['matched'].items():
    if point is None:
      rows.append([method, '', 'never reached', *[''] * 3])
      continue
    row = next(
      r
      for r in rivals['table']
      if (r['method'], r['noise']) == (method, point['noise'])
    )
    rows.append(
      [
        method.replace('_', ' '),
        f'{row["noise"]:g}',
        tables.percent(row['utility']),
        *map(tables.percent, row['leakage'].values()),
        tables.percent(row['advantage']),
        tables.percent(rivals['hypervolume'][method]),
      ]
    )
  found = [f'{_words(name)} found' for name in rivals['table'][0]['leakage']]
  return _markdown(
    ['method', 'noise', 'utility', *found, 'advantage', 'hypervolume'], rows
  )


def bench(data: dict[str, Any]) -> str:
  """Returns the rows of `launch.bench --out`."""
  return bench_plots.markdown(data['rows'])


def origin(data: dict[str, Any]) -> str:
  """Returns a sentence about where the figures are from."""
  o = data['origin']
  if 'note' in o:
    return (
      f'*These figures are of an earlier version ({o["version"]}):'
      f' {o["note"]}.*'
    )
  packages = ', '.join(f'{k} {v}' for k, v in o['packages'].items())
  cores = 'core' if o['cores'] == 1 else 'cores'
  return (
    f'*Version {o["version"]}, commit {o["commit"]}, {o["date"]}: seed'
    f' {data["config"]["seed"]}, {o["seconds"] / 60:.0f} minutes on'
    f' {o["cores"]} {cores} ({o["processor"]}), Python {o["python"]},'
    f' {packages}.*'
  )


TABLES: dict[str, Callable[..., str]] = {
  f.__name__: f
  for f in (
    attributes,
    bench,
    defences,
    linkage,
    origin,
    rebuilt,
    seeds,
    strangers,
    study,
    text,
  )
}
