"""`snakemake --profile slurm` at the repository root, and what stops it before a job is submitted."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest
import yaml
from accounting import ACCOUNT
from project import STAGES
from project_copy import ROOT

from dixonflow.vocabulary import JOBS, Stage


@pytest.mark.slow
def test_the_demo_on_slurm_gives_the_tables_of_a_local_run(cluster, demo):
    run, here = demo.slurm("results/slurm"), demo.local("results/local")
    run.to_the_end()
    jobs = [(state, comment) for _, state, comment in cluster.jobs()]
    segment = cluster.ask("squeue", "-h", "--states=all", "-o", "%k|%P|%b").splitlines()
    for *_, rule in JOBS:
        for shard in run.shards():
            assert jobs.count(("COMPLETED", f"rule_{rule}_wildcards_{shard}")) == 1  # none lost, none twice
    assert sum("_wildcards_" in comment for _, comment in jobs) == len(JOBS) * len(run.shards())
    asked = {row.split("|", 1)[1] for row in segment if row.startswith("rule_segment")}
    others = {row.split("|", 1)[1] for row in segment if not row.startswith("rule_segment")}
    assert asked == {"gpu|gres:gpu:1"}
    assert others == {"cpu|N/A"}
    here.to_the_end()
    assert run.tables() == here.tables()
    before = len(cluster.jobs())
    assert "Nothing to be done" in run.to_the_end()
    assert len(cluster.jobs()) == before
    records = demo.folder / ".snakemake"
    assert (records / "metadata.db").stat().st_size > 0  # one file, not one per output
    assert not list(records.glob("metadata/*"))


@pytest.mark.slow
def test_jobs_that_find_all_done_do_nothing(cluster, demo):
    run = demo.slurm("results/slurm")
    run.to_the_end()
    done, tables = run.done(), run.tables()
    before = {number for number, *_ in cluster.jobs()}
    run.results.look_again.unlink()  # as where another copy of the project has worked on the results
    every = [(stage, shard) for stage in STAGES for shard in run.shards()]
    written: dict[tuple[Stage, str], float | None] = dict.fromkeys(every)
    began = time.time()
    # no more at a time than there are processors: the nodes of this cluster share them
    call = run.start("--jobs", str(os.cpu_count()))
    while call.process.poll() is None:
        for (stage, shard), seen in written.items():
            # at first sight: Snakemake resets the time of a file when it learns, seconds later, that its job ended
            if seen is None and (when := written_at(run.results.outcomes(stage, shard))) > began:
                written[stage, shard] = when
        time.sleep(0.05)
    status, output = call.wait()
    assert status == 0, output
    assert (run.done(), run.tables()) == (done, tables)
    rows = [row.split("|") for row in cluster.ask("squeue", "-h", "--states=all", "-o", "%A|%k|%S").splitlines()]
    jobs = [
        (comment, datetime.fromisoformat(start).timestamp())
        for number, comment, start in rows
        if int(number) not in before and "_wildcards_" in comment
    ]
    started = dict(jobs)
    assert len(started) == len(jobs)  # none ran twice
    for stage in STAGES:
        seconds = [
            when - started[f"rule_{stage.job[-1]}_wildcards_{shard}"]
            for (each, shard), when in written.items()
            if each is stage and when is not None
        ]
        assert len(seconds) == len(run.shards())
        print(f"{stage}: from the start of a job to its rows {median(seconds):.1f} s, at most {max(seconds):.1f} s")
    assert len(started) == len(JOBS) * len(run.shards())


def written_at(path: Path) -> float:
    """Time of a file's last change, in seconds; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def test_a_second_person_gets_one_clear_line_and_nothing_is_damaged(cluster, project, undisturbed):
    run = project.slurm("results/two")
    first = run.start()
    first.until(run.results.config.exists)
    content = run.results.config.read_bytes()
    jobs = cluster.jobs()
    status, output = run.start("max_attempts=7", "--forceall").wait()
    assert status == 1
    lines = [line for line in output.splitlines() if line.startswith("dixonflow: ")]
    assert len(lines) == 1
    assert re.search(r"a run into \S+ is in progress, started \S+ by \w+ on \S+ \(process \d+\)", lines[0])
    assert run.results.config.read_bytes() == content
    assert {number for number, *_ in jobs} <= {number for number, *_ in cluster.jobs()}
    status, output = first.wait()
    assert status == 0, output
    assert run.tables() == undisturbed.tables


def refused(project, *options: str, config: Sequence[str] = ()) -> str:
    """Output of a call that ends before a job is submitted."""
    status, output = project.slurm("results/refused", *options, config=config).start().wait()
    assert status == 1
    assert "submitted with SLURM jobid" not in output
    assert "Traceback" not in output
    return output


def test_a_wrong_partition_is_named_before_a_job_is_submitted(cluster, project):
    output = refused(project, "--default-resources", "slurm_partition=long")
    assert "dixonflow: profiles/slurm/config.yaml: slurm_partition: unknown partition 'long'" in output
    assert "known: cpu, gpu" in output


def test_a_wrong_account_is_named_before_a_job_is_submitted(cluster, project):
    output = refused(project, "--default-resources", "slurm_partition=cpu", "slurm_account=teaching")
    assert "dixonflow: profiles/slurm/config.yaml: slurm_account: you have no account 'teaching'" in output
    assert f"your accounts: {ACCOUNT}" in output


def test_a_gpu_that_the_partition_does_not_have_is_named(cluster, project):
    output = refused(project, "--set-resources", "segment:slurm_partition=gpu", "segment:gres=gpu:a100:1")
    assert "gres: partition 'gpu' has no 'gpu:a100:1' for rule segment; it has: gpu, shard" in output


def test_a_missing_model_and_an_unreadable_raw_folder_are_named(cluster, project):
    output = refused(project, config=["segment={models: [nowhere]}"])
    assert "segment.models: there is no model 'nowhere'" in output
    output = refused(project, config=["cohort={sources: [{layout: ukb, folder: nowhere}]}"])
    assert "cohort.sources.0.folder: there is no folder nowhere" in output


def test_the_profiles_do_not_set_the_same_key_twice():
    slurm, default = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text()) for name in ("slurm", "default")
    )
    assert not slurm.keys() & default.keys()  # the default profile would win in silence


def test_every_entry_of_the_profiles_says_why():
    for name in ("slurm", "default"):
        lines = (ROOT / f"profiles/{name}/config.yaml").read_text().splitlines()
        entries = [line for line in lines if re.match(r"[a-z]", line)]
        bare = [line for line in entries if "#" not in line and not line.endswith(":") and line != "executor: slurm"]
        assert not bare


def test_a_bare_profile_name_is_found_at_the_root():
    run = subprocess.run(
        [sys.executable, "-c", "from snakemake.cli import get_profile_dir; print(get_profile_dir('slurm')[1])"],
        cwd=ROOT,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    )
    assert (ROOT / run.stdout.strip()).resolve() == ROOT / "profiles/slurm/config.yaml"
