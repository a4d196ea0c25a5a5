"""The PyTorch process of `launch.bench`, driven by JSON lines over pipes.

    python -m benchmarks.pytorch.worker cpu|gpu

A line `{"ask": NAME, "arguments": {...}}` calls the function of that name, and
the answer is a line too. Between two lines the process is idle.
"""

import importlib
import json
import os
import platform
import sys
import time
from typing import Any

import torch  # pyrefly: ignore[missing-import]

DEVICE = 'cuda' if sys.argv[1:] == ['gpu'] else 'cpu'
_made: dict[str, Any] = {}


def about() -> dict[str, Any]:
  """Returns the versions, the device and the threads of PyTorch."""
  return {
    'torch': torch.__version__,
    'python': platform.python_version(),
    'threads': torch.get_num_threads(),
    'device': torch.cuda.get_device_name() if DEVICE == 'cuda' else 'cpu',
  }


def call(function: str, arguments: dict[str, Any]) -> Any:
  """Calls `MODULE.FUNCTION` of this folder, and returns its result."""
  module, _, name = function.partition('.')
  module = importlib.import_module(f'benchmarks.pytorch.{module}')
  return getattr(module, name)(DEVICE, **arguments)


def timed(
  maker: str, calls: int, arguments: dict[str, Any]
) -> dict[str, float]:
  """Times `calls` calls of the function that `maker` makes at first use."""
  key = json.dumps([maker, arguments])
  if key not in _made:
    _made[key] = call(maker, arguments)
  _wait()
  start = time.perf_counter()
  for _ in range(calls):
    _made[key]()
  _wait()
  return {'seconds': time.perf_counter() - start}


def forget() -> None:
  """Frees all timed functions and their compiled programs."""
  _made.clear()
  torch.compiler.reset()


def _wait():
  if DEVICE == 'cuda':
    torch.cuda.synchronize()


ANSWERS = {'about': about, 'call': call, 'time': timed, 'forget': forget}


def main() -> None:
  """Answers requests until standard input ends."""
  # Compilers print to standard output; keep their lines out of the answers.
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  torch.manual_seed(0)
  # The same precision as JAX on a GPU.
  torch.set_float32_matmul_precision('high' if DEVICE == 'cuda' else 'highest')
  for line in sys.stdin:
    request = json.loads(line)
    answer = ANSWERS[request['ask']](**request['arguments'])
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
  main()
