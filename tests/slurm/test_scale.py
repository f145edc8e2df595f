"""Many shards through the real Slurm: none lost, none run twice. The work is simulated, a second each."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import CPU_SLOTS
from project_copy import ROOT

SHARDS = int(os.environ.get("DIXONFLOW_SHARDS", "200"))
"""2,000 in the long run: DIXONFLOW_SHARDS=2000 python -m pytest -s tests/slurm/test_scale.py"""

SNAKEFILE = """
rule all:
    input:
        expand("done/{shard}", shard=range(config["shards"])),


rule segment:
    output:
        "done/{shard}",
    resources:
        mem_mb=500,
        runtime=5,
    shell:
        "echo $SLURM_JOB_ID >> begun/{wildcards.shard}; sleep 1; echo $SLURM_JOB_ID > {output}"
"""


def next_job(cluster) -> int:
    """Number that the next job will get."""
    found = re.search(r"^NEXT_JOB_ID\s*= (\d+)$", cluster.ask("scontrol", "show", "config"), re.M)
    assert found
    return int(found[1])


@pytest.mark.slow
def test_no_shard_is_lost_and_none_runs_twice(cluster, tmp_path):
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "slurm", tmp_path / "slurm", follow_symlinks=False)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "begun").mkdir()
    partition = ("--set-resources", "segment:slurm_partition=cpu")
    command = ["snakemake", "--profile", "slurm", *partition, "--config", f"shards={SHARDS}"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    first = next_job(cluster)
    started = time.monotonic()
    run = subprocess.run(command, cwd=tmp_path, env=environment, text=True, check=False, capture_output=True)
    wall = time.monotonic() - started
    assert run.returncode == 0, run.stderr
    begun = {path.name: path.read_text().split() for path in (tmp_path / "begun").iterdir()}
    assert begun.keys() == {str(shard) for shard in range(SHARDS)}
    assert all(len(jobs) == 1 for jobs in begun.values())
    for shard, jobs in begun.items():
        assert (tmp_path / "done" / shard).read_text().split() == jobs
    # by their numbers, one after another: a long run's first jobs are forgotten by Slurm before its last have ended
    numbers = sorted(int(job) for jobs in begun.values() for job in jobs)
    assert numbers == list(range(first, next_job(cluster)))
    work = SHARDS / CPU_SLOTS
    print(
        f"{SHARDS} shards in {wall:.0f} s, {work:.0f} s of work on {CPU_SLOTS} CPUs: {1 - work / wall:.1%} is not work"
    )
