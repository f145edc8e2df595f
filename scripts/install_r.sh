#!/usr/bin/env bash
# Installs R and haven from Debian's packages, for the tests of exports to Stata and of docs/day_one.md. Needs root.
set -euo pipefail

packages=(r-base-core r-cran-haven)
if command -v Rscript >/dev/null && Rscript -e 'library(haven)' >/dev/null 2>&1; then
  echo "install_r: $(Rscript --version 2>&1) is already installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install_r: run as root, or have these packages installed: ${packages[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
echo "install_r: $(Rscript --version 2>&1) installed"
