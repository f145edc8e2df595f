#!/usr/bin/env bash
# Installs strace from Debian's packages, for the test that a run connects to nothing. Needs root, unless it is there.
set -euo pipefail
. "$(dirname "$0")/debian_packages.sh"

command -v strace >/dev/null || install_packages install_strace strace
echo "install_strace: $(strace --version | head -n 1) is installed"
