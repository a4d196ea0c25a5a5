"""A training step in PyTorch, and a network's answers; see `worker`.

The work is that of the JAX side, except that no training accuracy is computed.
"""

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyrefly: ignore[missing-import]
from torch import nn  # pyrefly: ignore[missing-import]

from benchmarks.pytorch import networks

Step = Callable[[], None]


def task(
  device: str,
  network: dict[str, Any],
  training: dict[str, Any],
  examples: int,
  layout: str,
  fused: bool,
  compiled: bool,
  autocast: bool = False,
) -> Step:
  """One step of the primary task on a batch drawn from data in memory.

  Args:
    device: `'cpu'` or `'cuda'`.
    network: the arguments of `networks.make`, but for the layout.
    training: `batch_size`, `learning_rate`, `weight_decay`.
    examples: how many are in memory.
    layout: `'contiguous'` or `'channels_last'`.
    fused: whether AdamW is PyTorch's fused one.
    compiled: by `torch.compile`, in its default mode.
    autocast: to bfloat16.
  """
  channels_last = layout == 'channels_last'
  height, width, channels = network['example']
  # `[n, channels, height, width]` either way; these strides are channels-last.
  x = torch.randn((examples, height, width, channels), device=device)
  if not channels_last:
    x = x.permute(0, 3, 1, 2).contiguous()
  y = torch.randint(network['classes'], (examples,), device=device)
  model = networks.make(**network, channels_last=channels_last).to(device)
  if channels_last:
    model = model.to(memory_format=torch.channels_last)
  forward = torch.compile(model, dynamic=False) if compiled else model

  def cast(x):
    with torch.autocast(device, torch.bfloat16):
      return forward(x).float()

  update = updater(model, cast if autocast else forward, training, fused)

  def step():
    rows = torch.randint(examples, (training['batch_size'],), device=device)
    batch = x[rows]
    if channels_last:
      batch = batch.permute(0, 3, 1, 2)
    update(batch, y[rows])

  return step


def can_compile(device: str) -> bool:
  """Whether `torch.compile` has what it needs: on the CPU, a C++ compiler."""
  names = ('g++', 'clang++', 'c++')
  return device != 'cpu' or any(map(shutil.which, names))


def logits(device: str, network: dict[str, Any], file: str) -> list[Any]:
  """What a network with given weights answers.

  Args:
    device: where it runs.
    network: as for `task`.
    file: an `.npz` of `x [batch, height, width, channels]`, and weights in the
      network's order, `w0`, `w1` and so on.

  Raises:
    ValueError: the weights are not as many, or not of those shapes.
  """
  arrays = np.load(file, allow_pickle=False)
  model = networks.make(**network, channels_last=True)
  for i, p in enumerate(parameters := list(model.parameters())):
    if arrays[f'w{i}'].shape != tuple(p.shape):
      raise ValueError(f'{i}: {arrays[f"w{i}"].shape} for {tuple(p.shape)}')
    p.data = torch.from_numpy(arrays[f'w{i}'])
  if len(arrays) != len(parameters) + 1:
    raise ValueError(f'{len(arrays) - 1} arrays for {len(parameters)}')
  x = torch.from_numpy(arrays['x']).permute(0, 3, 1, 2).to(device)
  flags = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
  with torch.inference_mode(), flags:
    torch.set_float32_matmul_precision('highest')
    found = model.to(device)(x).tolist()
  if device == 'cuda':
    torch.set_float32_matmul_precision('high')
  return found


def updater(
  model: nn.Module,
  forward: Callable[..., Any],
  training: dict[str, Any],
  fused: bool,
) -> Callable[[Any, Any], None]:
  """A step of AdamW on `model`, which `forward` runs, for a batch `x, y`."""
  optimizer = torch.optim.AdamW(
    model.parameters(),
    training['learning_rate'],
    weight_decay=training['weight_decay'],
    fused=fused or None,
  )

  def update(x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(forward(x), y).backward()
    optimizer.step()

  return update
