"""What dies on a cluster: after one more call of the same command the tables are those of an undisturbed run.

Each fault hits a shard of two scans while its second scan is worked on. What was finished before is not recomputed.
Of the jobs that Slurm itself ends, by `scancel` and by their time limit, the second is slow; its next call is made on
this machine.
"""

import json
import re

import pytest
from moment import stop_in_the_middle

from dixonflow.run.lock import is_running
from dixonflow.vocabulary import Stage


def states(cluster) -> dict[int, str]:
    """State of every job that Slurm knows."""
    return {number: state for number, state, _ in cluster.jobs()}


def test_scancel_of_a_running_shard(cluster, project, undisturbed):
    run = project.slurm("results/scancel", "--retries", "0")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.SEGMENT)
    cluster.ask("scancel", str(moment.job))
    status, output = call.wait()
    assert status == 1, output
    run.to_the_end()
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)
    assert "Nothing to be done" in run.to_the_end()


def test_a_node_that_dies_with_its_jobs(cluster, project, undisturbed):
    run = project.slurm("results/node", "--retries", "0")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.SEGMENT)
    job = moment.job
    assert job in cluster.kill_node("gpu1")
    cluster.wait(lambda: states(cluster)[job] == "NODE_FAIL", "the end of the node")
    cluster.start_node("gpu1")
    status, output = call.wait()
    assert status == 1, output
    run.to_the_end()
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)


@pytest.mark.slow
def test_a_job_over_its_time_limit(cluster, project, undisturbed):
    run = project.slurm("results/time", "--retries", "0")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.STITCH)
    job = moment.job
    cluster.ask("scontrol", "update", f"jobid={job}", "EndTime=now")  # the limit comes to the job
    status, output = call.wait()
    assert status == 1, output
    assert states(cluster)[job] == "TIMEOUT"
    assert re.search(r"dixonflow: a job of stitch died: .*'TIMEOUT'", output)
    project.local("results/time").to_the_end()
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)


def test_a_killed_snakemake_leaves_jobs_that_the_next_call_cancels(cluster, project, undisturbed):
    run = project.slurm("results/killed", "--retries", "0")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.MEASURE)
    job = moment.job
    name = json.loads(run.results.run.read_text())["slurm_name"]
    call.kill()
    assert not is_running(run.results)
    assert states(cluster)[job] == "RUNNING"
    output = run.to_the_end()
    assert "of an earlier run that was killed are cancelled" in output
    assert states(cluster)[job] == "CANCELLED"
    assert name not in cluster.ask("squeue", "-h", "-o", "%j")
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)
