#!/usr/bin/env bash
# Installs programs that read exports, from Debian's packages: R with haven (Stata files, docs/day_one.md) and PLINK 2.
# For tests only. Needs root.
set -euo pipefail
. "$(dirname "$0")/debian_packages.sh"

if command -v plink2 >/dev/null && command -v Rscript >/dev/null && Rscript -e 'library(haven)' >/dev/null 2>&1; then
  echo "install_readers: $(Rscript --version 2>&1), $(plink2 --version) are already installed"
  exit 0
fi
install_packages install_readers r-base-core r-cran-haven plink2
echo "install_readers: $(Rscript --version 2>&1), $(plink2 --version) installed"
