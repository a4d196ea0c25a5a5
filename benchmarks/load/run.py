"""Measures a server of the cloud half, and tries it for as long as you like.

python -m benchmarks.load.run --bundle=runs/watch/bundle
python -m benchmarks.load.run --bundle=runs/watch/bundle --soak=600

It starts launch.serve on this machine, or with --url asks one that runs. Each
count of connections is measured by turns with a bare handler: one route of
Starlette on uvicorn that reads the body and sends fixed bytes. The figures:

req/s: answers of status 200 a second, the median over the rounds.
p50, p95, p99 ms: within which that share of the answers had come, from sending
  to the last byte, by the client's clock, over all rounds.
of bare: the server's req/s over the bare handler's of the same round, median
  and range; 1 would be a server that costs nothing.
client busy: how much of one core the clients took. Near 100 % it is they who
  are measured, and the server may be faster.
wrong: answers that are not the exact bits of the bundle's file.
lost: requests that were sent and never answered.

--soak=SECONDS then sends 80 % of the best rate, or --rate, beside clients that
are slow, cut off, malformed and unauthorised, and tells what each was answered,
and the server's resident memory. Exit code 1: an answer was wrong, a request
was lost, a client was told what it should not be, or memory grew by more than
--max_growth MiB after the first tenth. Exit code 2: a mistake in the input.
"""

import asyncio
import contextlib
import os
import pathlib
import platform
import shutil
import ssl
import urllib.parse

import rich.console
import rich.table
from absl import flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command

MISTAKE = 2
_QUESTIONS = 256

