"""The PyTorch side of `launch.bench`: runs in .venv-torch, driven over pipes.

One JSON object a line. The first line in gives the sizes; what is answered
says which PyTorch this is. Each later line names a benchmark and is answered
with `{"seconds": ...}`. Between two lines this process does nothing. The work
is that of the JAX side, except that no training accuracy is computed.
"""

import itertools
import json
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import torch  # pyrefly: ignore[missing-import]
from torch import nn  # pyrefly: ignore[missing-import]

Step = Callable[[], None]


def convolutional(sizes: dict[str, Any], channels_last: bool) -> nn.Sequential:
  """The network of `hybrid_jax.models.cnn1d` on `[batch, channels, 1, time]`.

  Args:
    sizes: `channels`, `time`, `widths`, `kernel`, `dense` and `classes`.
    channels_last: in what order the features are flattened: in that of the
      memory, which costs no copy.
  """
  layers, channels, time_left = [], sizes['channels'], sizes['time']
  for width in sizes['widths']:
    layers += [
      nn.Conv2d(channels, width, (1, sizes['kernel']), padding='same'),
      nn.MaxPool2d((1, 2)),
      nn.ReLU(),
    ]
    channels, time_left = width, time_left // 2
  return nn.Sequential(
    *layers,
    _ChannelsToEnd() if channels_last else nn.Identity(),
    nn.Flatten(),
    nn.Linear(channels * time_left, sizes['dense']),
    nn.ReLU(),
    nn.Linear(sizes['dense'], sizes['classes']),
  )


class _ChannelsToEnd(nn.Module):
  def forward(self, x):
    return x.permute(0, 2, 3, 1)


def task_step(sizes: dict[str, Any], layout: str, fused: bool) -> Step:
  """One step of the primary task on a batch drawn from data in memory.

  Args:
    sizes: see `convolutional`; and `examples`, `batch_size`, `learning_rate`,
      `weight_decay`.
    layout: `'contiguous'` or `'channels_last'`.
    fused: whether AdamW is PyTorch's fused one.
  """
  channels_last = layout == 'channels_last'
  shape = (sizes['examples'], 1, sizes['time'], sizes['channels'])
  # `[n, channels, 1, time]` either way; these strides are channels-last.
  x = torch.randn(shape)
  if not channels_last:
    x = x.permute(0, 3, 1, 2).contiguous()
  y = torch.randint(sizes['classes'], shape[:1])
  model = convolutional(sizes, channels_last)
  if channels_last:
    model = model.to(memory_format=torch.channels_last)
  update = _updater(model, sizes, fused)

  def step():
    rows = torch.randint(len(x), (sizes['batch_size'],))
    batch = x[rows]
    if channels_last:
      batch = batch.permute(0, 3, 1, 2)
    update(batch, y[rows])

  return step


def head_trainers(sizes: dict[str, Any], fused: bool) -> list[Step]:
  """Functions that each train one adversary, from new, as `heads.train` does.

  Args:
    sizes: `examples`, `held`, `features`, `widths`, `classes`, `members`,
      `batch_size`, `learning_rate`, `weight_decay`, `chunk` (steps between two
      looks at the held examples) and `max_chunks`.
    fused: whether AdamW is PyTorch's fused one.
  """
  x, held = (
    torch.randn(sizes[n], sizes['features']) for n in ('examples', 'held')
  )
  y, held_y = (
    torch.randint(sizes['classes'], (sizes[n],)) for n in ('examples', 'held')
  )
  widths = [sizes['features'], *sizes['widths'], sizes['classes']]

  def train():
    layers = []
    for a, b in itertools.pairwise(widths):
      layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    update = _updater(model, sizes, fused)
    for _ in range(sizes['max_chunks']):
      for _ in range(sizes['chunk']):
        rows = torch.randint(len(x), (sizes['batch_size'],))
        update(x[rows], y[rows])
      with torch.inference_mode():
        logits = model(held)
        nn.functional.cross_entropy(logits, held_y).item()
        (logits.argmax(-1) == held_y).float().mean().item()

  return [train] * sizes['members']


def _updater(model, sizes, fused):
  optimizer = torch.optim.AdamW(
    model.parameters(),
    sizes['learning_rate'],
    weight_decay=sizes['weight_decay'],
    fused=fused or None,
  )

  def update(x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()

  return update


def main() -> None:
  """Answers line by line until standard input ends."""
  sizes = json.loads(sys.stdin.readline())
  torch.manual_seed(0)
  about = {
    'torch': torch.__version__,
    'python': platform.python_version(),
    'threads': torch.get_num_threads(),
  }
  print(json.dumps(about), flush=True)
  made = {}
  for line in sys.stdin:
    request = json.loads(line)
    fused = request['adamw'] == 'fused'
    if request['benchmark'] == 'task':
      name = request['layout'], fused
      if name not in made:
        made[name] = task_step(sizes['task'], request['layout'], fused)
      calls = [made[name]] * request['steps']
    else:
      calls = head_trainers(sizes['heads'], fused)
    start = time.perf_counter()
    for call in calls:
      call()
    seconds = time.perf_counter() - start
    print(json.dumps({'seconds': seconds}), flush=True)


if __name__ == '__main__':
  main()
