"""What dies on a cluster: after one more call of the same command the tables are those of an undisturbed run.

The faults hit a shard of two scans while its second scan is worked on. What was finished before is not made again.
"""

import json
import re
from dataclasses import dataclass

from dixonflow.run_lock import is_running
from dixonflow.vocabulary import Stage

SCAN = re.compile(r"sub-[0-9A-Za-z]+_ses-[0-9A-Za-z]+")


@dataclass(frozen=True)
class Moment:
    """A run at the moment before a fault: its job, the images that are there, the scans that are worked on."""

    job: int
    images: dict[str, tuple[int, int]]
    in_flight: set[str]


def in_the_middle(project, cluster, call, results: str) -> Moment:
    """Wait until a segment job has finished one of its scans and works on the next."""
    folder = project.results(results).records(Stage.SEGMENT, "x").parent

    def halfway() -> list[str]:
        shards = [path for path in folder.glob("*") if path.is_dir()]
        return [path.name for path in shards if list(path.glob("sub-*.json")) and list(path.glob("sub-*.begun"))]

    call.until(lambda: bool(halfway()))
    comment = f"rule_segment_wildcards_{halfway()[0]}"
    job = next(number for number, state, text in reversed(cluster.jobs()) if text == comment and state == "RUNNING")
    in_flight = {path.stem for path in folder.glob("*/sub-*.begun")}
    return Moment(job, project.images(results), in_flight)


def goes_on(project, results: str, moment: Moment, undisturbed) -> str:
    """Call the same command once more; the tables are right and only scans in flight were made again."""
    status, output = project.slurm("--retries", "0", results=results).wait()
    assert status == 0, output
    assert project.tables(results) == undisturbed
    after = project.images(results)
    changed = [path for path, identity in moment.images.items() if path in after and after[path] != identity]
    assert {SCAN.findall(path)[-1] for path in changed} <= moment.in_flight
    return output


def nothing_is_left_to_do(project, results: str) -> None:
    status, output = project.slurm("--retries", "0", results=results).wait()
    assert status == 0, output
    assert "Nothing to be done" in output


def test_scancel_of_a_running_shard(cluster, project, undisturbed):
    call = project.slurm("--retries", "0", results="small_scancel")
    moment = in_the_middle(project, cluster, call, "small_scancel")
    cluster.ask("scancel", str(moment.job))
    status, output = call.wait()
    assert status == 1, output
    goes_on(project, "small_scancel", moment, undisturbed)
    nothing_is_left_to_do(project, "small_scancel")


def test_a_node_that_dies_with_its_jobs(cluster, project, undisturbed):
    call = project.slurm("--retries", "0", results="small_node")
    moment = in_the_middle(project, cluster, call, "small_node")
    assert moment.job in cluster.kill_node("gpu1")
    cluster.wait(lambda: (moment.job, "NODE_FAIL") in {job[:2] for job in cluster.jobs()}, "the end of the node")
    cluster.start_node("gpu1")
    cluster.wait(lambda: cluster.node_state("gpu1") != "DOWN", "gpu1")
    status, output = call.wait()
    assert status == 1, output
    goes_on(project, "small_node", moment, undisturbed)


def test_a_job_over_its_time_limit(cluster, project, undisturbed):
    call = project.slurm("--retries", "0", results="small_time")
    moment = in_the_middle(project, cluster, call, "small_time")
    cluster.ask("scontrol", "update", f"jobid={moment.job}", "EndTime=now")  # the limit is reached before its time
    status, output = call.wait()
    assert status == 1, output
    assert "TIMEOUT" in output
    goes_on(project, "small_time", moment, undisturbed)


def test_a_killed_snakemake_leaves_jobs_that_the_next_call_cancels(cluster, project, undisturbed):
    call = project.slurm("--retries", "0", results="small_killed")
    moment = in_the_middle(project, cluster, call, "small_killed")
    results = project.results("small_killed")
    name = json.loads(results.run.read_text())["slurm_name"]
    call.kill()
    assert not is_running(results)
    output = goes_on(project, "small_killed", moment, undisturbed)
    assert "of an earlier run that was killed are cancelled" in output
    assert (moment.job, "CANCELLED") in {job[:2] for job in cluster.jobs()}
    assert name not in cluster.ask("squeue", "-h", "-o", "%j")
