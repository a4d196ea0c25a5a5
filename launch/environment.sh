# Sourced by the other scripts: makes .venv once, and again when its inputs
# change. Afterwards $PYTHON is its interpreter. PYTHON3 names the base Python.

make_environment() {
  local root base stamp
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  base=${PYTHON3:-python3}
  PYTHON=$root/.venv/bin/python
  stamp=$(cat "$root/pyproject.toml" "$root/constraints.txt" | sha256sum)
  if [ "$(cat "$root/.venv/stamp" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  "$base" -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14)' || {
    echo "error: $base is not Python 3.11 to 3.13; set PYTHON3" >&2
    return 1
  }
  echo "making $root/.venv (some minutes, once)" >&2
  "$base" -m venv "$root/.venv" &&
    "$PYTHON" -m pip install --quiet --disable-pip-version-check \
      --constraint "$root/constraints.txt" \
      --editable "$root[watch,faces,digits,images,pretrained,export,serve,test]" &&
    echo "$stamp" > "$root/.venv/stamp"
}
