"""Accounting of the simulated cluster: a MariaDB of its own, slurmdbd, and an account for root."""

import subprocess
from pathlib import Path

ACCOUNT = "body_mri"
"""The only account of root."""

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacctmgr")
DAEMON_CONFIG = Path("/etc/slurm/slurmdbd.conf")
DATABASE_PORT, DAEMON_PORT = 17321, 17322

SLURM_CONF = f"""
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={DAEMON_PORT}
"""

_SLURMDBD_CONF = """{mark}
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""

_ACCESS = """
CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
"""


def prepare(folder: Path, mark: str) -> tuple[str, ...]:
    """Make an empty database below `folder` and the configuration of slurmdbd. Return mariadbd's command."""
    data, access = folder / "database", folder / "access.sql"
    data.mkdir()
    access.write_text(_ACCESS)
    options = ("--no-defaults", f"--datadir={data}", "--user=root")
    subprocess.run(["mariadb-install-db", *options, "--skip-test-db"], check=True, capture_output=True)
    content = _SLURMDBD_CONF.format(mark=mark, folder=folder, port=DAEMON_PORT, database_port=DATABASE_PORT)
    DAEMON_CONFIG.write_text(content)
    DAEMON_CONFIG.chmod(0o600)  # slurmdbd refuses a file that others can read: it holds a password
    return (
        "mariadbd",
        *options,
        "--bind-address=127.0.0.1",
        f"--port={DATABASE_PORT}",
        f"--socket={folder}/database.sock",
        f"--pid-file={folder}/database.pid",
        f"--init-file={access}",
        "--skip-name-resolve",
    )


def add_account(cluster: str) -> None:
    """Give root an account on the cluster."""
    for words in (["cluster", cluster], ["account", ACCOUNT], ["user", "root", f"account={ACCOUNT}"]):
        done = subprocess.run(["sacctmgr", "-i", "add", *words], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"sacctmgr add {' '.join(words)}: {done.stdout}{done.stderr}")
