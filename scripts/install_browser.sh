#!/usr/bin/env bash
# Installs Chromium and its driver from Debian's packages, for the tests of the review page. Needs root.
set -euo pipefail
. "$(dirname "$0")/debian_packages.sh"

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  echo "install_browser: $(chromium --version) is already installed"
  exit 0
fi
install_packages install_browser chromium chromium-driver
echo "install_browser: $(chromium --version) installed"
