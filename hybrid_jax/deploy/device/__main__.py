"""Sends windows of sensor rows to the cloud, and prints its answers.

python -m hybrid_jax.deploy.device --bundle=bundle --url=https://cloud:8000
  --csv=rows.csv --token_file=token
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Iterator

from hybrid_jax.deploy.device import (
  budget,
  bundle,
  client,
  connection,
  delivery,
  failures,
)


def main(argv: list[str] | None = None) -> int:
  """A line for each window; 0, or 1 after a mistake or without a server."""
  given = _parser().parse_args(
    [_underscores(a) for a in (sys.argv[1:] if argv is None else argv)]
  )
  device = None
  try:
    device = _client(given)
    if given.csv == '-':  # Rows as they are measured: none may wait.
      for row in _rows(sys.stdin):
        _show(device.push(row))
    else:
      with open(given.csv, newline='', encoding='utf-8') as file:
        for row in _rows(file):
          if device.take(row):
            _show(device.drain())
    _show(device.drain())
    if not any(vars(device.counts).values()):
      raise failures.BadInput(
        f'the rows of {given.csv} ended before a window was full.'
      )
  except (failures.Refused, failures.Unreachable) as e:
    _show(e.answers)
    return _failed(e, device)
  except UnicodeError:
    return _failed(f'{given.csv} is no text in UTF-8.', device)
  except (failures.ClientError, OSError) as e:
    return _failed(e, device)
  except KeyboardInterrupt:
    pass
  _summary(device)
  return 0


def _client(given):
  edge = bundle.read(given.bundle)
  link = connection.Connection(
    given.url,
    given.timeout,
    given.token_file,
    given.ca_file,
    given.cert_file,
    given.key_file,
  )
  return client.Client(
    edge,
    link,
    given.model,
    given.hop,
    budget.Budget(given.per_input, given.per_hour),
    delivery.Retry(given.attempts),
    given.queue,
  )


def _rows(lines: Iterable[str]) -> Iterator[list[float]]:
  """The rows of a CSV file; a first line that is no numbers is its header."""
  for number, cells in enumerate(csv.reader(lines), 1):
    if not cells:
      continue
    try:
      row = [float(cell) for cell in cells]
    except ValueError:
      if number > 1:
        raise failures.BadInput(
          f'line {number} of the rows is no numbers.'
        ) from None
      continue
    if not all(map(math.isfinite, row)):
      raise failures.BadInput(
        f'line {number} of the rows holds NaN or infinity.'
      )
    yield row


def _show(answers):
  for answer in answers:
    print(
      f'{answer.index}\t{answer.label}\t{100 * answer.confidence:.0f} %'
      f'\t{answer.sent} bytes',
      flush=True,
    )


def _failed(error, device):
  print(f'error: {error}', file=sys.stderr)
  if device is not None:
    _summary(device)
  return 1


def _summary(device):
  counts = vars(device.counts)
  text = ', '.join(
    f'{n} {name.replace("_", " ")}' for name, n in counts.items()
  )
  print(f'{text}, {len(device)} waiting', file=sys.stderr)


def _underscores(argument):
  """`--token_file=token` of `--token-file=token`."""
  name, equals, value = argument.partition('=')
  if not name.startswith('--'):
    return argument
  return '--' + name[2:].replace('-', '_') + equals + value


def _parser():
  parser = argparse.ArgumentParser(
    prog='python -m hybrid_jax.deploy.device',
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = parser.add_argument
  add('--bundle', required=True, help='the folder with edge.tflite')
  add('--url', required=True, help='of the server')
  add(
    '--csv', required=True, help='rows of sensor values; - for standard input'
  )
  add('--model', default='cloud', help='its name at the server')
  add('--hop', type=int, help='rows from window to window; else its length')
  add('--per_input', type=int, default=1, help='releases of one input')
  add('--per_hour', type=int, default=1800, help='releases in an hour')
  add('--queue', type=int, default=64, help='vectors that may wait')
  add('--attempts', type=int, default=5, help='tries of one vector')
  add('--timeout', type=float, default=5.0, help='seconds for one answer')
  add('--token_file', help='a file with the bearer token')
  add('--ca_file', help="the authorities of the server's certificate, PEM")
  add('--cert_file', help="this device's certificate, PEM")
  add('--key_file', help='its key, PEM')
  return parser


if __name__ == '__main__':
  sys.exit(main())
