#!/usr/bin/env bash
# Rejects a project folder in which .venv would not work: the programs in .venv/bin begin with the path of their Python in
# shell double quotes, and PATH separates its folders by colons. Not part of install.sh: a change there reinstalls .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
case $PWD in
*[\$\`\"\\:]* | *[[:cntrl:]]*)
  printf '%s\n' 'install: the path of this folder must not contain $ ` " \ a colon or line breaks: rename or move it' >&2
  exit 1
  ;;
esac
