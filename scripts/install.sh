#!/usr/bin/env bash
# Sets up .venv with the pinned packages. Does nothing where that was done from the same files already.
# CPU machines get torch's CPU build, machines with an NVIDIA driver the CUDA build of the same version.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=$(grep -v '^#' envs/torch.txt)
stamp=.venv/installed
wanted=$(cat envs/torch.txt envs/requirements.lock pyproject.toml scripts/install.sh | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

python=${PYTHON:-python3.11}
if ! command -v "$python" >/dev/null; then python=python3; fi
if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
  echo "install: Python 3.11 with venv is needed (Debian 12: apt install python3 python3-venv); or set PYTHON=/path/to/python3.11" >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { # what it does, command...
  echo "install: $1"
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "install: this failed: $*" >&2
    echo "install: is a package index reachable (pip config list), is the disk full (df -h .)? Then run the same command again." >&2
    exit 1
  fi
}

step "virtual environment .venv" "$python" -m venv --clear .venv
step "pip and uv" .venv/bin/pip install --upgrade pip uv==0.13.9
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
  step "torch (CUDA, several GB)" .venv/bin/pip install "$torch"
elif [ "$(uname -s)" = Linux ]; then
  # A package index, or a folder of wheels, that pip is configured for may hold the CPU build; PyPI does not. uv knows where it is published.
  if .venv/bin/pip install --no-deps --dry-run "$torch+cpu" >/dev/null 2>&1; then
    step "torch (CPU)" .venv/bin/pip install --no-deps "$torch+cpu"
  else
    step "torch (CPU)" .venv/bin/uv pip install --python .venv/bin/python --torch-backend cpu --no-deps "$torch"
  fi
else
  step "torch" .venv/bin/pip install "$torch"
fi
# --no-deps: nnunetv2 asks for torchvision by way of timm and does not use it; it has no build for the CPU torch.
step "the pinned packages (about two minutes)" .venv/bin/pip install --no-deps -r envs/requirements.lock
step "dixonflow" .venv/bin/pip install --no-deps --no-build-isolation -e .
step "trying it" .venv/bin/python -c "import dixonflow, torch, nnunetv2, SimpleITK, snakemake"
echo "$wanted" >"$stamp"
echo "install: done"
