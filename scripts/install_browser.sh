#!/usr/bin/env bash
# Installs Chromium and its driver from Debian's packages, and fetches axe-core from npm, for the tests of the review
# page. Needs root, unless they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian_packages.sh
. scripts/npm_file.sh

axe_version=4.14.1
axe_integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
axe=.browser/axe-core-$axe_version/axe.min.js

packages=()
command -v chromium >/dev/null && command -v chromedriver >/dev/null || packages+=(chromium chromium-driver)
[ -f "$axe" ] || command -v npm >/dev/null || packages+=(npm)
if [ "${#packages[@]}" -gt 0 ]; then
  install_packages install_browser "${packages[@]}"
fi
[ -f "$axe" ] || npm_file install_browser axe-core "$axe_version" "$axe_integrity" axe.min.js "$axe"
echo "install_browser: $(chromium --version) and axe-core $axe_version are installed"
