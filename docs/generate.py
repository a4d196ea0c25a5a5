"""Writes the figures of README.md and docs/*.md from docs/results/*.json.

    python docs/generate.py           # rewrites the pages and the plot
    python docs/generate.py --check   # changes nothing; fails if a page differs

A page marks what is generated:

    <!-- table: KIND FILE OPTION=VALUE ... -->
    <!-- end -->

and, inside a sentence but not at the start of a line,

    <!-- value: FILE KEY KEY ... -->13.8<!-- end -->

KIND is a function of page_tables.py. FILE is a file of docs/results without its
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
from collections.abc import Iterator
from typing import Any

import page_tables
import PIL.Image
import PIL.PngImagePlugin

from hybrid_jax import errors
from hybrid_jax.report import bench_plots, plots, tables

ROOT = pathlib.Path(__file__).parents[1]
PLOT = 'docs/trade_off.png'

_TABLE = re.compile(
  r'^<!-- table: (.*?) -->\n(.*?)^<!-- end -->$', re.MULTILINE | re.DOTALL
)
_VALUE = re.compile(r'<!-- value: ([^>]*?) -->(.*?)<!-- end -->', re.DOTALL)
_FENCE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
# A per cent, or an interval of two numbers.
_FIGURE = re.compile(r'\d\s?%|\[\d[\d.]*, ?\d[\d.]*\]')
_CONFIDENCE = re.compile(r'\b(95|97\.5) %')


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
  errors.check_known('kind of table', kind, page_tables.TABLES)
  named = {o.partition('=')[0]: o.partition('=')[2] for o in options}
  if kind == 'seeds':
    lines = page_tables.seeds(
      [_read(results, each) for each in name.split(',')], **named
    )
  else:
    lines = page_tables.TABLES[kind](_read(results, name), **named)
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
  if isinstance(value, dict) and {'value', 'low', 'high'} <= value.keys():
    shown = tables.percent(value)
  elif isinstance(value, dict | list):
    raise errors.UserError(f'{text!r} ends at a group of figures, not at one.')
  else:
    shown = tables.share(value) if share else str(value)
  return f'<!-- value: {text} -->{shown}<!-- end -->'


def _read(results: pathlib.Path, name: str) -> dict[str, Any]:
  known = sorted(path.stem for path in results.glob('*.json'))
  errors.check_known('file of docs/results', name, known)
  return json.loads((results / f'{name}.json').read_text())


def draws_plot(data: dict[str, Any]) -> bool:
  """Returns whether a study has what its plot needs: a recommended row."""
  return 'recommended' in data


def digest(data: dict[str, Any]) -> str:
  """Returns the hash of a study's figures, which its plot carries."""
  shown = {k: data[k] for k in ('rows', 'controls', 'recommended')}
  return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def plot_digest(path: pathlib.Path) -> str:
  """Returns the hash of the figures of a plot; empty if there is no plot."""
  if not path.exists():
    return ''
  with PIL.Image.open(path) as image:
    return image.info.get('digest', '')


def draw_plot(data: dict[str, Any], path: pathlib.Path) -> None:
  """Draws utility against leakage, as a PNG that carries its `digest`."""
  table = [
    {**row, 'title': page_tables.title_of(data, row['embedding'])}
    for row in data['rows']
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
