#!/usr/bin/env bash
# Lint, format, types, tests: bash launch/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
make_environment
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m pyrefly check --python-interpreter-path "$PYTHON"
"$PYTHON" -m pytest "$@"
