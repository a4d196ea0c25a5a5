"""Sends windows of sensor rows to the cloud, and prints its answers.

python -m hybrid_jax.deploy.device --bundle=bundle --url=https://cloud:8000
  --csv=rows.csv --token_file=token
"""

import argparse
import sys

from hybrid_jax import errors
from hybrid_jax.deploy.device import (
  budget,
  client,
  connection,
  csv_rows,
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
  warned: set[str] = set()
  try:
    edge = edge_half.read(args.bundle)
    device = _client(args, edge)
    if args.csv == '-':  # Live rows: send each window as soon as it is full.
      for row in csv_rows.read(sys.stdin, edge.channels, edge.hertz):
        if row is None:
          device.clear()
          continue
        _print(device.push(row))
        _warn(device, edge, warned)
    else:
      with open(args.csv, newline='', encoding='utf-8-sig') as file:
        for row in csv_rows.read(file, edge.channels, edge.hertz):
          if row is None:
            device.clear()
          elif device.take(row):
            _print(device.drain())
          _warn(device, edge, warned)
    _print(device.drain())
    if not any(vars(device.counts).values()):
      raise errors.UserError(
        f'the rows of {args.csv} ended before a window was full.'
      )
    if not edge.has_range:
      print(
        f'{args.bundle} was exported without the range of its training data:'
        ' windows are not compared with it.',
        file=sys.stderr,
      )
    if device.counts.out_of_range:
      raise errors.UserError(
        f'{device.counts.out_of_range} windows are far outside of the training'
        ' data and were not released; --allow_out_of_range releases them.'
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


def _warn(device, edge, warned):
  """Says once why windows are not released, and when a stream is too long.

  `warned` has the labels whose limit was passed before.
  """
  past = [name for name in device.past_stream_budget() if name not in warned]
  if past:
    warned.update(past)
    limits = ', '.join(f'{name} {edge.stream[name]}' for name in past)
    print(
      f'{device.counts.released} windows were released; if they are of one'
      f' person, that is more than keeps the bound of the study: {limits}.',
      file=sys.stderr,
    )
  if device.counts.out_of_range == 1 and device.out_of_range:
    print(f'a window is not released: {device.out_of_range}', file=sys.stderr)
    device.out_of_range = None


def _client(args, edge):
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
    args.allow_out_of_range,
  )


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
  add(
    '--allow_out_of_range',
    action='store_true',
    help='also release windows far outside of the training data, which the'
    ' noise hides less',
  )
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
