#!/usr/bin/env bash
# Runs the unit tests with other versions of Python and of the dependencies than the pinned ones, each in an environment of its own
# below .venv-versions. Arguments: what to run, of 3.11-lowest 3.12-pinned 3.13-pinned 3.13-newest; by default all.
# TESTS names other tests than tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$PWD/.venv/bin/uv
failed=""

environment() { # name, Python version, lowest | pinned | newest
  local venv=.venv-versions/$1 resolved=.venv-versions/$1.txt torch python
  [ -f "$venv/installed" ] && return
  # uv finds what is on PATH and fetches what is not; pyenv's are on neither.
  python=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$2".*/bin/python 2>/dev/null | tail -n 1) || python=""
  "$uv" venv --quiet --clear --python "${python:-$2}" "$venv"
  case $3 in
    pinned) cp envs/requirements.lock "$resolved" ;;
    lowest) "$uv" pip compile --quiet pyproject.toml --extra slurm --group torch --resolution lowest-direct --python-version "$2" --no-header --no-annotate --output-file "$resolved" ;;
    newest) "$uv" pip compile --quiet pyproject.toml --extra slurm --group torch --upgrade --python-version "$2" --no-header --no-annotate --output-file "$resolved" ;;
  esac
  case $3 in
    lowest) torch="torch==2.6.0" ;;
    pinned) torch=$(grep -v '^#' envs/torch.txt) ;;
    newest) torch="torch" ;;
  esac
  # The CPU build where it can be reached, else the one of the package index. Not with [tool.uv], which leaves torch out.
  "$uv" pip install --no-config --quiet --python "$venv" --torch-backend cpu "$torch" 2>/dev/null || "$uv" pip install --no-config --quiet --python "$venv" "$torch"
  "$uv" pip install --quiet --python "$venv" --no-deps -r "$resolved"
  "$uv" pip install --quiet --python "$venv" duckdb hypothesis import-linter jsonschema polars pytest pytest-xdist setuptools
  "$uv" pip install --quiet --python "$venv" --no-deps --no-build-isolation -e .
  touch "$venv/installed"
}

for name in ${@:-3.11-lowest 3.12-pinned 3.13-pinned 3.13-newest}; do
  echo "versions  $name"
  environment "$name" "${name%%-*}" "${name##*-}"
  # What is written and pinned with the versions of .venv need not be equal here.
  if ! .venv-versions/"$name"/bin/python -m pytest -n auto --no-loadscope-reorder ${TESTS:-tests/unit} \
    --deselect tests/unit/test_envs.py::test_installed_versions_are_the_pinned_ones \
    --deselect tests/unit/test_config.py::test_generated_files_are_in_step; then
    failed="$failed $name"
  fi
done
if [ -n "$failed" ]; then
  echo "versions  failed:$failed" >&2
  exit 1
fi
