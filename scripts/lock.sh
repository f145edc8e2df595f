#!/usr/bin/env bash
# Resolves envs/requirements.in into envs/requirements.lock and writes the conda environments with the same pins.
set -euo pipefail
cd "$(dirname "$0")/.."
overrides=$(mktemp)
trap 'rm -f "$overrides"' EXIT
# torch is installed first and by itself; torchvision is asked for and not used (see install.sh).
printf 'torch; sys_platform == "never"\ntorchvision; sys_platform == "never"\n' >"$overrides"
uv pip compile --quiet envs/requirements.in --override "$overrides" --python-version 3.11 --no-header --no-annotate \
  --no-emit-find-links --no-emit-index-url --output-file envs/requirements.lock "$@"
# uv resolves for this machine and leaves markers out; atheris has no build for others.
sed -i.old "s/^atheris==[^ ]*$/& ; sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == 'aarch64')/" envs/requirements.lock
rm envs/requirements.lock.old
python scripts/make_conda_envs.py
