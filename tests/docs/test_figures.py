"""Every figure of a page comes from a file."""

import json
import re
import shutil
import subprocess
import sys

import generate
import page_tables
import PIL.Image
import pytest

from hybrid_jax import errors, files
from hybrid_jax.study import summary
from tests import studies

PAGES = [
  str(path.relative_to(studies.ROOT)) for path in generate.pages(studies.ROOT)
]


@pytest.fixture
def copy(tmp_path):
  (tmp_path / 'docs').mkdir()
  for name in (*PAGES, generate.PLOT):
    shutil.copy(studies.ROOT / name, tmp_path / name)
  shutil.copytree(studies.ROOT / 'docs/results', tmp_path / 'docs/results')
  return tmp_path


def test_the_pages_show_what_their_files_hold():
  assert generate.main(studies.ROOT, check=True) == []


@pytest.mark.parametrize('page', PAGES)
def test_no_figure_is_typed(page):
  text = (studies.ROOT / page).read_text()
  assert list(generate.typed_figures(text)) == []


@pytest.mark.parametrize(
  ('page', 'figure'),
  [
    ('README.md', r'\| (\d+\.\d)\s\['),  # a table's
    ('docs/results.md', r'-->(\d+\.\d)<'),  # a sentence's
    ('docs/speed.md', r'\| (\d+\.\d+) \|'),
  ],
)
def test_a_wrong_figure_is_noticed_and_mended(copy, page, figure):
  path = copy / page
  text = path.read_text()
  match = re.search(figure, text)
  last = match.end(1) - 1
  wrong = str((int(text[last]) + 1) % 10)
  path.write_text(text[:last] + wrong + text[last + 1 :])
  assert generate.main(copy, check=True) == [page]
  assert generate.main(copy, check=False) == [page]
  assert path.read_text() == text


def test_a_changed_result_is_noticed(copy):
  path = copy / 'docs/results/digits.json'
  text = path.read_text()
  path.write_text(re.sub(r'"value": 0\.(\d)', r'"value": 0.\g<1>9', text))
  assert path.read_text() != text
  assert generate.main(copy, check=True) == ['docs/results.md']


@pytest.mark.parametrize(
  'line',
  [
    'The person was found in 12.3 % of windows.',
    '| bounded | 97.3 [95.6, 98.7] |',
    'The utility is 97%.',
  ],
)
def test_a_typed_figure_is_noticed(line):
  page = f'# Page\n\nIntervals of 95 % confidence.\n{line}\n'
  assert list(generate.typed_figures(page)) == [line]
  assert list(generate.typed_figures(f'```\n{line}\n```\n')) == []


@pytest.mark.parametrize(
  ('page', 'parts'),
  [
    ('<!-- table: studdy watch -->\n<!-- end -->', ["'studdy'", 'study']),
    ('<!-- table: study wach -->\n<!-- end -->', ["'wach'", 'watch']),
    ('<!-- table: seeds watch,wach -->\n<!-- end -->', ["'wach'", 'watch']),
    ('a <!-- value: watch rows x/y -->1<!-- end -->', ["'x/y'", 'dense1']),
    (
      'a <!-- value: watch rows dense1/simple leakage -->1<!-- end -->',
      ['ends at'],
    ),
    ('a <!-- value: watch config seed -->1', ['no <!-- end -->']),
    ('<!-- value: watch config seed -->1<!-- end -->', ['begins with']),
  ],
)
def test_a_wrong_marker_is_one_line(page, parts):
  with pytest.raises(errors.UserError) as caught:
    generate.generate(page, studies.ROOT / 'docs/results')
  for part in parts:
    assert part in str(caught.value)


def test_figures_with_an_interval_are_shown_with_it(tmp_path):
  files.write_json(tmp_path / 'watch.json', _data())
  keys = 'watch strangers embeddings bounded leakage person'
  for end, shown in (('', '45.0 [35.0, 55.0]'), (' chance', '30.0')):
    begin = f'found in <!-- value: {keys}{end} -->'
    page = generate.generate(f'{begin}x<!-- end -->', tmp_path)
    page = page.replace('\N{NO-BREAK SPACE}', ' ')
    assert page == f'{begin}{shown}<!-- end -->'


