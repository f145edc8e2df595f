#!/usr/bin/env bash
# Resolves the dependencies of pyproject.toml into envs/requirements.lock and writes the conda environments with the same pins.
set -euo pipefail
cd "$(dirname "$0")/.."
# torch is installed first and separately; torchvision is required but not used: [tool.uv] leaves both out.
uv pip compile --quiet pyproject.toml --extra openvino --extra slurm --extra batch --group dev --group torch --python-version 3.11 --no-header --no-annotate \
  --no-emit-find-links --no-emit-index-url --output-file envs/requirements.lock "$@"
# uv resolves for this machine and leaves markers out; atheris has no build for others.
sed -i.old "s/^atheris==[^ ]*$/& ; sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == 'aarch64')/" envs/requirements.lock
rm envs/requirements.lock.old
python scripts/make_conda_envs.py
