"""A job ends with the Snakemake that runs it, whatever ended that."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dixonflow.system.lifetime import PARENT_VARIABLE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="on Linux only: prctl(2)")
ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}

JOB = """
import pathlib, os, time
from dixonflow.system.lifetime import end_with_snakemake
end_with_snakemake()
pathlib.Path(".job").write_text(str(os.getpid()))
pathlib.Path(".job").rename("job")
time.sleep(60)
"""

RUNNER = """
import subprocess, sys
from dixonflow.run.job_shell import job_prefix
prefix = job_prefix(sys.argv[2], ()).format()
subprocess.run(["bash", "-c", prefix + 'python -c "$0" 2> log', sys.argv[1]])
"""


def test_a_job_ends_with_the_process_that_runs_it(tmp_path):
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, JOB, str(ROOT)], cwd=tmp_path, env=ENVIRONMENT)
    while not (tmp_path / "job").exists():
        assert runner.poll() is None
        time.sleep(0.02)
    job = psutil.Process(int((tmp_path / "job").read_text()))
    assert job.ppid() == runner.pid  # the script took the place of its shell
    runner.kill()
    runner.wait()
    gone, alive = psutil.wait_procs([job], timeout=20)
    assert gone or all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_a_job_whose_snakemake_has_ended_before_does_not_begin(tmp_path):
    environment = ENVIRONMENT | {PARENT_VARIABLE: "1"}
    job = subprocess.run([sys.executable, "-c", JOB], cwd=tmp_path, env=environment, check=False)
    assert job.returncode == 1
    assert not (tmp_path / "job").exists()
