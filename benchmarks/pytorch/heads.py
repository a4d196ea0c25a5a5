"""Adversaries in PyTorch, one after the other; see `worker`."""

import itertools
from collections.abc import Callable
from typing import Any

import torch  # pyrefly: ignore[missing-import]
from torch import nn  # pyrefly: ignore[missing-import]

from benchmarks.pytorch import training


def train(
  device: str, sizes: dict[str, Any], members: int, fused: bool
) -> Callable[[], None]:
  """Returns a function that trains new adversaries, as `heads.train` does.

  Args:
    device: `'cpu'` or `'cuda'`.
    sizes: `examples`, `held`, `features`, `widths`, `classes`, `batch_size`,
      `learning_rate`, `weight_decay`, `chunk` (steps between two evaluations
      of the held-out examples) and `max_chunks`.
    members: the number of adversaries.
    fused: whether AdamW is PyTorch's fused one.
  """
  counts = sizes['examples'], sizes['held']
  x, held = (torch.randn(n, sizes['features'], device=device) for n in counts)
  y, held_y = (
    torch.randint(sizes['classes'], (n,), device=device) for n in counts
  )
  widths = [sizes['features'], *sizes['widths'], sizes['classes']]

  def one():
    layers = []
    for a, b in itertools.pairwise(widths):
      layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).to(device)
    update = training.updater(model, model, sizes, fused)
    for _ in range(sizes['max_chunks']):
      for _ in range(sizes['chunk']):
        rows = torch.randint(len(x), (sizes['batch_size'],), device=device)
        update(x[rows], y[rows])
      with torch.inference_mode():
        logits = model(held)
        nn.functional.cross_entropy(logits, held_y).item()
        (logits.argmax(-1) == held_y).float().mean().item()

  def run():
    for _ in range(members):
      one()

  return run
