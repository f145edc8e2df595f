#!/usr/bin/env bash
# Installs Slurm from Debian's packages, for tests/slurm only: a cluster that users work on has its own. Needs root.
# Starts nothing; tests/slurm/cluster.py does.
set -euo pipefail

packages=(slurmctld slurmd slurm-client munge)
if [ -x /usr/sbin/slurmctld ] && [ -x /usr/sbin/slurmd ] && [ -x /usr/sbin/munged ] && command -v squeue >/dev/null; then
  echo "install_slurm: $(/usr/sbin/slurmctld -V) is there"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install_slurm: run me as root, or ask for these packages: ${packages[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
echo "install_slurm: $(/usr/sbin/slurmctld -V) installed"
