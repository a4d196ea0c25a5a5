"""Writes the owner of this copy on GitHub into every address of it.

    python -m launch.owner NAME

The owner is `tool.hybrid_jax.owner` in pyproject.toml. The README, the docs,
the notebooks and the package's links have it in their addresses.
"""

import pathlib
import re
import sys
import tomllib
from collections.abc import Iterator

from hybrid_jax import errors, files

ROOT = pathlib.Path(__file__).parent.parent
_FOLDERS = ('docs', 'colabs', '.github')
_ENDINGS = ('.md', '.toml', '.cff', '.ipynb', '.py', '.yaml', '.html')
_ADDRESSES = re.compile(
  r'(?P<before>github(?:\.com)?/)(?P<owner>[\w-]+)(?=/hybrid_jax\b)'
  r'|(?P<scheme>https://)(?P<user>[\w-]+)(?=\.github\.io/hybrid_jax\b)'
)
_SETTING = re.compile(r'(?<=\[tool\.hybrid_jax\]\nowner = ")[\w-]+(?=")')
_NAME = re.compile(r'[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,38}')


def setting(root: pathlib.Path) -> str:
  """Returns the owner that pyproject.toml names."""
  project = tomllib.loads((root / 'pyproject.toml').read_text())
  return project['tool']['hybrid_jax']['owner']


def texts(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
  """Yields the files that may have addresses of this copy, and their text."""
  paths = [*root.iterdir()]
  for folder in _FOLDERS:
    paths += (root / folder).rglob('*')
  for path in sorted(paths):
    if path.suffix in _ENDINGS and path.is_file():
      yield path, path.read_text(encoding='utf-8')


def owners(text: str) -> list[str]:
  """Returns the owner in each address of this project in a text."""
  matches = _ADDRESSES.finditer(text)
  return [match['owner'] or match['user'] for match in matches]


def replace(root: pathlib.Path, name: str) -> list[pathlib.Path]:
  """Writes the owner everywhere, and returns the files that changed.

  Raises:
    UserError: it is no name of an account.
  """
  if not _NAME.fullmatch(name):
    raise errors.UserError(
      f'{name!r} is no account of GitHub: letters, digits and single dashes,'
      ' 39 at most.'
    )

  def address(match):
    return (match['before'] or match['scheme']) + name

  changed = []
  for path, text in texts(root):
    new = _ADDRESSES.sub(address, text)
    if path.name == 'pyproject.toml':
      new = _SETTING.sub(name, new)
    if new != text:
      files.write_bytes(path, new.encode())
      changed.append(path)
  return changed


if __name__ == '__main__':
  if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
    sys.exit(__doc__)
  try:
    for file in replace(ROOT, sys.argv[1]):
      print(file.relative_to(ROOT))
  except errors.UserError as e:
    sys.exit(f'error: {e}')
