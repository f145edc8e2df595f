"""What the package asks of Slurm's own commands."""

import pytest
from accounting import ACCOUNT

from dixonflow.run.slurm import Request, SlurmError, cancel_leftovers, check_requests, jobs

NAME = "dixonflow_of_a_dead_run"


def submit(cluster, name: str, rule: str, *more: str) -> int:
    options = ["--parsable", "--partition=cpu", "--mem=10", "--time=60", "--no-requeue", "--output=/dev/null"]
    job = cluster.ask(
        "sbatch", *options, f"--job-name={name}", f"--comment=rule_{rule}_wildcards_0a", *more, "--wrap=sleep 3600"
    )
    return int(job)


def test_what_the_cluster_has_and_has_not(cluster):
    check_requests([Request("stitch", "cpu", ACCOUNT), Request("segment", "gpu", "", "gpu:1"), Request("all")])
    with pytest.raises(SlurmError, match="unknown partition 'long'; known: cpu, gpu"):
        check_requests([Request("stitch", "long")])
    with pytest.raises(SlurmError, match="partition 'cpu' has no 'gpu:1' for rule segment; it has: none"):
        check_requests([Request("segment", "cpu", "", "gpu:1")])
    with pytest.raises(SlurmError, match="partition 'gpu' has no 'gpu:a100:1' for rule segment; it has: gpu"):
        check_requests([Request("segment", "gpu", "", "gpu:a100:1")])
    with pytest.raises(SlurmError, match=f"you have no account 'teaching'; your accounts: {ACCOUNT}"):
        check_requests([Request("stitch", "cpu", "teaching")])


def test_leftovers_are_cancelled_and_other_jobs_are_not(cluster):
    dead = {submit(cluster, NAME, rule) for rule in ("stitch", "stitch", "merge")}
    other = submit(cluster, "dixonflow_of_another_run", "stitch")
    assert {job.number for job in jobs(NAME)} == dead
    assert sorted(job.rule for job in jobs(NAME)) == ["merge", "stitch", "stitch"]
    assert cancel_leftovers(NAME) == 3
    assert jobs(NAME) == []
    assert [job.number for job in jobs("dixonflow_of_another_run")] == [other]
    assert {state for number, state, _ in cluster.jobs() if number in dead} == {"CANCELLED"}
    assert cancel_leftovers(NAME) == 0
    cancel_leftovers("dixonflow_of_another_run")


def test_a_node_that_dies_ends_its_jobs_and_comes_back(cluster):
    job = submit(cluster, "dixonflow_on_a_node", "stitch")
    cluster.wait(lambda: (job, "RUNNING") in {row[:2] for row in cluster.jobs()}, "the job")
    node = cluster.ask("squeue", "-h", "-j", str(job), "-o", "%N")
    assert cluster.kill_node(node) == [job]
    cluster.wait(lambda: (job, "NODE_FAIL") in {row[:2] for row in cluster.jobs()}, "the end of the node")
    cluster.start_node(node)
    assert jobs("dixonflow_on_a_node") == []
    after = submit(cluster, "dixonflow_after_it", "stitch", f"--nodelist={node}")
    cluster.wait(lambda: (after, "RUNNING") in {row[:2] for row in cluster.jobs()}, "a job on the node that is back")
    cancel_leftovers("dixonflow_after_it")
