"""A Slurm cluster on this machine: munged, accounting, slurmctld, and a slurmd for each of three nodes, one with GPUs.

By hand, as root: `python tests/slurm/cluster.py` starts it and stops it with Ctrl-C. It needs Debian's packages
(`scripts/install_slurm.sh`) and touches /etc/slurm/slurm.conf only where there is none or it wrote it itself: the
Snakemake plugin removes SLURM_* variables, so that the file cannot lie elsewhere.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import accounting

CONFIG = Path("/etc/slurm/slurm.conf")
GPUS = Path("/etc/slurm/gres.conf")
MARK = "# A simulated cluster for tests, written by tests/slurm/cluster.py of DixonFlow."
PROGRAMS = ("slurmctld", "slurmd", "munged", "squeue", "sbatch", "scontrol", *accounting.PROGRAMS)
NODES = ("cpu1", "cpu2", "gpu1")
CPU_SLOTS = 8
"""CPUs of the partition `cpu`."""

CONTROLLER_PORT = 17317
_SBIN = "/usr/sbin:/sbin"

_NAME = "simulated"

_SLURM_CONF = """{mark}
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
# no systemd and no cgroups here
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
# a node that is gone is noticed within seconds, a finished job stays in squeue for a day
SlurmdTimeout=15
InactiveLimit=0
KillWait=5
MinJobAge=86400
MaxJobCount=50000
SchedulerParameters=batch_sched_delay=1,sched_interval=5
GresTypes=gpu,shard
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=64000
NodeName=cpu2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=64000
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={third} CPUs=4 RealMemory=64000 Gres=gpu:2,shard:4
PartitionName=cpu Nodes=cpu1,cpu2 Default=YES MaxTime=7-00:00:00 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=7-00:00:00 State=UP
"""


def why_not() -> str | None:
    """Why the cluster cannot be started on this machine; None where it can."""
    missing = [program for program in PROGRAMS if _which(program) is None]
    if missing:
        return f"Slurm is not installed (no {', '.join(missing)}): scripts/install_slurm.sh does it on Debian"
    if os.geteuid() != 0:
        return "the daemons of a Slurm cluster run as root"
    for path in (CONFIG, accounting.DAEMON_CONFIG):
        if path.exists() and not path.read_text().startswith(MARK):
            return f"this machine has a Slurm of its own: {path}"
    if _listens(CONTROLLER_PORT):
        return "a simulated cluster is already running here"
    return None


class Cluster:
    """The daemons, as children of this process. A context: they are stopped at its end, and their files removed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        reason = why_not()
        if reason is not None:
            raise RuntimeError(reason)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _start(self) -> None:
        host = socket.gethostname().split(".")[0]
        ports = {"port": CONTROLLER_PORT, "first": 17318, "second": 17319, "third": 17320}
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        content = _SLURM_CONF.format(mark=MARK, name=_NAME, host=host, folder=self._folder, **ports)
        CONFIG.write_text(content + accounting.SLURM_CONF)
        shards = "NodeName=gpu1 Name=shard Count=4"  # two for each GPU
        GPUS.write_text(f"{MARK}\nNodeName=gpu1 Name=gpu File=/dev/null,/dev/zero\n{shards}\n")
        for name in ("state", "spool"):
            (self._folder / name).mkdir()
        self._start_munge()
        self._start_accounting()
        self._daemon("slurmctld", "slurmctld", "-D", "-i")
        self.wait(lambda: _answers("scontrol", "ping") and "UP" in self.ask("scontrol", "ping"), "slurmctld")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: all(self.node_state(node) == "IDLE" for node in NODES), "the nodes")

    def _start_munge(self) -> None:
        if _answers("munge", "-n"):
            return  # one is running already
        run = Path("/run/munge")
        run.mkdir(mode=0o755, exist_ok=True)
        shutil.chown(run, "munge", "munge")
        self._daemon("munged", "runuser", "-u", "munge", "--", "/usr/sbin/munged", "--foreground", "--force")
        self.wait(lambda: _answers("munge", "-n"), "munged")

    def _start_accounting(self) -> None:
        self._daemon("mariadbd", *accounting.prepare(self._folder, MARK))
        self.wait(lambda: _listens(accounting.DATABASE_PORT), "mariadbd")
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self.wait(lambda: _answers("sacctmgr", "show", "cluster"), "slurmdbd")
        accounting.add_account(_NAME)

    def _daemon(self, name: str, *command: str) -> None:
        program = _which(command[0])
        assert program is not None, command[0]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [program, *command[1:]], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node, also again after it was killed."""
        self._daemon(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> list[int]:
        """Kill a node as a power cut does: its slurmd, and every process of its jobs. Return the ids of the jobs."""
        jobs = [int(job) for job in self.ask("squeue", "-h", "-w", node, "-t", "R", "-o", "%A").split()]
        self._daemons[node].kill()
        self._daemons.pop(node).wait()
        for job in jobs:
            for process in processes_of(job):
                _kill(process)
        return jobs

    def node_state(self, node: str) -> str:
        """`IDLE`, `MIXED`, `DOWN` and the like, without the marks that Slurm adds."""
        return self.ask("sinfo", "-h", "-N", "-n", node, "-o", "%T").split("\n")[0].strip("*~#!%$@^-+").upper()

    def jobs(self) -> list[tuple[int, str, str]]:
        """Id, state and comment (the rule and its shard) of every job of this cluster, finished ones too."""
        rows = self.ask("squeue", "-h", "--states=all", "-o", "%A|%T|%k").splitlines()
        return [(int(job), state, comment) for job, state, comment in (row.split("|", 2) for row in rows)]

    @staticmethod
    def ask(*command: str) -> str:
        """Output of a Slurm command; it must succeed."""
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Wait until `condition` holds. Raises TimeoutError with the end of the daemons' logs."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}\n{self.logs()}")
            time.sleep(0.3)

    def logs(self) -> str:
        """End of every daemon's log."""
        return "\n".join(
            f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self._folder.glob("*.log"))
        )

    def stop(self) -> None:
        """Cancel all jobs, stop the daemons that this object started and remove its files."""
        if "slurmctld" in self._daemons:
            running = [job for job, state, _ in self.jobs() if state not in {"COMPLETED", "CANCELLED", "FAILED"}]
            subprocess.run(["scancel", "--user=root", "--signal=KILL", "--full"], check=False)
            for job in running:
                for process in processes_of(job):
                    _kill(process)
        for name in (*NODES, "slurmctld", "slurmdbd", "mariadbd", "munged"):
            daemon = self._daemons.pop(name, None)
            if daemon is not None:
                daemon.terminate()
                try:
                    daemon.wait(10)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        for path in (CONFIG, GPUS, accounting.DAEMON_CONFIG):
            if path.exists() and path.read_text().startswith(MARK):
                path.unlink()
        shutil.rmtree(self._folder, ignore_errors=True)


def processes_of(job: int) -> list[int]:
    """Processes of a Slurm job on this machine, the slurmstepd above them included."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if command.startswith(f"slurmstepd: [{job}.") or f"SLURM_JOB_ID={job}".encode() in variables:
            found.append(int(folder.name))
    return found


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:{_SBIN}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(*command: str) -> bool:
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    problem = why_not()
    if problem is not None:
        sys.exit(f"cluster: {problem}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell ignores it for what runs in the background
    with Cluster() as cluster:
        print(cluster.ask("sinfo"), "\nStop with Ctrl-C.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping")
