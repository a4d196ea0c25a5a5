#!/usr/bin/env bash
# Fetches LiteRT.js into vendor/, once: bash hybrid_jax/deploy/page/vendor.sh
#
# npm checks every file by the hashes in package-lock.json, and runs no script of
# any package. Afterwards the page needs no network but its own server.
set -euo pipefail
cd "$(dirname "$0")"
stamp=$(cat package-lock.json vendor.mjs | node -e '
  const hash = require("node:crypto").createHash("sha256");
  process.stdin.on("data", (d) => hash.update(d));
  process.stdin.on("end", () => console.log(hash.digest("hex")));' 2>/dev/null) || {
  echo 'error: the page needs Node.js and npm, once, to fetch LiteRT.js' >&2
  exit 1
}
if [ "$(cat vendor/stamp 2>/dev/null)" = "$stamp" ]; then exit; fi
command -v npm >/dev/null || {
  echo 'error: the page needs npm, once, to fetch LiteRT.js' >&2
  exit 1
}
echo "fetching LiteRT.js into $PWD/vendor (once)" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
rm -rf vendor
node vendor.mjs "$work/node_modules" vendor
echo "$stamp" > vendor/stamp
