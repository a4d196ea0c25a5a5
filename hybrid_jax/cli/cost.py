"""Measures what each cut costs on this machine: size, time, memory, bytes.

python -m launch.cost --workdir=runs/watch
"""

import math
import pathlib

from absl import flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command
from hybrid_jax.deploy.export import latency, variants
from hybrid_jax.report import cost_page
from hybrid_jax.study import cost, cut_recommendation, runner

_WORKDIR = flags.DEFINE_string('workdir', None, 'Of a finished study.')
_VARIANTS = flags.DEFINE_list(
  'variants', list(variants.VARIANTS), 'Which variants of the edge file.'
)
_SECONDS = flags.DEFINE_float(
  'seconds', 0.5, 'For how long each file is called.', 0.01
)
_LINKS = flags.DEFINE_list(
  'links',
  [f'{x.name}={x.mbit:g}/{x.round_trip:g}' for x in cost.LINKS],
  'Connections, as NAME=MEGABITS_PER_SECOND/ROUND_TRIP_MS.',
)
_WEIGHTS = flags.DEFINE_list(
  'weights',
  [f'{name}={value:g}' for name, value in cut_recommendation.WEIGHTS.items()],
  "What counts for the advised cut: leak, the best attacker's advantage; time,"
  " over the whole network's on the device; bytes, over the raw input's.",
)
_PROFILE = flags.DEFINE_string(
  'import_profile',
  None,
  'Times of a device of yours: JSON, {"device": NAME, "files": [{"sha256": OF'
  ' THE FILE, "p50_ms": N, "p95_ms": N}]}. They stand in place of this'
  " machine's for the files that it names.",
)


def main(argv: list[str]) -> None:
  """Prints the tables, and writes `cost.html` and `results/cost.json`."""
  command.no_more(argv)
  if not _WORKDIR.value:
    raise errors.UserError('--workdir is needed; see --help.')
  if not _VARIANTS.value:
    raise errors.UserError(
      f'--variants is empty; name some of {", ".join(variants.VARIANTS)}.'
    )
  if not math.isfinite(_SECONDS.value):
    raise errors.UserError(f'--seconds is {_SECONDS.value}.')
  for name in _VARIANTS.value:
    errors.check_known('variant', name, variants.VARIANTS)
  links, weights = _links(), _weights()
  profile = None
  if _PROFILE.value:
    profile = latency.read_profile(pathlib.Path(_PROFILE.value))
  command.set_up_jax()
  workdir = pathlib.Path(_WORKDIR.value)
  opened = runner.open_study(workdir)
  found = cost.run(
    opened, _VARIANTS.value, _SECONDS.value, links, weights, profile
  )
  page = workdir / 'cost.html'
  files.write_bytes(
    page, cost_page.render(found, opened.config.data.name).encode()
  )
  print(cost_page.terminal(found))
  print(f'The picture: {page}')


def _links():
  out = []
  for text in _LINKS.value:
    name, _, numbers = text.partition('=')
    mbit, _, round_trip = numbers.partition('/')
    try:
      link = cost.Link(name, float(mbit), float(round_trip))
    except ValueError as e:
      raise errors.UserError(
        f'--links has {text!r}, which is not NAME=MEGABITS/MILLISECONDS.'
      ) from e
    if not (
      name and 0 < link.mbit < math.inf and 0 <= link.round_trip < math.inf
    ):
      raise errors.UserError(
        f'--links has {text!r}; megabits are more than 0, milliseconds no less.'
      )
    out.append(link)
  return out


def _weights():
  out = dict(cut_recommendation.WEIGHTS)
  for text in _WEIGHTS.value:
    name, _, value = text.partition('=')
    errors.check_known('weight', name, out)
    try:
      out[name] = float(value)
    except ValueError as e:
      raise errors.UserError(
        f'--weights has {text!r}, which is not NAME=NUMBER.'
      ) from e
    if not 0 <= out[name] < math.inf:
      raise errors.UserError(f'--weights has {text!r}; it must be 0 or more.')
  return out
