#!/usr/bin/env bash
# Installs Slurm from Debian's packages, for tests/slurm only: a cluster that users work on has its own. Needs root.
# tests/slurm/cluster.py starts the daemons; where systemd starts MariaDB's own service too, the tests do not use that.
set -euo pipefail

packages=(slurmctld slurmd slurmdbd slurm-client munge mariadb-server)
complete=true
for program in /usr/sbin/{slurmctld,slurmd,slurmdbd,munged,mariadbd} /usr/bin/squeue; do
  [ -x "$program" ] || complete=false
done
if $complete; then
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
