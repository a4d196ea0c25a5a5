"""Writes the figures of README.md and docs/*.md from docs/results/*.json.

    python docs/generate.py           # rewrites the pages and the plot
    python docs/generate.py --check   # changes nothing; fails if a page differs

A page marks what is generated:

    <!-- table: KIND FILE OPTION=VALUE ... -->
    <!-- end -->

and, inside a sentence but not at the start of a line,

    <!-- value: FILE KEY KEY ... -->13.8<!-- end -->

KIND is a function of `TABLES`. FILE is a file of docs/results without its
suffix; of the kind `seeds`, several with commas between them. A key may be a
row of a study, as `dense1/bounded`. A number below `rows`, `controls` or
`strangers` is shown in per cent, and figures with an interval with it.
`hybrid-jax results` writes the file of a study.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import PIL.Image
import PIL.PngImagePlugin

from hybrid_jax import errors
from hybrid_jax.report import bench_plots, plots, style, tables

ROOT = pathlib.Path(__file__).parents[1]
PLOT = 'docs/trade_off.png'

_TABLE = re.compile(
  r'^<!-- table: (.*?) -->\n(.*?)^<!-- end -->$', re.MULTILINE | re.DOTALL
)
_VALUE = re.compile(r'<!-- value: ([^>]*?) -->(.*?)<!-- end -->', re.DOTALL)
_FENCE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
# A per cent, or an interval of two numbers.
_FIGURE = re.compile(r'\d\s?%|\[\d[\d.]*, ?\d[\d.]*\]')
_INTERVAL = re.compile(r'\d[\d.]* \[[\d., ]+\]')
_CONFIDENCE = re.compile(r'\b(95|97\.5) %')
_CONTROLS = {
  'raw': 'raw input',
  'decision': 'the answer alone',
  'noise': 'pure noise',
}


def pages(root: pathlib.Path) -> list[pathlib.Path]:
  """Returns the pages of the documentation."""
  return [root / 'README.md', *sorted((root / 'docs').glob('*.md'))]


def generate(page: str, results: pathlib.Path) -> str:
  """Returns a page with its figures.

  Args:
    page: the Markdown text.
    results: the folder of the JSON files.

  Raises:
    UserError: a marker names something unknown, is damaged, or a value stands
      at the start of a line, where Markdown takes the line for HTML.
  """
  for line in page.splitlines():
    if line.lstrip().startswith('<!-- value:'):
      raise errors.UserError(f'{line!r} begins with a value; move it.')
  page = _TABLE.sub(lambda m: _table(m[1], results), page)
  page = _VALUE.sub(lambda m: _value(m[1], results), page)
  begun = len(re.findall(r'<!-- (?:table|value):', page))
  if begun != page.count('<!-- end -->'):
    raise errors.UserError('a marker has no <!-- end -->, or is no marker.')
  return page


def typed_figures(page: str) -> Iterator[str]:
  """Yields the lines that have a figure outside of every generated region.

  A figure is a number in per cent or an interval; the confidence of intervals
  is none.
  """
  page = _FENCE.sub('', page)
  page = _VALUE.sub('', _TABLE.sub('', page))
  for line in page.splitlines():
    if _FIGURE.search(_CONFIDENCE.sub('', line)):
      yield line


def _table(text: str, results: pathlib.Path) -> str:
  kind, name, *options = text.split()
  errors.check_known('kind of table', kind, TABLES)
  named = {o.partition('=')[0]: o.partition('=')[2] for o in options}
  if kind == 'seeds':
    lines = seeds([_read(results, each) for each in name.split(',')], **named)
  else:
    lines = TABLES[kind](_read(results, name), **named)
  return f'<!-- table: {text} -->\n\n{lines}\n\n<!-- end -->'


def _value(text: str, results: pathlib.Path) -> str:
  name, *keys = text.split()
  value: Any = _read(results, name)
  share = keys[0] in ('rows', 'controls', 'strangers')
  for key in keys:
    if isinstance(value, list):
      value = {f'{r["split_point"]}/{r["embedding"]}': r for r in value}
    errors.check_known(f'key of {name}.json', key, value)
    value = value[key]
  shown = str(value)
  group = isinstance(value, list) or (
    isinstance(value, dict) and not {'value', 'low', 'high'} <= value.keys()
  )
  if group:
    raise errors.UserError(f'{text!r} ends at a group of figures, not at one.')
  if share:
    interval = isinstance(value, dict)
    shown = tables.percent(value) if interval else tables.share(value)
  return f'<!-- value: {text} -->{shown}<!-- end -->'


def _read(results: pathlib.Path, name: str) -> dict[str, Any]:
  known = sorted(path.stem for path in results.glob('*.json'))
  errors.check_known('file of docs/results', name, known)
  return json.loads((results / f'{name}.json').read_text())


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
    _line(r['split_point'], _title(data, r['embedding']), r, labels, ceiling)
    for r in rows
  ]
  lines.append(_chance(rows[0], labels, ceiling))
  for name, control in data['controls'].items():
    title = f'*control: {_CONTROLS[name]}*'
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


def _title(data, embedding):
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
  unseen = data['strangers']
  label = label or unseen['label']
  pairs = [
    (row, unseen['embeddings'][row['embedding']])
    for row in data['rows']
    if row['split_point'] == unseen['split_point']
    and row['embedding'] in unseen['embeddings']
  ]
  lines = [
    [_title(data, seen['embedding']), *_beside(seen, other, label)]
    for seen, other in pairs
  ]
  seen, other = pairs[0]
  chance = []
  for name in (None, label):
    for row in (seen, other):
      figures = row['utility'] if name is None else row['leakage'][name]
      chance.append(tables.share(figures['chance']))
  chance += [
    tables.share(row['leakage'][label]['per_recording']['chance'])
    for row in (seen, other)
  ]
  lines.append(['*chance*', *chance, '', ''])
  columns = ['released']
  for name in ('utility', f'{_words(label)} found', 'by recording', 'ceiling'):
    columns += [name, 'strangers']
  if recordings == 'no':
    place = columns.index('by recording')
    for line in (columns, *lines):
      del line[place : place + 2]
  return _markdown(columns, lines)


def _beside(seen, other, label):
  """The cells of one embedding: each figure, and that of strangers."""
  found = [row['leakage'][label] for row in (seen, other)]
  return [
    *(_figures(row['utility']) for row in (seen, other)),
    *map(_figures, found),
    *(_figures(f['per_recording']) for f in found),
    *(
      tables.ceiling(row.get('ceiling', {}).get(label), '100')
      for row in (seen, other)
    ),
  ]


def attributes(data: dict[str, Any]) -> str:
  """Returns what is found of strangers, of every sensitive label.

  Args:
    data: what `summary.summarize` returns, of a study with strangers.
  """
  by_embedding = data['strangers']['embeddings']
  names = [
    r['embedding']
    for r in data['rows']
    if r['split_point'] == data['strangers']['split_point']
    and r['embedding'] in by_embedding
  ]
  labels = list(by_embedding[names[0]]['leakage'])
  lines = [
    _line('', _title(data, name), by_embedding[name], labels, '')
    for name in names
  ]
  lines.append(_chance(by_embedding[names[0]], labels, ''))
  columns = ['released', 'utility']
  for label in labels:
    columns += [f'{_words(label)} found', 'by recording']
  return _markdown(columns, [[line[1], *line[3:]] for line in lines])


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
        _title(data, row['embedding']),
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
    line = [_title(studies[0], name), _spread([r['utility'] for r in rows])]
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
  for label in labels:
    columns += [f'{_words(label)} found', 'by recording']
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


def draws_plot(data: dict[str, Any]) -> bool:
  """Returns whether a study has what its plot needs: a recommended row."""
  return 'recommended' in data


def digest(data: dict[str, Any]) -> str:
  """Returns the hash of a study's figures, which its plot carries."""
  shown = {k: data[k] for k in ('rows', 'controls', 'recommended')}
  return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def plot_digest(path: pathlib.Path) -> str:
  """Returns the hash of the figures that a plot was drawn from."""
  with PIL.Image.open(path) as image:
    return image.info.get('digest', '')


