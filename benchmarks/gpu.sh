#!/usr/bin/env bash
# What one GPU does in eight minutes, without a network:
#   bash benchmarks/gpu.sh [--out=runs/gpu.json] [--small]
# PYTHON is an interpreter with the package; TORCH_PYTHON one with PyTorch, which
# may be the same, and is left out where there is none. See benchmarks/gpu.py.
set -euo pipefail
cd "$(dirname "$0")/.."
# Several processes share the GPU.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-.venv/bin/python}
torch=${TORCH_PYTHON:-.venv-torch/bin/python}
for candidate in "$torch" "$python"; do
  if "$candidate" -c 'import torch' 2>/dev/null; then
    exec "$python" -m benchmarks.gpu --torch_python="$candidate" "$@"
  fi
done
exec "$python" -m benchmarks.gpu --torch_python= "$@"
