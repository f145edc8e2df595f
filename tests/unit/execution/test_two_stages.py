"""A job that brings the scans of a shard through two stages: each keeps its records, and pays for its own faults."""

import os
import threading
import time

import pytest
from counting_shard import stage_of, statuses
from test_shard_worker import die, sleep

from dixonflow.errors import ScanExcluded
from dixonflow.execution.records import Records
from dixonflow.execution.stage_work import StageResult
from dixonflow.execution.steps import Step
from dixonflow.execution.supervisor import Limits
from dixonflow.vocabulary import Reason, Stage, Status

FIRST, SECOND = Stage.RESAMPLE, Stage.SEGMENT


class Job:
    """Two stages, of which each counts its scans; `errors` are raised, or called, by stage and participant."""

    def __init__(self, shard, *, overlap: bool) -> None:
        self.shard, self.overlap = shard, overlap
        self.keys = {FIRST: "first", SECOND: "second"}
        self.errors = {}

    def records(self, stage) -> Records:
        return Records(self.shard.folder / f"{stage}.jsonl.gz")

    def output(self, stage, scan):
        return self.shard.folder / f"{stage}-{scan.scan.name}"

    def done(self, stage) -> list[str]:
        """Participants that a stage worked on since this was last asked."""
        path = self.shard.folder / f"{stage}.txt"
        found = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def step(self, stage, **methods) -> Step:
        def process(scan):
            with (self.shard.folder / f"{stage}.txt").open("a") as file:
                file.write(f"{scan.scan.participant}\n")
            error = self.errors.get((stage, scan.scan.participant))
            if callable(error):
                error()
            elif error:
                raise error
            self.output(stage, scan).write_text("made")
            return StageResult({"thread": threading.current_thread().name})

        methods = {"process": process, "result": lambda scan: "same", **methods}
        if self.overlap and stage is SECOND:
            methods.setdefault("prepare", lambda scan: scan)
        work = stage_of(
            stage, key=lambda scan: self.keys[stage], outputs=lambda scan: [self.output(stage, scan)], **methods
        )
        return Step(work, self.records(stage), 2)

    def run(self, limits=None, **methods):
        return self.shard.run_steps([self.step(FIRST), self.step(SECOND, **methods)], limits=limits)


@pytest.fixture(params=[False, True], ids=["one after another", "overlapping"])
def job(shard, request) -> Job:
    return Job(shard, overlap=request.param)


def test_each_stage_has_its_records_and_nothing_is_done_twice(job):
    first, second = job.run()
    assert (statuses(first), statuses(second)) == ([Status.OK] * 3, [Status.OK] * 3)
    for stage, found in ((FIRST, first), (SECOND, second)):
        assert {record.outcome.stage for record in found} == {stage}
        assert list(job.records(stage).load().values()) == found
        assert job.done(stage) == ["000", "001", "002"]
    assert job.run() == [first, second]
    assert (job.done(FIRST), job.done(SECOND)) == ([], [])
    job.output(SECOND, job.shard.scans[1]).unlink()
    assert statuses(job.run()[1]) == [Status.OK] * 3
    assert (job.done(FIRST), job.done(SECOND)) == ([], ["001"])


def test_the_first_stage_is_ahead_while_the_second_works(shard):
    job = Job(shard, overlap=True)
    following = job.output(FIRST, shard.scans[1])

    def wait_for_the_next_scan():
        end = time.monotonic() + 60
        while not following.exists():
            assert time.monotonic() < end, "the first stage waits for the second"
            time.sleep(0.01)

    job.errors[SECOND, "000"] = wait_for_the_next_scan
    first, second = job.run()
    assert statuses(second) == [Status.OK] * 3
    threads = [{record.payload["thread"] for record in found} for found in (first, second)]
    assert threads[1] == {"MainThread"}
    assert threads[1].isdisjoint(threads[0])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (die, Reason.WORKER_DIED),
        (sleep, Reason.TIMEOUT),
        (RuntimeError("disk on fire"), Reason.INTERNAL_ERROR),
        (ScanExcluded(Reason.EMPTY_IMAGE, "constant"), Reason.EMPTY_IMAGE),
    ],
)
@pytest.mark.parametrize("stage", [FIRST, SECOND])
def test_what_goes_wrong_costs_one_scan_at_the_stage_where_it_happened(job, stage, what, reason):
    job.errors[stage, "001"] = what
    first, second = job.run(limits=Limits(seconds=2) if what is sleep else None)
    ended = [Status.OK, reason.status, Status.OK]
    assert statuses(first) == (ended if stage is FIRST else [Status.OK] * 3)
    assert statuses(second) == ended
    assert (second[1].outcome.stage, second[1].outcome.reason) == (stage, reason)
    assert second[1].outcome.attempt == 1
    assert {*job.records(SECOND).load()} == {each.scan for each in job.shard.scans} - (
        {job.shard.scans[1].scan} if stage is FIRST else set()
    )
    for each in (FIRST, SECOND):
        assert not job.records(each).begun()
        job.done(each)
    if reason.status is Status.FAILED:
        job.errors = {}
        assert [statuses(found) for found in job.run()] == [[Status.OK] * 3] * 2
        assert job.done(FIRST) == (["001"] if stage is FIRST else [])
        assert job.done(SECOND) == ["001"]


def test_a_worker_that_can_do_no_more_does_not_cost_the_work_of_the_first_stage(job):
    broken = []

    def lose():
        broken.append(os.getpid())
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    job.errors[SECOND, "000"] = lose
    first, second = job.run(usable=lambda: not broken)
    assert (statuses(first), statuses(second)) == ([Status.OK] * 3, [Status.FAILED, Status.OK, Status.OK])
    assert job.done(FIRST) == ["000", "001", "002"]


def test_a_killed_job_is_taken_up_at_the_stage_that_it_was_killed_at(job):
    job.shard.run_steps([job.step(FIRST)])
    assert job.done(FIRST) == ["000", "001", "002"]
    scan = job.shard.scans[1].scan
    job.records(SECOND).begin(scan, "second", 3)
    first, second = job.run()
    assert (statuses(first), statuses(second)) == ([Status.OK] * 3, [Status.OK] * 3)
    assert (job.done(FIRST), job.done(SECOND)) == ([], ["000", "001", "002"])


def test_the_second_stage_stands_where_the_first_gives_the_same_under_another_key(job):
    job.run()
    assert job.done(SECOND)
    job.done(FIRST)
    job.keys = {FIRST: "first of another version", SECOND: "second of another version"}
    learned = {}

    def equal_keys(scan):
        return {"second"} if "first" in learned[scan.scan].stands_for else set()

    def learn(record):
        learned[record.outcome.scan] = record

    first, second = job.run(equal_keys=equal_keys, learn=learn)
    assert job.done(FIRST) == ["000", "001", "002"]
    assert job.done(SECOND) == [], "it is asked only when the first has ended"
    assert {record.stands_for for record in (*first, *second)} == {("first",), ("second",)}
    assert {record.outcome.content_key for record in second} == {"second of another version"}
