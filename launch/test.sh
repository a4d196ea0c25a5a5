#!/usr/bin/env bash
# Lint, format, types, tests: bash launch/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
make_environment
# The page's tests need LiteRT.js and Chromium, and are skipped without either.
if command -v npm > /dev/null; then
  bash hybrid_jax/serving/page/vendor.sh || echo 'the page is not tested' >&2
fi
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m pyrefly check --python-interpreter-path "$PYTHON"
# A file's tests stay together, since they share what they train; files go in
# their order, in which those that take long are not the last.
"$PYTHON" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
  --no-loadscope-reorder "$@"
