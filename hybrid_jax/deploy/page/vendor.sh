#!/usr/bin/env bash
# Downloads LiteRT.js into vendor/: bash hybrid_jax/deploy/page/vendor.sh
#
# npm checks the hashes in package-lock.json and runs no scripts of packages. The
# page itself then needs no network except its own server.
set -euo pipefail
cd "$(dirname "$0")"
stamp=$(cat package-lock.json vendor.mjs | node -e '
  const hash = require("node:crypto").createHash("sha256");
  process.stdin.on("data", (d) => hash.update(d));
  process.stdin.on("end", () => console.log(hash.digest("hex")));' 2>/dev/null) || {
  echo 'error: Node.js and npm are needed to download LiteRT.js for the page' >&2
  exit 1
}
if [ "$(cat vendor/stamp 2>/dev/null)" = "$stamp" ]; then exit; fi
command -v npm >/dev/null || {
  echo 'error: npm is needed to download LiteRT.js for the page' >&2
  exit 1
}
echo "downloading LiteRT.js into $PWD/vendor (once)" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
rm -rf vendor
node vendor.mjs "$work/node_modules" vendor
echo "$stamp" > vendor/stamp
