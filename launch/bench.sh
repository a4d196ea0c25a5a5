#!/usr/bin/env bash
# JAX and PyTorch timed by turns: bash launch/bench.sh [--suite=all]
# [--out=FILE.json]; see launch/bench.py.
set -euo pipefail
arguments=()
# PyTorch lives apart: nothing else here needs it. The build without CUDA is a
# tenth of the size; where there is none of that name, the plain one is it.
torch='torch==2.13.0+cpu'
for argument in "$@"; do  # A path is meant from where the command was given.
  case $argument in
    --out=* | --plot=*)
      argument=${argument%%=*}=$(realpath -m "${argument#*=}") ;;
    --platform=gpu) torch='torch==2.13.0' ;;
  esac
  arguments+=("$argument")
done
cd "$(dirname "$0")/.."
source launch/environment.sh
make_environment "$STUDY"

stamp="$torch numpy scikit-learn"
if [ "$(cat .venv-torch/stamp 2>/dev/null)" != "$stamp" ]; then
  echo "making $PWD/.venv-torch (some minutes, once)" >&2
  "$PYTHON" -m venv .venv-torch
  install=(.venv-torch/bin/python -m pip install --quiet
    --disable-pip-version-check --retries 1)
  "${install[@]}" "$torch" numpy scikit-learn \
    --extra-index-url https://download.pytorch.org/whl/cpu 2>/dev/null ||
    "${install[@]}" 'torch==2.13.0' numpy scikit-learn
  echo "$stamp" > .venv-torch/stamp
fi
"$PYTHON" -m launch.bench "${arguments[@]}"
