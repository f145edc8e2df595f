#!/usr/bin/env bash
# Sets up .venv with the pinned packages. Does nothing if .venv was already installed from the same files.
# CPU machines get torch's CPU build, machines with an NVIDIA driver the CUDA build of the same version.
# TORCH=cpu or TORCH=cuda decides instead, as for an image that is built on another machine.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${TORCH:-}" in "" | cpu | cuda) ;; *) echo "install: TORCH must be cpu or cuda, not $TORCH" >&2 && exit 1 ;; esac

torch=$(grep -v '^#' envs/torch.txt)
stamp=.venv/installed
wanted=$(cat envs/torch.txt envs/requirements.lock pyproject.toml scripts/install.sh | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }
python=""
for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3; do
  if usable "$candidate"; then python=$candidate && break; fi
  if [ -n "${PYTHON:-}" ]; then break; fi
done
if [ -z "$python" ]; then
  echo "install: Python 3.11 to 3.13 with venv is needed (Debian 12: apt install python3 python3-venv); or set PYTHON=/path/to/python3.11" >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { # what it does, command...
  echo "install: $1"
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "install: failed: $*" >&2
    echo "install: check that a package index is reachable (pip config list) and the disk is not full (df -h .), then run the same command again." >&2
    exit 1
  fi
}

step "virtual environment .venv" "$python" -m venv --clear .venv
step "pip and uv" .venv/bin/pip install --upgrade pip uv==0.13.9
torch_build=${TORCH:-}
if [ -z "$torch_build" ] && command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
  torch_build=cuda
fi
if [ "$torch_build" = cuda ]; then
  step "torch (CUDA, several GB)" .venv/bin/pip install "$torch"
elif [ "$(uname -s)" = Linux ]; then
  # The package index or wheel folder configured for pip may have the CPU build; PyPI does not. uv knows where it is published.
  if .venv/bin/pip install --no-deps --dry-run "$torch+cpu" >/dev/null 2>&1; then
    step "torch (CPU)" .venv/bin/pip install --no-deps "$torch+cpu"
  else
    step "torch (CPU)" .venv/bin/uv pip install --python .venv/bin/python --torch-backend cpu --no-deps "$torch"
  fi
else
  step "torch" .venv/bin/pip install "$torch"
fi
# --no-deps: nnunetv2 requires torchvision through timm and does not use it; it has no build for the CPU torch.
step "the pinned packages (about two minutes)" .venv/bin/pip install --no-deps -r envs/requirements.lock
step "dixonflow" .venv/bin/pip install --no-deps --no-build-isolation -e .
step "import test" .venv/bin/python -c "import dixonflow, torch, nnunetv2, SimpleITK, snakemake"
echo "$wanted" >"$stamp"
echo "install: done"
