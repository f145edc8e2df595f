#!/usr/bin/env bash
# Installs Slurm from Debian's packages, for tests/slurm only: a production cluster has its own. Needs root.
# tests/slurm/cluster.py starts the daemons; the tests do not use MariaDB's systemd service.
set -euo pipefail
. "$(dirname "$0")/debian_packages.sh"

complete=true
for program in /usr/sbin/{slurmctld,slurmd,slurmdbd,munged,mariadbd} /usr/bin/squeue; do
  [ -x "$program" ] || complete=false
done
if $complete; then
  echo "install_slurm: $(/usr/sbin/slurmctld -V) is already installed"
  exit 0
fi
install_packages install_slurm slurmctld slurmd slurmdbd slurm-client munge mariadb-server
echo "install_slurm: $(/usr/sbin/slurmctld -V) installed"