_BUNDLE = flags.DEFINE_string('bundle', None, 'The bundle: a folder.')
_URL = flags.DEFINE_string(
  'url', None, 'A server of that bundle that runs, as http://127.0.0.1:8000.'
)
_NAME = flags.DEFINE_string('name', 'cloud', "The model's name, with --url.")
_TOKEN_FILE = flags.DEFINE_string(
  'token_file', None, "A file with the server's bearer token, with --url."
)
_CA = flags.DEFINE_string(
  'ca', None, 'A PEM file with the authority of its certificate, with --url.'
)
_CONNECTIONS = flags.DEFINE_list(
  'connections', ['1', '8', '64'], 'How many connections; several counts.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'How often each is measured.', 1)
_SECONDS = flags.DEFINE_float('seconds', 3.0, 'For how long each.', 0.01)
_SOAK = flags.DEFINE_float('soak', 0.0, 'Seconds of the soak; 0 for none.', 0)
_RATE = flags.DEFINE_float(
  'rate',
  None,
  'Requests a second of the soak; then nothing is measured before.',
)
_MAX_GROWTH = flags.DEFINE_float(
  'max_growth', 20.0, "MiB by which the server's memory may grow."
)
_MAX_BODY = flags.DEFINE_integer(
  'max_body', 1 << 20, "The server's --max_body, in bytes."
)
_BODY_SECONDS = flags.DEFINE_float(
  'body_seconds', 10.0, "The server's --body_seconds."
)
_OUT = flags.DEFINE_string('out', None, 'Where to write the figures as JSON.')


def main(argv: list[str]) -> int:
  """Measures, soaks, prints and writes; returns the exit code."""
  command.no_more(argv)
  if not _BUNDLE.value:
    raise errors.UserError('--bundle is needed; see --help.')
  counts = _counts()
  if _RATE.value is not None and not _RATE.value > 0:
    raise errors.UserError(f'--rate is {_RATE.value}; it must be more than 0.')
  if _RATE.value is not None and not _SOAK.value:
    raise errors.UserError('--rate is that of the soak: give --soak too.')
  try:
    from benchmarks.load import (
      clients,
      questions,
      soak,  # noqa: F401  # Needs extras too.
    )
  except ImportError as e:
    raise errors.UserError(
      f"this needs {e.name}: pip install 'hybrid-jax[serve,load]'."
    ) from e
  tensors, asked = questions.make(_BUNDLE.value, _QUESTIONS)
  results = {'machine': _machine(), 'rows': [], 'soak': None}
  with _server() as (place, running):
    asyncio.run(clients.meet(place, tensors.sha256))
    if _RATE.value is None:
      results['rows'] = _measure(place, tensors, asked, counts)
    if _SOAK.value:
      rate = _RATE.value or 0.8 * max(
        r['server']['rate'] for r in results['rows']
      )
      results['soak'] = _soak(place, running, tensors, asked, rate)
  failures = list((results['soak'] or {}).get('failures', []))
  failures += _failures(results['rows'])
  if running is not None and running.exit_code != 0:
    failures.append(f'the server ended with code {running.exit_code}.')
  results['failures'] = failures
  if _OUT.value:
    files.write_json(pathlib.Path(_OUT.value), results)
  for sentence in failures:
    print(f'FAIL: {sentence}')
  return 1 if failures else 0


@contextlib.contextmanager
def _server():
  """The place, and what was started here."""
  from benchmarks.load import clients, processes
  from hybrid_jax.deploy.server import addresses

  if _URL.value:
    parts = urllib.parse.urlsplit(_URL.value)
    if parts.scheme not in ('http', 'https') or not parts.hostname:
      raise errors.UserError(
        f'--url is {_URL.value!r}; it must be as http://127.0.0.1:8000.'
      )
    yield (
      clients.Place(
        f'{parts.scheme}://{parts.netloc}',
        _NAME.value,
        addresses.read_token(_TOKEN_FILE.value),
        _context(),
      ),
      None,
    )
    return
  arguments = (
    f'--max_body={_MAX_BODY.value}',
    f'--body_seconds={_BODY_SECONDS.value}',
  )
  with processes.server(_BUNDLE.value, arguments) as running:
    yield running.place, running


def _measure(place, tensors, asked, counts):
  from benchmarks.load import peak, processes

  host = urllib.parse.urlsplit(place.url).hostname
  with contextlib.ExitStack() as stack:
    bare = None
    if host in ('127.0.0.1', '::1', 'localhost'):
      size = peak.answer_size(tensors, asked[0])
      bare = stack.enter_context(processes.bare_handler(size))
    rows = peak.measure(
      place, bare, asked, counts, _ROUNDS.value, _SECONDS.value
    )
  _print(peak.table(rows))
  return rows


def _soak(place, running, tensors, asked, rate):
  from benchmarks.load import soak, unruly

  limits = unruly.Limits(_MAX_BODY.value, _BODY_SECONDS.value)
  found = asyncio.run(
    soak.run(
      place,
      asked,
      unruly.Unruly(place, tensors, asked[0], limits),
      rate,
      _SOAK.value,
      pid=running.pid if running else None,
      max_growth=_MAX_GROWTH.value,
    )
  )
  _print(soak.table(found))
  print(soak.told(found))
  return found


def _failures(rows):
  """What must not be where the server was only measured."""
  sides = [row['server'] for row in rows]
  wrong, lost = (sum(s[key] for s in sides) for key in ('wrong', 'lost'))
  other = {key for s in sides for key in s['statuses']} - {'200', '503'}
  checks = {
    f'{wrong} answers were wrong while it was measured.': wrong,
    f'{lost} requests had no answer while it was measured.': lost,
    f'requests had the status {", ".join(sorted(other))}.': other,
  }
  return [sentence for sentence, failed in checks.items() if failed]


def _counts():
  try:
    counts = [int(text) for text in _CONNECTIONS.value]
  except ValueError:
    counts = []
  if not counts or min(counts) < 1:
    raise errors.UserError(
      f'--connections is {",".join(_CONNECTIONS.value)}; it must be whole'
      ' numbers from 1, as 1,8,64.'
    )
  return counts


def _context():
  if _CA.value is None:
    return None
  try:
    return ssl.create_default_context(cafile=_CA.value)
  except OSError as e:
    raise errors.UserError(f'could not read --ca={_CA.value}: {e}.') from e


def _machine():
  return {
    'machine': platform.machine(),
    'cores': os.cpu_count(),
    'load': os.getloadavg()[0],
    'python': platform.python_version(),
  }


def _print(table: rich.table.Table) -> None:
  width = shutil.get_terminal_size((120, 24)).columns
  rich.console.Console(width=width, markup=False).print(table)


if __name__ == '__main__':
  command.run(main, MISTAKE)
