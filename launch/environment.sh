# Sourced by the other scripts. `make_environment` makes .venv once, and again
# when its inputs change, with the versions of constraints.txt, the newest;
# `make_environment oldest` makes .venv-oldest by constraints-oldest.txt.
# Afterwards $PYTHON is its interpreter. PYTHON3 names the base Python.

make_environment() {
  local root base folder limits stamp extras
  extras=watch,faces,digits,audio,images,pretrained,export,serve,test
  if [ $# -eq 0 ]; then extras+=,docs,lint,load; fi
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  base=${PYTHON3:-python3}
  folder=$root/.venv${1:+-$1}
  limits=$root/constraints${1:+-$1}.txt
  PYTHON=$folder/bin/python
  stamp=$(cat "$root/pyproject.toml" "$limits" | sha256sum)
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  "$base" -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14)' || {
    echo "error: $base is not Python 3.11 to 3.13; set PYTHON3" >&2
    return 1
  }
  echo "making $folder (some minutes, once)" >&2
  "$base" -m venv "$folder" &&
    "$PYTHON" -m pip install --quiet --disable-pip-version-check \
      --constraint "$limits" \
      --editable "$root[$extras]" &&
    echo "$stamp" > "$folder/stamp"
}
