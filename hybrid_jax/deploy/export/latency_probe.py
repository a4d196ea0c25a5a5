"""Measures one TFLite file in this process. Needs only NumPy and LiteRT.

    python -m hybrid_jax.deploy.export.latency_probe edge.tflite --threads=1

It prints the result of `measure` as one line of JSON.
"""

import argparse
import contextlib
import json
import pathlib
import re
import time

import numpy as np

_WARM_UP = 10  # calls after the first that are not counted


def measure(
  path: pathlib.Path, threads: int, seconds: float, max_calls: int
) -> dict[str, float | None]:
  """Measures time and memory of a TFLite file.

  Args:
    path: a TFLite file with one signature.
    threads: how many threads the interpreter uses.
    seconds: how long the file is called after the warm-up.
    max_calls: stops earlier after so many counted calls.

  Returns:
    `load_ms`: the time until the file can be called.
    `first_ms`: the time of the first call.
    `p50_ms`, `p95_ms`: percentiles of the counted calls.
    `calls`: how many calls were counted.
    `peak_mib`: the peak resident memory of the process since before loading.
    `own_mib`: how much of it is above the memory before loading.
    Memory is only measured on Linux; it is None elsewhere.
  """
  # Imported here, before memory is measured: it is not memory of the file.
  from ai_edge_litert import interpreter as litert

  before = memory('VmRSS')
  reset_peak()
  data = path.read_bytes()
  started = time.perf_counter()
  interpreter = litert.Interpreter(model_content=data, num_threads=threads)
  interpreter.allocate_tensors()
  run = interpreter.get_signature_runner()
  load_seconds = time.perf_counter() - started
  rng = np.random.default_rng(0)
  inputs = {
    name: rng.standard_normal(d['shape']).astype(d['dtype'])
    for name, d in run.get_input_details().items()
  }
  calls = []
  deadline = None
  while deadline is None or (
    time.perf_counter() < deadline and len(calls) < max_calls
  ):
    if len(calls) == 1 + _WARM_UP and deadline is None:
      deadline = time.perf_counter() + seconds
    call_started = time.perf_counter()
    run(**inputs)
    calls.append(time.perf_counter() - call_started)
  counted = 1e3 * np.asarray(calls[1 + _WARM_UP :])
  peak = memory('VmHWM')
  return {
    'load_ms': 1e3 * load_seconds,
    'first_ms': 1e3 * calls[0],
    'p50_ms': float(np.percentile(counted, 50)),
    'p95_ms': float(np.percentile(counted, 95)),
    'calls': len(counted),
    'peak_mib': peak,
    'own_mib': None if peak is None or before is None else peak - before,
  }


def reset_peak() -> None:
  """Lets the peak memory of this process begin anew, where that is possible."""
  with contextlib.suppress(OSError):
    pathlib.Path('/proc/self/clear_refs').write_text('5')


def memory(name: str) -> float | None:
  """Returns an entry of the process status in MiB; None without /proc.

  Args:
    name: `'VmHWM'` for the peak, `'VmRSS'` for now.
  """
  try:
    status = pathlib.Path('/proc/self/status').read_text()
  except OSError:
    return None
  entry = re.search(rf'{name}:\s+(\d+) kB', status)
  return int(entry[1]) / 2**10 if entry else None


def _main():
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('path', type=pathlib.Path)
  parser.add_argument('--threads', type=int, default=1)
  parser.add_argument('--seconds', type=float, default=0.5)
  parser.add_argument('--max-calls', type=int, default=2000)
  args = parser.parse_args()
  result = measure(args.path, args.threads, args.seconds, args.max_calls)
  print(json.dumps(result))


if __name__ == '__main__':
  _main()