def test_the_plot_carries_the_figures_it_shows(tmp_path):
  data = json.loads((studies.ROOT / 'docs/results/watch.json').read_text())
  data['recommended'] = {'split_point': 'dense1', 'embedding': 'snapped'}
  for row in data['rows']:
    row['leakage']['person'].setdefault('adversary', 'majority guess')
  path = tmp_path / 'plot.png'
  if not generate.bench_plots.browser():
    pytest.skip('no Chromium draws it')
  generate.draw_plot(data, path)
  assert generate.plot_digest(path) == generate.digest(data)
  with PIL.Image.open(path) as image:
    assert image.width >= 1000
    assert len(image.convert('RGB').getcolors(1 << 20)) > 20
  data['rows'][0]['utility']['value'] += 0.001
  assert generate.plot_digest(path) != generate.digest(data)


FIGURES = {'value': 0.12345678, 'low': 0.1, 'high': 0.2, 'chance': 0.1}


@pytest.fixture
def workdir(tmp_path):
  folder = tmp_path / 'run'
  folder.mkdir()
  row = {
    'split_point': 'dense1',
    'embedding': 'bounded',
    'dim': 4,
    'utility': FIGURES,
    'leakage': {
      'person': {
        **FIGURES,
        'per_recording': FIGURES,
        'by_windows': {'class': {'8': FIGURES}, 'recording': {'8': FIGURES}},
      }
    },
    'ceiling': {'person': {'value': 0.2, 'high': 0.3, 'by_bound': {}}},
  }
  metrics = {
    'rows': [row],
    'controls': {'noise': {'leakage': {'person': FIGURES}}},
    'recommended': {'split_point': 'dense1', 'embedding': 'bounded'},
  }
  config = {
    'seed': 3,
    'data': {'name': 'mine', 'path': str(tmp_path / 'mine.npz')},
    'release': {'embeddings': {'bounded': {'title': 'Bounded'}}},
  }
  timings = {'train': 60.0, 'attack': 90.4, 'compiling': {'train': 5.0}}
  for name, value in (
    ('metrics', metrics),
    ('config', config),
    ('timings', {**timings, 'run': summary.describe_run()}),
  ):
    (folder / f'{name}.json').write_text(json.dumps(value))
  return folder


def _results(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'launch.results', *arguments],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_command_keeps_the_old_file_after_a_mistake(workdir, tmp_path):
  arguments = (f'--workdir={workdir}', f'--out={tmp_path / "kept"}')
  done = _results(*arguments)
  assert done.returncode == 0, done.stderr
  path = tmp_path / 'kept/mine_seed3.json'  # of seed 3
  before = path.read_bytes()
  assert json.loads(before) == summary.summarize(workdir)
  (workdir / 'metrics.json').unlink()
  for extra in ((), ('--name=a/b',)):
    done = _results(*arguments, *extra)
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
  assert path.read_bytes() == before
  assert [p.name for p in path.parent.iterdir()] == ['mine_seed3.json']


def test_several_studies_are_kept_at_once_or_none(workdir, tmp_path):
  other = tmp_path / 'other'
  shutil.copytree(workdir, other)
  config = json.loads((other / 'config.json').read_text())
  (other / 'config.json').write_text(json.dumps({**config, 'seed': 0}))
  out = tmp_path / 'kept'
  for wrong, part in (
    ((f'--workdir={workdir},{workdir}',), 'two of .* are of mine_seed3'),
    ((f'--workdir={workdir},{tmp_path}',), 'metrics.json does not exist'),
    ((f'--workdir={workdir},{other}', '--name=x'), 'for one file, and there'),
  ):
    done = _results(*wrong, f'--out={out}')
    assert done.returncode == 1
    assert re.search(part, done.stderr)
    assert not out.exists()
  done = _results(f'--workdir={workdir},{other}', f'--out={out}')
  assert done.returncode == 0, done.stderr
  assert sorted(p.name for p in out.iterdir()) == [
    'mine.json',
    'mine_seed3.json',
  ]


def test_a_summary_is_small_rounded_and_says_where_it_is_from(workdir):
  data = summary.summarize(workdir)
  assert data['origin']['seconds'] == 150
  assert data['config']['data'] == {'name': 'mine', 'path': 'mine.npz'}
  assert data['origin']['cores'] >= 1
  assert data['origin']['packages']['jax']
  assert data['config']['seed'] == 3
  row = data['rows'][0]
  assert row['utility']['value'] == 0.123457
  assert 'by_bound' not in row['ceiling']['person']
  assert list(row['leakage']['person']['by_windows']) == ['class']
  assert page_tables.study(data, ceiling='person').split('\n')[2] == (
    '| dense1 | Bounded | 4 | 12.3 [10.0, 20.0] | 12.3 [10.0, 20.0] |'
    ' 12.3 [10.0, 20.0] | 30.0 |'
  ).replace(' [', '\N{NO-BREAK SPACE}[').replace(', ', ',\N{NO-BREAK SPACE}')
  assert 'seed 3, 2 minutes' in page_tables.origin(data)