def draw_plot(data: dict[str, Any], path: pathlib.Path) -> None:
  """Draws utility against leakage, as a PNG that carries its `digest`."""
  table = [
    {**row, 'title': _title(data, row['embedding'])} for row in data['rows']
  ]
  attribute = next(iter(table[0]['leakage']))
  figure = plots.trade_off(
    table, data['controls'], data['recommended'], attribute
  )
  bench_plots.write_plot(figure, path)
  text = PIL.PngImagePlugin.PngInfo()
  text.add_text('digest', digest(data))
  with PIL.Image.open(path) as image:
    image.convert('P', palette=PIL.Image.Palette.ADAPTIVE, colors=128).save(
      path, pnginfo=text, optimize=True
    )


def main(root: pathlib.Path, check: bool) -> list[str]:
  """Writes or checks all pages and the plot.

  Args:
    root: the folder of README.md and docs.
    check: whether to change nothing.

  Returns:
    What differs, one line each; without `check`, what was written.
  """
  results = root / 'docs/results'
  changed = []
  for path in pages(root):
    before = path.read_text()
    try:
      after = generate(before, results)
    except errors.UserError as e:
      raise errors.UserError(f'{path.relative_to(root)}: {e}') from e
    if after != before:
      changed.append(f'{path.relative_to(root)}')
      if not check:
        path.write_text(after)
  watch = _read(results, 'watch')
  if draws_plot(watch) and plot_digest(root / PLOT) != digest(watch):
    changed.append(PLOT)
    if not check:
      draw_plot(watch, root / PLOT)
  return changed


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
  parser.add_argument('--check', action='store_true', help='change nothing')
  arguments = parser.parse_args()
  try:
    changed = main(ROOT, arguments.check)
  except errors.UserError as e:
    sys.exit(f'error: {e}')
  for name in changed:
    print(
      f'{name} {"differs from" if arguments.check else "written from"} its'
      ' data in docs/results'
    )
  sys.exit(1 if arguments.check and changed else 0)
