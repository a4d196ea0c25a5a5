"""Names from a file are text on a page, and run nothing, in a browser."""

import html.parser
import shutil

import numpy as np
import pytest

from configs import audit as audit_config
from hybrid_jax.report import page
from hybrid_jax.study import audit_released

_SCRIPT = '<img src=q onerror="window.hit=1"><script>window.hit=1</script>'
_NAMES = ('screen 6" or more', f'">{_SCRIPT}', '</div><a href=//x.org>&lt;b')
_CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  """An audit of labels with hostile names, from a file with one."""
  folder = tmp_path_factory.mktemp('hostile')
  rng = np.random.default_rng(0)
  n = 240
  path = folder / "<img src=q onerror='window.hit=1'>.npz"
  arrays = {f'sensitive_{name}': rng.integers(0, 2, n) for name in _NAMES}
  np.savez(
    path,
    clean=rng.standard_normal((n, 4)).astype('f4'),
    primary=np.arange(n) % 2,
    recording=np.arange(n) // 4,
    fold=np.arange(n) // 4 % 3,
    **arrays,
  )
  config = audit_config.get_config()
  config.attack.adversaries = ('majority',)
  for name in list(config.attack.measures):
    if name != 'leakage':
      del config.attack.measures[name]
  return audit_released.run(path, folder / 'out', config), folder / 'out'


def _study_page(figures):
  """The page of a study whose every name is hostile."""
  label, *_ = figures['leakage']
  value = {'value': 0.5, 'low': 0.4, 'high': 0.6, 'chance': 0.5}
  row = figures | {
    'embedding': _NAMES[1],
    'title': _NAMES[1],
    'place': None,
    'split_point': _NAMES[2],
    'utility': value,
    'validation_utility': 0.5,
    'leakage': {_NAMES[1]: figures['leakage'][label]},
  }
  leakage = {'leakage': row['leakage']}
  data = {
    'examples': {'train': 1, 'validation': 1, 'test': 1},
    'recordings': 3,
    'channels': [_SCRIPT],
    'mean': [0.0],
    'std': [1.0],
    'shape': [1, 8, 1],
    'classes': {'primary': [_SCRIPT]},
    'faults': [_SCRIPT],
    'remarks': [_SCRIPT],
  }
  point = {'split_point': _NAMES[2], 'embedding': _NAMES[1], 'why': _SCRIPT}
  controls = dict.fromkeys(('noise', 'raw', 'decision'), leakage)
  return page.render(
    _SCRIPT,
    data,
    {},
    [row],
    controls,
    [_SCRIPT],
    point,
    {},
    [],
    {},
    [_SCRIPT],
  )


@pytest.fixture(scope='module')
def pages(report):
  audit, out = report
  study = out / 'study.html'
  study.write_text(_study_page(audit.figures))
  table = out / 'table.html'
  table.write_text(audit._repr_html_())
  return {'audit': out / 'report.html', 'study': study, 'table': table}


class _Reader(html.parser.HTMLParser):
  def __init__(self):
    super().__init__()
    self.tags, self.ids, self.texts = [], [], []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_data(self, data):
    self.texts.append(data)


def _read(path):
  reader = _Reader()
  reader.feed(path.read_text())
  return reader


@pytest.mark.parametrize('kind', ['audit', 'study', 'table'])
def test_a_name_makes_no_element(pages, kind):
  reader = _read(pages[kind])
  for tag, attributes in reader.tags:
    assert tag not in ('a', 'iframe') or 'x.org' not in str(attributes)
    assert not any(name.startswith('on') for name in attributes)
    assert attributes.get('src') in (None,)
  scripts = [tag for tag, _ in reader.tags if tag == 'script']
  assert len(scripts) == (0 if kind == 'table' else 2)
  assert any('<img src=q' in text for text in reader.texts)


@pytest.mark.parametrize('kind', ['audit', 'study'])
def test_a_policy_comes_before_all_that_a_page_loads(pages, kind):
  tags = [(tag, a) for tag, a in _read(pages[kind]).tags if tag != 'html']
  names = [a.get('http-equiv') for _, a in tags]
  place = names.index('Content-Security-Policy')
  policy = tags[place][1]['content']
  assert "default-src 'none'" in policy
  assert policy.count("'sha256-") == 2
  assert 'script' not in [tag for tag, _ in tags[:place]]
  assert "'unsafe-inline'" not in policy.split('style-src')[0]


@pytest.mark.skipif(_CHROMIUM is None, reason='Chromium is not installed')
def test_in_a_browser(pages):
  """All figures are drawn, all names are shown, and none of them runs."""
  sync_api = pytest.importorskip('playwright.sync_api')
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=_CHROMIUM, args=['--no-sandbox', '--disable-gpu']
    )
    for kind, names in (('audit', _NAMES), ('study', _NAMES[1:])):
      tab = browser.new_page()
      requests, mistakes = [], []
      tab.on('request', lambda r, to=requests: to.append(r.url))
      tab.on('pageerror', lambda e, to=mistakes: to.append(str(e)))
      tab.on('console', lambda m, to=mistakes: to.append(m.text))
      tab.goto(pages[kind].as_uri())
      tab.wait_for_function(
        "[...document.querySelectorAll('.figure')].every("
        "e => e.querySelector('svg'))"
      )
      assert tab.locator('.figure').count() >= 3
      assert tab.evaluate('window.hit') is None
      assert mistakes == []
      assert requests == [pages[kind].as_uri()]
      text = tab.evaluate('document.body.innerText')
      for name in names:
        assert name in text
      # A tag that did come in would not run either.
      tab.evaluate(
        'document.body.insertAdjacentHTML("beforeend",'
        ' `<img src=data:x onerror="window.hit=1">`)'
      )
      tab.wait_for_timeout(200)
      assert tab.evaluate('window.hit') is None
      assert any('Content Security Policy' in m for m in mistakes)
      # The figures have the names as text, too.
      titles = tab.evaluate(
        "[...document.querySelectorAll('.figure text')].map(e => e.textContent)"
      )
      assert any(names[0] in title for title in titles)
    browser.close()
