"""Every stage in a network namespace without any interface, with every system call recorded that could leave it.

The commands of the jobs follow one another in one process, which is quicker than a process each; Snakemake, which would
start them, makes its plan in a dry run. strace follows all processes, whatever they are written in. A library may ask
whether this machine has IPv6 by binding a socket to ::1, as urllib3 does when it is imported: nothing is sent by that.
Where Slurm is installed, its plugin for Snakemake asks `scontrol show config` at the start of a run, also on one
machine. Slurm's program asks the cluster's own controller: its calls are the only ones that do not count.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project_copy import call_in
from small_cohort import SCANS, make_small_cohort
from small_project import SmallProject

NO_NETWORK = ("unshare", "--user", "--map-root-user", "--net")
RECORDED = "execve,connect,sendto,sendmsg,sendmmsg"
PROGRAM = re.compile(r'^(\d+) +execve\("(?:[^"]*/)?([^"/]+)"')
OUTSIDE = re.compile(r"^(\d+) +(?:connect|sendto|sendmsg|sendmmsg)\(.*(?:sa_family=AF_INET6?\b|/run/systemd/resolve/)")
"""A call that names an internet address or asks the system's resolver; what names none was connected before."""

ASKING = "import socket; socket.getaddrinfo('example.org', 443)"
CONNECTING = "import socket; socket.create_connection(('192.0.2.1', 443), 5)"

STAGES = """
import sys
from pathlib import Path
from dixonflow.cli.main import main

def call(*words):
    sys.argv = ["dixonflow", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise

call("cohort")
for shard in Path("results/cohort/shards.txt").read_text().split():
    for stage in ("stitch", "resample", "segment", "merge", "postprocess", "measure"):
        call("stage", stage, "--shard", shard, "--memory-mb", "8000")
call("aggregate")
call("report")
"""


class Recorder:
    """Runs commands without a network and records what they try to reach."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "calls.txt"

    def command(self, *words: str) -> tuple[str, ...]:
        strace = ("strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none", f"--trace={RECORDED}")
        return (*strace, "--output", str(self._file), *NO_NETWORK, *words)

    def attempts(self) -> list[str]:
        programs, found = dict[str, str](), list[str]()
        for line in self._file.read_text(errors="replace").splitlines():
            if program := PROGRAM.match(line):
                programs[program[1]] = program[2]
            elif (call := OUTSIDE.match(line)) and programs.get(call[1]) != "scontrol":
                found.append(line)
        return found


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    recorder = Recorder(tmp_path_factory.mktemp("calls"))
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (scripts/install_strace.sh)")
    tried = subprocess.run(recorder.command("true"), check=False, text=True, capture_output=True)
    if tried.returncode != 0:
        pytest.skip(f"this system lets no user record calls in a network namespace: {tried.stderr.strip()}")
    return recorder


@pytest.mark.parametrize(("program", "what"), [(CONNECTING, "192.0.2.1"), (ASKING, r"htons\(53\)|resolve")])
def test_attempts_of_any_process_are_seen(recorder, program, what):
    shell = ("sh", "-c", '"$0" -c "$1" & wait', sys.executable, program)
    subprocess.run(recorder.command(*shell), check=True, capture_output=True)
    assert any(re.search(what, each) for each in recorder.attempts())


def test_from_raw_data_to_the_report_nothing_is_reached(recorder, tmp_path):
    project = SmallProject(tmp_path / "project")
    project.configure(["bids"])
    make_small_cohort(project.raw / "bids", {SCANS[0]: 6.0})
    plan = project.call("--dry-run", caller=recorder.command())
    assert plan.returncode == 0, plan.stdout
    assert recorder.attempts() == []
    run = call_in(project.folder, *recorder.command(sys.executable, "-c", STAGES))
    assert run.returncode == 0, run.stdout
    assert project.status() == {SCANS[0].participant: ("ok", "none")}
    assert (project.folder / "results/report/report.html").is_file()
    assert recorder.attempts() == []
