"""Sends windows of sensor rows to the cloud, and prints its answers.

python -m hybrid_jax.deploy.device --bundle=bundle --url=https://cloud:8000
  --csv=rows.csv --token_file=token
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Iterator

from hybrid_jax import errors
from hybrid_jax.deploy.device import (
  budget,
  client,
  connection,
  delivery,
  edge_half,
  failures,
)


def main(argv: list[str] | None = None) -> int:
  """Prints a line for each window.

  Returns:
    The exit status: 0, or 1 after a mistake or if the server does not answer.
  """
  args = _parser().parse_args(
    [_underscores(a) for a in (sys.argv[1:] if argv is None else argv)]
  )
  device = None
  try:
    device = _client(args)
    if args.csv == '-':  # Live rows: send each window as soon as it is full.
      for row in _rows(sys.stdin):
        _print(device.push(row))
    else:
      with open(args.csv, newline='', encoding='utf-8') as file:
        for row in _rows(file):
          if device.take(row):
            _print(device.drain())
    _print(device.drain())
    if not any(vars(device.counts).values()):
      raise errors.UserError(
        f'the rows of {args.csv} ended before a window was full.'
      )
  except (failures.Refused, failures.Unreachable) as e:
    _print(e.answers)
    return _fail(e, device)
  except UnicodeError:
    return _fail(f'{args.csv} is no text in UTF-8.', device)
  except (errors.UserError, OSError) as e:
    return _fail(e, device)
  except KeyboardInterrupt:
    pass
  _print_counts(device)
  return 0


def _client(args):
  edge = edge_half.read(args.bundle)
  link = connection.Connection(
    args.url,
    args.timeout,
    args.token_file,
    args.ca_file,
    args.cert_file,
    args.key_file,
  )
  return client.Client(
    edge,
    link,
    args.model,
    args.hop,
    budget.Budget(args.per_input, args.per_hour),
    delivery.Retry(args.attempts),
    args.queue,
  )


def _rows(lines: Iterable[str]) -> Iterator[list[float]]:
  """Yields the rows of a CSV file; skips a header in the first line."""
  for number, cells in enumerate(csv.reader(lines), 1):
    if not cells:
      continue
    try:
      row = [float(cell) for cell in cells]
    except ValueError:
      if number > 1:
        raise errors.UserError(
          f'line {number} of the rows is not numbers.'
        ) from None
      continue
    if not all(map(math.isfinite, row)):
      raise errors.UserError(
        f'line {number} of the rows holds NaN or infinity.'
      )
    yield row


def _print(answers):
  for answer in answers:
    print(
      f'{answer.index}\t{answer.label}\t{100 * answer.confidence:.0f} %'
      f'\t{answer.sent} bytes',
      flush=True,
    )


def _fail(error, device):
  print(f'error: {error}', file=sys.stderr)
  if device is not None:
    _print_counts(device)
  return 1


def _print_counts(device):
  counts = vars(device.counts)
  text = ', '.join(
    f'{n} {name.replace("_", " ")}' for name, n in counts.items()
  )
  print(f'{text}, {len(device)} waiting', file=sys.stderr)


def _underscores(argument):
  """Returns `--token_file=token` for `--token-file=token`."""
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
  add(
    '--bundle',
    required=True,
    help='the bundle: a folder with manifest.json and edge.tflite',
  )
  add('--url', required=True, help='the address of the server')
  add(
    '--csv', required=True, help='rows of sensor values; - for standard input'
  )
  add('--model', default='cloud', help='the name of the model at the server')
  add(
    '--hop',
    type=int,
    help='rows from the start of one window to the next (default: a window)',
  )
  add(
    '--per_input',
    type=int,
    default=1,
    help='how often one input may be released',
  )
  add(
    '--per_hour',
    type=int,
    default=1800,
    help='how many releases are allowed in an hour',
  )
  add('--queue', type=int, default=64, help='how many vectors may wait')
  add('--attempts', type=int, default=5, help='how often to send one vector')
  add(
    '--timeout', type=float, default=5.0, help='seconds to wait for an answer'
  )
  add('--token_file', help='a file with the bearer token')
  add('--ca_file', help="the authorities of the server's certificate, as PEM")
  add('--cert_file', help="this device's certificate, as PEM")
  add('--key_file', help='the key of this certificate, as PEM')
  return parser


if __name__ == '__main__':
  sys.exit(main())
