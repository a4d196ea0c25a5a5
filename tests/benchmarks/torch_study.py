"""Run by .venv-torch for `test_torch_study`: arrays to JSON on the output."""

import json
import sys

import numpy as np
import torch

from benchmarks.pytorch import (
  study_attackers,
  study_measures,
  study_networks,
  study_problem,
)

CONFIG = {
  'bandwidths': [0.3, 1.0],
  'ceiling': {'releases': [1, 4], 'resamples': 20},
  'ranks': {'max_items': 100},
}


def cut() -> float:
  """How far a network's halves are from the whole, at any split point."""
  options = {'widths': [8, 8, 4], 'kernel': 3, 'dense': 5}
  network = study_networks.Network(torch.zeros(1, 6, 1, 128), 7, options)
  x = torch.randn(3, 1, 128, 6).permute(0, 3, 1, 2)
  halves = [network.cloud(network.edge(x, p), p) for p in study_networks.POINTS]
  return float((torch.stack(halves) - network(x)).abs().max())


def measured(arrays: dict[str, np.ndarray], sigma: float) -> dict:
  """What is deterministic of the attacks on a problem."""
  names = ('clean', 'primary', 'recording', 'fold')
  problem = study_problem.Problem(
    sigma=sigma,
    sensitive={name: arrays[name] for name in ('person', 'side')},
    draws=2,
    **{name: arrays[name] for name in names},
  )
  return {
    'ranks': study_measures.ranks(problem, CONFIG['ranks']),
    'ceiling': study_measures.ceilings(problem, CONFIG['ceiling']),
    'kde': [a.test.tolist() for a in study_attackers.kde(problem, CONFIG, 1)],
  }


if __name__ == '__main__':
  given = dict(np.load(sys.argv[1]))
  z, y = torch.as_tensor(given['clean']), torch.as_tensor(given['primary'])
  found = {
    'balanced': float(study_networks.contrastive(z, y, 4.0, balance=True)),
    'plain': float(study_networks.contrastive(z, y, 4.0, balance=False)),
    'bits': float(study_networks.gaussian_bits(z, y, 3)),
    'cut': cut(),
    'problems': [measured(given, sigma) for sigma in (0.0, 0.7)],
  }
  print(json.dumps(found))
