#!/usr/bin/env bash
# Fills the folder wheels/ with all that scripts/install.sh installs, for a machine without internet access
# (docs/protected_environments.md). Run it on one of the same kind, with the same Python, after make install.
# TORCH=cuda packs torch's CUDA build with its libraries (several GB); the CPU build by default.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=$(grep -v '^#' envs/torch.txt)
uv=$(grep -o 'uv==[0-9.]*' scripts/install.sh)
.venv/bin/pip wheel --wheel-dir wheels --no-deps pip "$uv" -r envs/requirements.lock
case "${TORCH:-cpu}" in
cuda) .venv/bin/pip wheel --wheel-dir wheels "$torch" ;;
cpu)
  if ! .venv/bin/pip wheel --wheel-dir wheels --no-deps "$torch+cpu"; then
    echo "pack_wheels: pip finds no CPU build: put the wheel of $torch+cpu into wheels/, from where torch publishes it" >&2
    exit 1
  fi
  ;;
*) echo "pack_wheels: TORCH must be cpu or cuda, not $TORCH" >&2 && exit 1 ;;
esac
echo "pack_wheels: wheels/ holds $(ls wheels | wc -l) files, $(du -sh wheels | cut -f1)"
