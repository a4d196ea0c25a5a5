#!/usr/bin/env bash
# Lint, format, types, tests: bash launch/test.sh [pytest arguments]
# Without arguments the oldest versions that are allowed are tested after the
# newest; `JAX=oldest bash launch/test.sh [pytest arguments]` does that alone.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
# The tests of the oldest versions are few, and need neither of the others.
TESTS=watch,faces,digits,images,audio,pretrained,export,serve,test

# A file's tests stay together, since they share what they train; files go in
# their order, in which those that take long are not the last.
run_pytest() {
  "$PYTHON" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
    --no-loadscope-reorder "$@"
}

# What depends on the versions of JAX, Flax, Optax, Orbax, Plotly and Hypercorn, and
# what Colab's users run. The rest is tested on the newest versions alone.
OLDEST=(tests/test_colabs.py::test_train_and_audit
  tests/training/distributed/test_distributed_training.py::test_only_the_first_process_prints
  tests/training/distributed/test_distributed_training.py::test_a_run_resumed_with_other_numbers_of_processes_equals_one
  tests/test_files.py tests/models/test_split.py tests/training/test_checkpoint.py
  tests/training/test_steps.py tests/training/test_heads.py
  tests/release/test_release.py tests/deploy/server/test_server.py)

if [ "${JAX:-newest}" = newest ]; then
  # An installation is one thread's work: the oldest versions install beside it.
  if [ $# -eq 0 ]; then
    (make_environment "$TESTS" oldest) &
    trap wait EXIT  # Nothing goes on after an error.
  fi
  make_environment "$TESTS,docs,lint,load"
  # The page's tests need LiteRT.js and Chromium, and are skipped without either.
  if command -v npm > /dev/null; then
    bash hybrid_jax/deploy/page/vendor.sh || echo 'the page is not tested' >&2
  fi
  "$PYTHON" -m ruff check .
  "$PYTHON" -m ruff format --check .
  "$(dirname "$PYTHON")/lint-imports"
  "$PYTHON" -m pyrefly check --python-interpreter-path "$PYTHON"
  wait  # A failed installation is tried again, and told, below.
  run_pytest "$@"
fi
if [ "${JAX:-}" = oldest ] || [ $# -eq 0 ]; then
  make_environment "$TESTS" oldest
  if [ $# -eq 0 ]; then set -- "${OLDEST[@]}"; fi
  run_pytest "$@"
fi
