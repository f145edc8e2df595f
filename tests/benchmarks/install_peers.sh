#!/usr/bin/env bash
# Sets up .venv-peers with the programs that the benchmarks compare with, at the versions of envs/benchmark-peers.txt.
# A peer that cannot be installed is left out: the benchmarks find out and name it as missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

peers=(dcm2niix nnunetv2 totalsegmentator tptbox simpleitk scikit-image scipy panoptica surface-distance)
torch=$(grep -v '^#' envs/torch.txt)
stamp=.venv-peers/installed
wanted=$(cat envs/torch.txt envs/benchmark-peers.txt tests/benchmarks/install_peers.sh | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

log=$(mktemp)
lock=$(mktemp)
trap 'rm -f "$log" "$lock"' EXIT
say() { echo "install_peers: $1"; }
pip() { .venv-peers/bin/pip install --no-deps "$@" >"$log" 2>&1; }

say "virtual environment .venv-peers"
.venv/bin/python -m venv --clear .venv-peers
echo '*' >.venv-peers/.gitignore
.venv-peers/bin/pip install --upgrade pip uv==0.13.9 >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
# As scripts/install.sh: the CUDA build where there is a GPU, otherwise no CUDA packages.
say "torch"
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
  .venv-peers/bin/pip install "$torch" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
elif [ "$(uname -s)" != Linux ]; then
  pip "$torch" || { tail -n 20 "$log" >&2; exit 1; }
elif ! pip "$torch+cpu"; then
  .venv-peers/bin/uv pip install --python .venv-peers/bin/python --torch-backend cpu --no-deps "$torch" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; exit 1; }
fi
say "what the peers need"
grep -vE "^($(IFS='|'; echo "${peers[*]}"))==|^#" envs/benchmark-peers.txt >"$lock"
pip -r "$lock" || { tail -n 20 "$log" >&2; exit 1; }
for peer in "${peers[@]}"; do
  pin=$(grep "^$peer==" envs/benchmark-peers.txt)
  say "$pin"
  pip "$pin" || { tail -n 3 "$log" >&2; say "$peer cannot be installed and will be named as missing"; missing=1; }
done
if [ -z "${missing:-}" ]; then
  echo "$wanted" >"$stamp"
fi
say "done"
