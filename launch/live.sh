#!/usr/bin/env bash
# The live loop on one machine: a page whose edge half runs in the browser, and
# the cloud half behind it: bash launch/live.sh [WORKDIR [flags of hybrid-jax serve]]
set -euo pipefail
workdir=$(realpath -m "${1:-runs/watch}")
if [ $# -eq 0 ]; then workdir=''; fi
cd "$(dirname "$0")/.."
workdir=${workdir:-runs/watch}
if [ ! -f "$workdir/bundle/manifest.json" ]; then
  echo "error: $workdir holds no finished study; bash launch/quickstart.sh makes\
 runs/watch" >&2
  exit 1
fi
source launch/environment.sh
make_environment "$STUDY,serve"
"$PYTHON" -m hybrid_jax live --workdir="$workdir"
echo 'Open the address below in a browser.'
exec "$PYTHON" -m hybrid_jax serve --bundle="$workdir/live/bundle" \
  --page="$workdir/live" "${@:2}"
