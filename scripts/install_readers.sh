#!/usr/bin/env bash
# Installs programs that read exports, from Debian's packages: R with haven (Stata files, docs/day_one.md) and PLINK 2.
# For tests only. Needs root.
set -euo pipefail

packages=(r-base-core r-cran-haven plink2)
if command -v plink2 >/dev/null && command -v Rscript >/dev/null && Rscript -e 'library(haven)' >/dev/null 2>&1; then
  echo "install_readers: $(Rscript --version 2>&1), $(plink2 --version) are already installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install_readers: run as root, or have these packages installed: ${packages[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
echo "install_readers: $(Rscript --version 2>&1), $(plink2 --version) installed"
