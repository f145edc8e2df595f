"""GPUs of a node: one segment job on each, or several where the profile asks for a part of one (Slurm's `shard`)."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from moment import script_of
from project import Call, Run

from dixonflow.vocabulary import Stage


def test_a_gpu_takes_one_segment_job_and_several_where_slurm_shares_it(cluster, project, undisturbed):
    done = undisturbed.run.done()
    run = project.slurm(undisturbed.run.root, "until_segment", "--forcerun", "segment")
    one, other = run.shards()
    with occupied_gpu(cluster) as busy:
        call = run.start()
        first = call.until_found(lambda: stopped_job(run, one) or stopped_job(run, other))
        waiting = one if other in first.cmdline() else other
        call.until(lambda: segment_jobs(cluster, "PENDING") == [waiting])
        assert first.environ()["CUDA_VISIBLE_DEVICES"] == str(1 - busy)
    second = call.until_found(lambda: stopped_job(run, waiting))  # on the GPU that is free now
    assert second.environ()["CUDA_VISIBLE_DEVICES"] == str(busy)
    assert sorted(segment_jobs(cluster, "RUNNING")) == [one, other]
    end(call, first, second)

    with occupied_gpu(cluster) as busy:
        call = run.start("--set-resources", "segment:slurm_partition=gpu", "segment:gres=shard:1")
        both = [call.until_found(lambda shard=shard: stopped_job(run, shard)) for shard in (one, other)]
        assert {job.environ()["CUDA_VISIBLE_DEVICES"] for job in both} == {str(1 - busy)}
        assert sorted(segment_jobs(cluster, "RUNNING")) == [one, other]
        end(call, *both)
    asked = cluster.ask("squeue", "-h", "--states=all", "-o", "%k %b").splitlines()
    assert {f"rule_segment_wildcards_{one} gres:{gres}" for gres in ("gpu:1", "shard:1")} <= set(asked)
    assert undisturbed.run.done() == done


def end(call: Call, *jobs: psutil.Process) -> None:
    """Let jobs work on, to the end of the call."""
    for job in jobs:
        job.resume()
    status, output = call.wait()
    assert status == 0, output


@contextmanager
def occupied_gpu(cluster) -> Iterator[int]:
    """Have a job of somebody else hold a GPU; gives its number."""
    options = ("--partition=gpu", "--gres=gpu:1", "--mem=100", "--output=/dev/null", "--wrap=sleep 600")
    job = cluster.ask("sbatch", "--parsable", *options)
    try:
        cluster.wait(lambda: cluster.ask("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING", f"job {job}")
        text = cluster.ask("scontrol", "show", "job", "--details", job)
        yield int(text.partition("GRES=gpu:1(IDX:")[2][0])
    finally:
        cluster.ask("scancel", job)
        cluster.wait(lambda: cluster.ask("squeue", "-h", "--states=all", "-j", job, "-o", "%T") == "CANCELLED", job)


def stopped_job(run: Run, shard: str) -> psutil.Process | None:
    """Process of the segment job of a shard, once it is there: stopped, so that it holds its GPU for as long."""
    script = script_of(run, Stage.SEGMENT, shard)
    if script is not None:
        script.suspend()
    return script


def segment_jobs(cluster, state: str) -> list[str]:
    """Shards whose segment jobs are in a state."""
    found = [comment.partition("rule_segment_wildcards_") for _, now, comment in cluster.jobs() if now == state]
    return [shard for _, rule, shard in found if rule]
