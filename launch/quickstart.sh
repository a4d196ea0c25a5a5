#!/usr/bin/env bash
# The main job on real data: bash launch/quickstart.sh [WORKDIR]
set -euo pipefail
workdir=$(realpath -m "${1:-runs/watch}")
if [ $# -eq 0 ]; then workdir=''; fi
cd "$(dirname "$0")/.."
source launch/environment.sh
make_environment "$STUDY"
"$PYTHON" -m hybrid_jax study --config=watch \
  --workdir="${workdir:-runs/watch}"
