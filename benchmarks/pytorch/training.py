"""A training step and a forward pass in PyTorch; see `worker`.

The work is the same as in JAX, but without the training accuracy.
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
  """Returns a step of the primary task on a random batch of data in memory.

  Args:
    device: `'cpu'` or `'cuda'`.
    network: the arguments of `networks.make`, without the layout.
    training: `batch_size`, `learning_rate`, `weight_decay`.
    examples: the number of examples in memory.
    layout: `'contiguous'` or `'channels_last'`.
    fused: whether AdamW is PyTorch's fused one.
    compiled: whether `torch.compile` compiles it, in its default mode.
    autocast: whether to compute in bfloat16.
  """
  channels_last = layout == 'channels_last'
  height, width, channels = network['example']
  # The strides of `[n, channels, height, width]` are channels-last at first.
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
  """Whether `torch.compile` works here; on the CPU it needs a C++ compiler."""
  names = ('g++', 'clang++', 'c++')
  return device != 'cpu' or any(map(shutil.which, names))


def logits(device: str, network: dict[str, Any], file: str) -> list[Any]:
  """Returns the logits of a network with weights from a file.

  Args:
    device: `'cpu'` or `'cuda'`.
    network: as for `task`.
    file: an `.npz` of `x [batch, height, width, channels]`, and weights in the
      network's order, `w0`, `w1` and so on.

  Raises:
    ValueError: the number of weights or a shape is wrong.
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
    values = model.to(device)(x).tolist()
  if device == 'cuda':
    torch.set_float32_matmul_precision('high')
  return values


def updater(
  model: nn.Module,
  forward: Callable[..., Any],
  training: dict[str, Any],
  fused: bool,
) -> Callable[[Any, Any], None]:
  """Returns a step of AdamW on `model` for a batch `x, y`."""
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