def _share(value, chance=0.25):
  return {
    'value': value,
    'low': value - 0.1,
    'high': value + 0.1,
    'chance': chance,
  }


def _data(seed=0, utility=0.9):
  """Figures of one embedding, for people of the training set and strangers."""
  seen = {
    'split_point': 'dense1',
    'embedding': 'bounded',
    'utility': _share(utility, 0.5),
    'leakage': {
      'person': {**_share(0.3), 'per_recording': _share(0.4, 0.2)},
    },
    'ceiling': {'person': {'value': 0.5, 'high': 0.6}},
  }
  unseen = {
    'utility': _share(0.8, 0.6),
    'leakage': {
      'person': {**_share(0.45, 0.3), 'per_recording': _share(0.55, 0.35)},
    },
    'ceiling': {'person': {'value': 0.9, 'high': 1.0}},
  }
  return {
    'rows': [seen, {**seen, 'split_point': 'conv1'}][::-1],
    'strangers': {
      'split_point': 'dense1',
      'label': 'person',
      'embeddings': {'bounded': unseen},
    },
    'config': {'seed': seed, 'release': {'embeddings': {'bounded': {}}}},
  }


def _lines(table):
  return [
    re.split(r' *[|] *', line.replace('\N{NO-BREAK SPACE}', ' ').strip('| '))
    for line in table.split('\n')
  ]


def test_strangers_stand_beside_the_people_of_the_training_set():
  columns, _, line, chance = _lines(page_tables.strangers(_data()))
  assert columns[:5] == [
    *('released', 'utility', 'strangers', 'person found', 'strangers'),
  ]
  assert line == [
    *('bounded', '90.0 [80.0, 100.0]', '80.0 [70.0, 90.0]'),
    *('30.0 [20.0, 40.0]', '45.0 [35.0, 55.0]'),
    *('40.0 [30.0, 50.0]', '55.0 [45.0, 65.0]', '60.0', '100'),
  ]
  assert chance[:7] == [
    *('*chance*', '50.0', '60.0', '25.0', '30.0', '20.0', '35.0'),
  ]
  table = _lines(page_tables.strangers(_data(), recordings='no'))
  assert 'by recording' not in table[0]
  assert table[2] == [*line[:5], *line[7:]]
  assert table[3][:5] == chance[:5]


def test_the_answer_alone_stands_below_the_embeddings():
  data = _data()
  for place, value in ((data, 0.2), (data['strangers'], 0.35)):
    leakage = {**_share(value), 'per_recording': _share(value + 0.1)}
    place['controls'] = {'decision': {'leakage': {'person': leakage}}}
  *_, line, chance = _lines(page_tables.strangers(data))
  assert line[:5] == [
    *('*the answer alone*', '', ''),
    *('20.0 [10.0, 30.0]', '35.0 [25.0, 45.0]'),
  ]
  assert line[5:7] == ['30.0 [20.0, 40.0]', '45.0 [35.0, 55.0]']
  assert chance[0] == '*chance*'


def test_every_label_of_strangers_has_its_columns():
  data = _data()
  figures = data['strangers']['embeddings']['bounded']
  figures['leakage']['age_group'] = {
    **_share(0.7, 0.4),
    'per_recording': _share(0.8, 0.45),
  }
  columns, _, line, chance = _lines(page_tables.attributes(data))
  assert columns == [
    *('released', 'utility', 'person found', 'by recording'),
    *('age group found', 'by recording'),
  ]
  assert line[-2:] == ['70.0 [60.0, 80.0]', '80.0 [70.0, 90.0]']
  assert chance == ['*chance*', '60.0', '30.0', '35.0', '40.0', '45.0']


