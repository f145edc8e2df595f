#!/usr/bin/env bash
# Fetches NiiVue from npm, checks it against the hash below, and puts its one file where the review page loads it from.
# For development only: the file is part of the package. Needs npm and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/npm_file.sh

version=0.69.0
integrity="sha512-YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA=="
target=workflow/dixonflow/review/static/niivue

npm_file bundle_niivue @niivue/niivue "$version" "$integrity" dist/index.js "$target/niivue.js"
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
