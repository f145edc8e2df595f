#!/usr/bin/env bash
# Refuses a project folder in which .venv would not work: the programs in .venv/bin begin with the path of their Python in
# a shell's double quotes, and PATH has colons between its folders. Not in install.sh, where it would set up .venv anew.
set -euo pipefail
cd "$(dirname "$0")/.."
case $PWD in
*[\$\`\"\\:]* | *[[:cntrl:]]*)
  printf '%s\n' 'install: the path of this folder must not hold $ ` " \ or a colon, nor line breaks: rename or move it' >&2
  exit 1
  ;;
esac
