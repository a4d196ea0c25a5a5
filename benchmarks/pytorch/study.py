"""The watch study in plain PyTorch, for the comparison with JAX.

    python -m benchmarks.pytorch.study --data=D.npz --config=config.json \\
      --out=DIR

It trains, releases and attacks like `launch.study` with the same config, in the
usual way of PyTorch: eagerly, one training after the other, with fused AdamW
and channels-last. Both sides use scikit-learn for the same attacks, and share
the code of the ceiling and the bootstrap, which is NumPy. The study writes
`metrics.json` and `timings.json`, but no checkpoints and no report. `D.npz` has
`x [n, 1, time, channels]` in the sensor's units, `primary`, `sensitive_NAME`,
`recording` and `fold`. `benchmarks.study` runs this module.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import time
from typing import Any

import numpy as np
import torch  # pyrefly: ignore[missing-import]

from benchmarks.pytorch import (
  study_attackers,
  study_leakage,
  study_measures,
  study_networks,
  study_stages,
)
from benchmarks.pytorch.study_problem import Problem

Seconds = dict[str, float]


@contextlib.contextmanager
def clock(seconds: Seconds, name: str):
  """Adds the time of its block to `seconds[name]`."""
  start = time.monotonic()
  yield
  if torch.cuda.is_available():
    torch.cuda.synchronize()
  seconds[name] += time.monotonic() - start


def targets(study: study_stages.Study) -> dict[str, tuple[np.ndarray, float]]:
  """Returns `clean [n, d]` and the noise of every embedding and control."""
  out = {name: (r.clean, r.sigma) for name, r in study.released.items()}
  size = len(study.x), min(clean.shape[1] for clean, _ in out.values())
  rng = np.random.default_rng(study.config['seed'])
  answers = study_networks.in_blocks(study.simple, study.x).argmax(-1)
  controls = {
    'raw': study_networks.flat(study.x).cpu().numpy(),
    'noise': rng.standard_normal(size).astype(np.float32),
    'decision': np.eye(study.classes, dtype=np.float32)[answers],
  }
  return out | {f'control-{name}': (x, 0.0) for name, x in controls.items()}


def attack(
  study: study_stages.Study, seconds: Seconds, jobs: int
) -> dict[str, Any]:
  """Attacks and measures every target, one after the other.

  Args:
    study: the study after its release.
    seconds: receives the time of each kind of attacker and each measure.
    jobs: the number of threads of scikit-learn.
  """
  config, out = study.config['attack'], {}
  for name, (clean, sigma) in targets(study).items():
    problem = Problem(
      clean=clean,
      sigma=sigma,
      primary=study.primary,
      sensitive=study.sensitive,
      recording=study.recording,
      fold=study.fold,
      draws=config['draws'],
    )
    attacks = []
    for kind in config['adversaries']:
      with clock(seconds, kind):
        settings = {**config, **config['heads'], **config.get(kind, {})}
        results = study_attackers.ALL[kind](problem, settings, jobs)
        attacks += [(kind, each) for each in results]
    with clock(seconds, 'choice'):
      out[name] = {
        'leakage': study_leakage.measure(problem, attacks, config['windows'])
      }
    for measure, settings in config['measures'].items():
      with clock(seconds, measure):
        out[name][measure] = study_measures.ALL[measure](problem, settings)
    print(f'attack: {name}', flush=True)
  return out


def run(
  data: pathlib.Path, config: dict[str, Any], out: pathlib.Path, jobs: int
) -> None:
  """Runs the whole study; `jobs` as for `attack`."""
  timings, attacks = (collections.defaultdict(float) for _ in range(2))
  with clock(timings, 'data'):
    study = study_stages.Study(data, config)
  for stage in (
    study_stages.train,
    study_stages.siamese,
    study_stages.defend,
    study_stages.release,
  ):
    with clock(timings, stage.__name__):
      stage(study)
    print(f'{stage.__name__}: {timings[stage.__name__]:.1f} s', flush=True)
  with clock(timings, 'attack'):
    rows = attack(study, attacks, jobs)
  for name, released in study.released.items():
    rows[name]['utility'] = released.utility['test']
  out.mkdir(parents=True, exist_ok=True)
  (out / 'metrics.json').write_text(json.dumps(rows, indent=1))
  times = {'stages': timings, 'attack': attacks, 'torch': torch.__version__}
  (out / 'timings.json').write_text(json.dumps(times, indent=1))


def main() -> None:
  """Runs the study of the command line."""
  parser = argparse.ArgumentParser(allow_abbrev=False)
  for name in ('data', 'config', 'out'):
    parser.add_argument(f'--{name}', type=pathlib.Path, required=True)
  parser.add_argument('--device', default='cpu', help='cpu or cuda')
  parser.add_argument(
    '--jobs', type=int, default=os.cpu_count(), help='threads of scikit-learn'
  )
  flags = parser.parse_args()
  config = json.loads(flags.config.read_text())
  names = {*config['attack']['adversaries'], *config['attack']['measures']}
  missing = sorted(
    names - study_attackers.ALL.keys() - study_measures.ALL.keys()
  )
  if missing:
    parser.error(
      f'{flags.config} needs {", ".join(missing)}, which is missing.'
    )
  if flags.device != 'cpu':
    torch.set_default_device(flags.device)
  run(flags.data, config, flags.out, flags.jobs)


if __name__ == '__main__':
  main()
