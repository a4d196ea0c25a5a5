"""The PyTorch process of `launch.bench`: driven over pipes, a JSON line each.

    python -m benchmarks.pytorch.worker cpu|gpu

A line `{"ask": NAME, "arguments": {...}}` is answered by the function of that
name. Between two lines this process does nothing.
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
  """Which PyTorch this is."""
  return {
    'torch': torch.__version__,
    'python': platform.python_version(),
    'threads': torch.get_num_threads(),
    'device': torch.cuda.get_device_name() if DEVICE == 'cuda' else 'cpu',
  }


def call(function: str, arguments: dict[str, Any]) -> Any:
  """`MODULE.FUNCTION` of this folder, on its arguments."""
  module, _, name = function.partition('.')
  module = importlib.import_module(f'benchmarks.pytorch.{module}')
  return getattr(module, name)(DEVICE, **arguments)


def timed(
  maker: str, calls: int, arguments: dict[str, Any]
) -> dict[str, float]:
  """Seconds of `calls` calls of what `maker` makes; it is made once."""
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
  """Frees what was made, and what was compiled for it."""
  _made.clear()
  torch.compiler.reset()


def _wait():
  if DEVICE == 'cuda':
    torch.cuda.synchronize()


ANSWERS = {'about': about, 'call': call, 'time': timed, 'forget': forget}


def main() -> None:
  """Answers line by line until standard input ends."""
  # Compilers print; what they say must not get between the answers.
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  torch.manual_seed(0)
  # As JAX does on a GPU.
  torch.set_float32_matmul_precision('high' if DEVICE == 'cuda' else 'highest')
  for line in sys.stdin:
    request = json.loads(line)
    answer = ANSWERS[request['ask']](**request['arguments'])
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
  main()
