# Sourced by the other scripts. `make_environment EXTRAS` makes .venv once, with
# the package and these extras of pyproject.toml, in the versions of
# constraints.txt, the newest. Extras that are missing later are added, and a
# change of either file installs all again. `make_environment EXTRAS oldest` makes
# .venv-oldest by constraints-oldest.txt. Afterwards $PYTHON is its interpreter.
# PYTHON3 names the base Python. uv installs, where there is one, and else pip.

STUDY=watch,export  # all that a watch study needs

make_environment() {
  local root base folder limits hash had extras
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  base=${PYTHON3:-python3}
  folder=$root/.venv${2:+-$2}
  limits=$root/constraints${2:+-$2}.txt
  PYTHON=$folder/bin/python
  hash=$(cat "$root/pyproject.toml" "$limits" | sha256sum | cut -c 1-64)
  # The stamp: of which files, and which extras there are, in their order.
  had=$(cut -d ' ' -f 2 "$folder/stamp" 2>/dev/null || true)
  extras=$(tr , '\n' <<< "$1,$had" | grep . | sort -u | paste -s -d ,)
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$hash $extras" ]; then
    return
  fi
  "$base" -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14)' || {
    echo "error: $base is not Python 3.11 to 3.13; set PYTHON3" >&2
    return 1
  }
  echo "installing [$extras] into $folder (some minutes, once)" >&2
  rm -f "$folder/stamp"
  if [ ! -x "$PYTHON" ]; then
    make_venv "$base" "$folder" || return
  fi
  install_packages --constraint "$limits" --editable "$root[$extras]" &&
    echo "$hash $extras" > "$folder/stamp"
}

make_venv() {
  if command -v uv > /dev/null; then
    uv venv --quiet --seed --python "$1" "$2" && return
  fi
  "$1" -m venv "$2"
}

install_packages() {
  if command -v uv > /dev/null; then
    uv pip install --quiet --python "$PYTHON" "$@" && return
    echo 'uv failed; pip tries the same' >&2
  fi
  "$PYTHON" -m pip install --quiet --disable-pip-version-check "$@"
}
