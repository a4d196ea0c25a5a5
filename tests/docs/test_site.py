"""The site builds without a warning."""

import builtins
import html
import re
import subprocess
import sys

import pytest

from tests import studies


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  out = tmp_path_factory.mktemp('site')
  done = subprocess.run(
    [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', 'docs', out],
    cwd=studies.ROOT,
    env=studies.environment() | {'PYTHONPATH': str(studies.ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return out


def test_every_page_and_notebook_is_in_the_site(site):
  docs = studies.ROOT / 'docs'
  pages = {path.stem for path in docs.glob('*.md')}
  pages |= {f'notebooks/{p.stem}' for p in studies.ROOT.glob('colabs/*.ipynb')}
  for page in pages:
    assert (site / f'{page}.html').exists(), page
  index = (site / 'index.html').read_text()
  for page in pages - {'index'}:
    assert f'href="{page}.html"' in index, page


def test_the_reference_has_signatures_and_shapes(site):
  text = re.sub(r'<[^>]+>', '', (site / 'api.html').read_text())
  assert 'hybrid_jax.attacks.adversary.Problem' in text
  assert '[n, d]' in text
  assert 'hybrid_jax.audit(' in text
  # Of `x: y` in the first line of a Returns, x would be the type.
  types = re.findall(r'Return type:\s+(.+)', html.unescape(text))
  assert len(types) > 10
  known = {'ndarray', *vars(builtins)}
  for each in types:
    names = set(re.findall(r'[\w-]+', each)) - known
    assert all(name[0].isupper() for name in names), each
    assert ' ' not in re.sub(r', | \| ', '', each.strip()), each


def test_a_table_is_shown_as_a_table(site):
  text = (site / 'results.html').read_text()
  assert '<td><p>noisy reduced Siamese</p></td>' in text
  assert 'end -->' not in re.sub(r'<!--.*?-->', '', text, flags=re.DOTALL)
