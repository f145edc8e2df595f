#!/usr/bin/env bash
# Fetches NiiVue from npm, checks it against the hash below, and puts its one file where the review page loads it from.
# For development only: the file is part of the package. Needs npm and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.69.0
integrity="sha512-YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA=="
target=workflow/dixonflow/review/static/niivue

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent "@niivue/niivue@$version" >/dev/null)
archive=$(echo "$folder"/*.tgz)
found="sha512-$(openssl dgst -sha512 -binary "$archive" | openssl base64 -A)"
if [ "$found" != "$integrity" ]; then
  echo "bundle_niivue: the package of version $version is $found, not $integrity: nothing is changed" >&2
  exit 1
fi
tar -xzf "$archive" -C "$folder" package/dist/index.js
mkdir -p "$target"
install -m 644 "$folder/package/dist/index.js" "$target/niivue.js"
cat >"$target/niivue.json" <<JSON
{
  "package": "@niivue/niivue",
  "version": "$version",
  "integrity": "$integrity",
  "file": "package/dist/index.js",
  "sha256": "$(openssl dgst -sha256 -r "$target/niivue.js" | cut -d' ' -f1)",
  "licence": "BSD-2-Clause"
}
JSON
echo "bundle_niivue: NiiVue $version in $target"
