"""Measures the cost of each split point: size, time, memory, bytes sent.

hybrid-jax cost --workdir=runs/watch
"""

import math
import pathlib

from absl import flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command
from hybrid_jax.deploy.export import variants
from hybrid_jax.report import cost_page
from hybrid_jax.study import cost, cut_recommendation, runner, workdir_lock

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'The work directory of a finished study.'
)
_VARIANTS = flags.DEFINE_list(
  'variants', list(variants.VARIANTS), 'The variants to measure.'
)
_SECONDS = flags.DEFINE_float(
  'seconds', 0.5, 'How many seconds each file is called.', 0.01
)
_LINKS = flags.DEFINE_list(
  'links',
  [f'{x.name}={x.mbit:g}/{x.round_trip:g}' for x in cost.LINKS],
  'Network connections, each as NAME=MEGABITS_PER_SECOND/ROUND_TRIP_MS.',
)
_WEIGHTS = flags.DEFINE_list(
  'weights',
  [f'{name}={value:g}' for name, value in cut_recommendation.WEIGHTS.items()],
  'Weights for the recommended split point, each as NAME=NUMBER. leak: the best'
  " attacker's advantage; time: the time on the device, relative to the whole"
  ' network there; bytes: the bytes sent, relative to the raw input.',
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
    raise errors.UserError(f'--seconds is {_SECONDS.value}; it must be finite.')
  for name in _VARIANTS.value:
    variants.check(name)
  links, weights = _links(), _weights()
  command.set_up_jax()
  workdir = pathlib.Path(_WORKDIR.value)
  study = runner.open_study(workdir)
  page = workdir / 'cost.html'
  with workdir_lock.hold(workdir):
    costs = cost.run(study, _VARIANTS.value, _SECONDS.value, links, weights)
    html = cost_page.render(costs, study.config.data.name)
    files.write_bytes(page, html.encode())
  print(cost_page.terminal(costs))
  print(f'The plot: {page}')


def _links():
  links = []
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
        f'--links has {text!r}; the megabits must be more than 0, the'
        ' milliseconds 0 or more.'
      )
    links.append(link)
  return links


def _weights():
  weights = dict(cut_recommendation.WEIGHTS)
  for text in _WEIGHTS.value:
    name, _, value = text.partition('=')
    errors.check_known('weight', name, weights)
    try:
      weights[name] = float(value)
    except ValueError as e:
      raise errors.UserError(
        f'--weights has {text!r}, which is not NAME=NUMBER.'
      ) from e
    if not 0 <= weights[name] < math.inf:
      raise errors.UserError(f'--weights has {text!r}; it must be 0 or more.')
  return weights
