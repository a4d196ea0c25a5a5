"""Times one TFLite file in a process of its own: needs NumPy and LiteRT alone.

    python -m hybrid_jax.deploy.export.latency_probe edge.tflite --threads=1

prints one line of JSON: `load_ms`, until the file can be called; `first_ms`,
the first call; `p50_ms` and `p95_ms` of those after it; `calls`, how many there
were; `peak_mib`, the most resident memory of the process once it loads the
file, and `own_mib`, how much of that is more than the interpreter's program
took. Memory is told on Linux; elsewhere it is `null`.
"""

import argparse
import contextlib
import json
import pathlib
import re
import time

import numpy as np

_WARM = 10  # calls after the first that are not counted


def measure(
  path: pathlib.Path, threads: int, seconds: float, most: int
) -> dict[str, float | None]:
  """Times `path`; see the module for what is found.

  Args:
    path: a TFLite file with one signature of float32 inputs.
    threads: of the interpreter.
    seconds: for how long it is called, once it is warm.
    most: calls that are counted, at most.
  """
  from ai_edge_litert import interpreter as litert  # Part of what is loaded.

  before = _memory('VmRSS')
  with contextlib.suppress(OSError):  # From here on, the peak is counted anew.
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  data = path.read_bytes()
  started = time.perf_counter()
  interpreter = litert.Interpreter(model_content=data, num_threads=threads)
  interpreter.allocate_tensors()
  run = interpreter.get_signature_runner()
  loaded = time.perf_counter() - started
  rng = np.random.default_rng(0)
  inputs = {
    name: rng.standard_normal(d['shape']).astype(d['dtype'])
    for name, d in run.get_input_details().items()
  }
  calls = []
  ends = None
  while ends is None or (time.perf_counter() < ends and len(calls) < most):
    if len(calls) == 1 + _WARM and ends is None:
      ends = time.perf_counter() + seconds
    called = time.perf_counter()
    run(**inputs)
    calls.append(time.perf_counter() - called)
  later = 1e3 * np.asarray(calls[1 + _WARM :])
  peak = _memory('VmHWM')
  return {
    'load_ms': 1e3 * loaded,
    'first_ms': 1e3 * calls[0],
    'p50_ms': float(np.percentile(later, 50)),
    'p95_ms': float(np.percentile(later, 95)),
    'calls': len(later),
    'peak_mib': peak,
    'own_mib': None if peak is None or before is None else peak - before,
  }


def _memory(name):
  """A line of the process's status, in MiB; `None` where there is none."""
  try:
    status = pathlib.Path('/proc/self/status').read_text()
  except OSError:
    return None
  return int(re.search(rf'{name}:\s+(\d+) kB', status)[1]) / 2**10


def _main():
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('path', type=pathlib.Path)
  parser.add_argument('--threads', type=int, default=1)
  parser.add_argument('--seconds', type=float, default=0.5)
  parser.add_argument('--most', type=int, default=2000)
  asked = parser.parse_args()
  found = measure(asked.path, asked.threads, asked.seconds, asked.most)
  print(json.dumps(found))


if __name__ == '__main__':
  _main()