def test_the_linkage_attack_stands_against_the_noise():
  data = _data()
  data['config']['release']['embeddings'] = {
    'noisy': {'weights': 'siamese', 'mechanisms': ['pca', 'noise']},
    'reduced': {'weights': 'siamese', 'mechanisms': ['pca']},
    'plain': {'weights': 'siamese'},
    'simple': {'weights': 'simple', 'mechanisms': ['pca']},
  }
  data['rows'] = [
    {
      'split_point': cut,
      'embedding': name,
      'relative_noise': noise,
      'utility': {'value': 0.9 - noise},
      'ranks': {
        'linkage': {'mean_rank': {'value': noise}, 'top1': {'value': 1.0}}
      },
    }
    for cut, name, noise in [
      *(('fc6', 'noisy', 0.3), ('fc6', 'reduced', 0.001)),
      *(('fc6', 'plain', 0.0), ('fc6', 'simple', 0.0), ('fc7', 'noisy', 0.3)),
    ]
  ]
  columns, _, *lines = _lines(page_tables.linkage(data, 'fc6'))
  assert columns == ['ours: noise', '0.001', '0.3']
  assert lines == [
    ['accuracy %', '89.9', '60.0'],
    ['mean rank %', '0.1', '30'],
    ['top-1 %', '100', '100'],
  ]


def test_rebuilt_images_have_similarity_and_recognition():
  data = _data()
  plain, recognised = _share(0.5, 0.2), _share(0.9, 0.5)
  data['rows'][1] |= {
    'reconstruction': {
      'class mean': {'ssim': plain},
      'decoder': {'ssim': plain},
    },
    'recognition': {'person': {'original': {'auc': recognised}}},
  }
  columns, _, line = _lines(page_tables.rebuilt(data, 'person'))
  assert columns == [
    *('cut', 'released', 'SSIM, class mean', 'SSIM, decoder'),
    'person recognised, original',
  ]
  assert line == [
    *('dense1', 'bounded', *(2 * ['0.50 [0.40, 0.60]']), '90.0 [80.0, 100.0]')
  ]
  # A row without the figures of another one.
  data['rows'][0]['reconstruction'] = {'decoder': {'ssim': plain}}
  _, _, line, _ = _lines(page_tables.rebuilt(data, 'person'))
  assert line[2:] == ['0.50 [0.40, 0.60]', '–', '–']
  with pytest.raises(errors.UserError, match='recognition of side'):
    page_tables.rebuilt(data, 'side')
  with pytest.raises(errors.UserError, match='reconstruction'):
    page_tables.rebuilt(_data())


def test_seeds_have_their_mean_and_their_range():
  studies = [_data(0, 0.9), _data(1, 0.84), _data(2, 0.9)]
  columns, _, line, chance = _lines(page_tables.seeds(studies, cut='dense1'))
  assert columns[1] == 'utility, seeds 0, 1, 2'
  assert line == [
    *('bounded', '88.0 (84.0 to 90.0)'),
    *('30.0 (30.0 to 30.0)', '40.0 (40.0 to 40.0)'),
  ]
  assert chance == ['*chance*', '50.0', '25.0', '20.0']
  *_, line, _ = _lines(page_tables.seeds(studies, people='strangers'))
  assert line[:3] == [
    *('bounded', '80.0 (80.0 to 80.0)', '45.0 (45.0 to 45.0)'),
  ]
  with pytest.raises(errors.UserError, match='stranger'):
    page_tables.seeds(studies, people='stranger')
  with pytest.raises(errors.UserError, match='leave out cut'):
    page_tables.seeds(studies, cut='dense1', people='strangers')
  with pytest.raises(errors.UserError, match="no rows of 'dense9'"):
    page_tables.seeds(studies, cut='dense9')
  bare = [{**data, 'strangers': {}} for data in studies]
  with pytest.raises(errors.UserError, match="no rows of 'strangers'"):
    page_tables.seeds(bare, people='strangers')
  with pytest.raises(errors.UserError, match=r'the seeds are \[0, 0\]'):
    page_tables.seeds([_data(), _data()])
  studies[1]['rows'][1]['embedding'] = 'snapped'
  with pytest.raises(errors.UserError, match='other rows'):
    page_tables.seeds(studies, cut='dense1')


@pytest.mark.parametrize(
  ('damage', 'part'),
  [
    (lambda w: (w / 'metrics.json').unlink(), 'metrics.json does not exist'),
    (lambda w: (w / 'metrics.json').write_text('{"ro'), 'is damaged'),
    (lambda w: (w / 'timings.json').write_text('{}'), "has no 'run'"),
  ],
)
def test_a_summary_of_a_broken_study_is_refused(workdir, damage, part):
  damage(workdir)
  with pytest.raises(errors.UserError, match=part):
    summary.summarize(workdir)
