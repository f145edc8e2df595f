#!/usr/bin/env bash
# Installs Slurm from Debian's packages, for tests/slurm only: a production cluster has its own. Needs root.
# tests/slurm/cluster.py starts the daemons; the tests do not use MariaDB's systemd service.
set -euo pipefail

packages=(slurmctld slurmd slurmdbd slurm-client munge mariadb-server)
complete=true
for program in /usr/sbin/{slurmctld,slurmd,slurmdbd,munged,mariadbd} /usr/bin/squeue; do
  [ -x "$program" ] || complete=false
done
if $complete; then
  echo "install_slurm: $(/usr/sbin/slurmctld -V) is already installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install_slurm: run as root, or have these packages installed: ${packages[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
echo "install_slurm: $(/usr/sbin/slurmctld -V) installed"
