#!/usr/bin/env bash
# Builds the image (envs/Dockerfile) with the program that is there, and packs it as dixonflow.tar.gz, or dixonflow.sif
# with Apptainer. TORCH=cuda for GPUs, BASE=... for another base image (docs/protected_environments.md).
set -euo pipefail
cd "$(dirname "$0")/.."

torch=${TORCH:-cpu}
case "$torch" in cpu | cuda) ;; *) echo "build_image: TORCH must be cpu or cuda, not $torch" >&2 && exit 1 ;; esac
options=(--file envs/Dockerfile --build-arg "TORCH=$torch" ${BASE:+--build-arg "BASE=$BASE"} --tag dixonflow .)

works() { command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1; }
if works docker; then
  docker build "${options[@]}"
  docker save dixonflow | gzip >dixonflow.tar.gz
elif works podman; then
  podman build "${options[@]}"
  podman save dixonflow | gzip >dixonflow.tar.gz
elif works buildah; then
  # chroot isolation needs no container runtime, and works inside a container too.
  buildah bud --isolation chroot "${options[@]}"
  rm -f dixonflow.tar
  buildah push dixonflow docker-archive:dixonflow.tar:dixonflow
  gzip --force dixonflow.tar
elif command -v apptainer >/dev/null; then
  apptainer build --force --build-arg "TORCH=$torch" dixonflow.sif envs/dixonflow.def
else
  echo "build_image: none of docker (with its daemon), podman, buildah and apptainer works here: install one (Debian: apt install buildah)" >&2
  exit 1
fi
echo "build_image: $(ls -sh dixonflow.tar.gz dixonflow.sif 2>/dev/null | tr '\n' ' ')"
