"""A shard brings every scan to an outcome, does nothing twice, and no scan takes it down."""

import errno
import logging
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest

from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.outcome import Outcome
from dixonflow.records import Records
from dixonflow.shard import MAX_INTERRUPTIONS, run_shard
from dixonflow.supervisor import Limits
from dixonflow.vocabulary import Reason, ScanId, Stage, Status
from dixonflow.work import Done, StageWork
from dixonflow.worker import AHEAD, BEHIND


class Shard:
    """Three scans, a stage that counts its work and goes wrong on demand; the work is done in another process."""

    def __init__(self, folder, make_scan):
        self.folder = folder
        self.scans = [make_scan(ScanId(f"00{number}", "2")) for number in range(3)]
        self.errors = {}
        self.key = "key"
        self.stage = Stage.STITCH

    def process(self, scan):
        with (self.folder / "worked.txt").open("a") as file:
            file.write(f"{scan.scan.participant}\n")
        error = self.errors.get(scan.scan.participant)
        if callable(error):
            error()
        elif error:
            raise error
        self.output(scan.scan).write_text("result")
        return Done({"answer": 42})

    @property
    def worked(self):
        path = self.folder / "worked.txt"
        return path.read_text().split() if path.exists() else []

    def output(self, scan):
        return self.folder / scan.name

    @property
    def records(self):
        return Records(self.folder / "records.jsonl.gz")

    def run(self, upstream=None, max_attempts=2, limits=None, **steps):
        (self.folder / "worked.txt").unlink(missing_ok=True)
        work = StageWork(
            self.stage, lambda scan: self.key, self.process, lambda scan: [self.output(scan.scan)], **steps
        )
        return run_shard(work, self.scans, upstream or self.upstream(), self.records, max_attempts, limits)

    def upstream(self):
        return {
            scan.scan: Outcome(scan.scan, Stage.COHORT, Status.OK, Reason.NONE, "", 0.0, 0.0, 0.0, 0, "")
            for scan in self.scans
        }


@pytest.fixture
def shard(tmp_path, make_shard_scan):
    return Shard(tmp_path, make_shard_scan)


def statuses(records):
    return [record.outcome.status for record in records]


def test_done_work_is_not_done_again(shard):
    first = shard.run()
    assert statuses(first) == [Status.OK] * 3
    assert shard.worked == ["000", "001", "002"]
    second = shard.run()
    assert shard.worked == []
    assert second == first


def test_a_lost_file_is_made_again_alone(shard):
    shard.run()
    shard.output(shard.scans[1].scan).unlink()
    shard.run()
    assert shard.worked == ["001"]
    assert shard.output(shard.scans[1].scan).exists()


def test_another_key_makes_everything_again(shard):
    shard.run()
    shard.key = "other"
    shard.run()
    assert len(shard.worked) == 3


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ScanExcluded(Reason.MISSING_STATION, "5 of 6"), Status.EXCLUDED, Reason.MISSING_STATION),
        (MemoryError(), Status.FAILED, Reason.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Status.FAILED, Reason.DISK_FULL),
        (ZeroDivisionError("division by zero"), Status.FAILED, Reason.INTERNAL_ERROR),
    ],
)
def test_a_scan_never_takes_its_shard_down(shard, error, status, reason):
    shard.errors["001"] = error
    records = shard.run()
    assert statuses(records) == [Status.OK, status, Status.OK]
    assert records[1].outcome.reason is reason


def test_failed_scans_are_tried_again_up_to_max_attempts_and_excluded_ones_are_not(shard):
    shard.errors = {"001": RuntimeError("bad luck"), "002": ScanExcluded(Reason.EMPTY_IMAGE, "constant")}
    assert shard.run()[1].outcome.attempt == 1
    assert shard.run()[1].outcome.attempt == 2
    assert shard.worked == ["001"]
    assert shard.run()[1].outcome.attempt == 2
    assert shard.worked == []


def test_a_failed_scan_that_succeeds_later_is_ok(shard):
    shard.errors = {"001": RuntimeError("bad luck")}
    shard.run()
    shard.errors = {}
    assert statuses(shard.run()) == [Status.OK] * 3


def test_a_damaged_file_of_our_own_is_a_failure_and_no_exclusion(shard):
    shard.stage = Stage.MEASURE
    shard.errors["001"] = ScanExcluded(Reason.TRUNCATED_PIXELS, "x_dseg.nii.gz: cut off")
    outcome = shard.run()[1].outcome
    assert outcome.status is Status.FAILED
    assert outcome.reason is Reason.INTERNAL_ERROR
    assert "remove it and run again" in outcome.message


def test_a_model_error_ends_the_job(shard):
    shard.errors["000"] = ModelError("no weights")
    with pytest.raises(ModelError):
        shard.run()


def die():
    os._exit(7)


def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


def take_memory():
    taken = []
    while True:
        taken.append(np.ones(2**22))  # 32 MB
        time.sleep(0.02)


def sleep():
    time.sleep(60)


@pytest.mark.parametrize(
    ("what", "limits", "reason"),
    [
        (die, None, Reason.WORKER_DIED),
        (kill_oneself, None, Reason.WORKER_DIED),
        (take_memory, Limits(memory_mb=1500), Reason.OUT_OF_MEMORY),
        (sleep, Limits(seconds=1), Reason.TIMEOUT),
    ],
)
@pytest.mark.parametrize("overlap", [False, True])
def test_a_worker_that_dies_costs_the_scan_at_fault_alone(shard, what, limits, reason, overlap):
    shard.errors["001"] = what
    steps = {"prepare": lambda scan: scan} if overlap else {}
    records = shard.run(limits=limits, **steps)
    assert statuses(records) == [Status.OK, Status.FAILED, Status.OK]
    assert records[1].outcome.reason is reason
    assert records[1].outcome.attempt == 1
    assert records[1].outcome.message
    assert set(shard.worked) == {"000", "001", "002"}
    assert not shard.records.begun()
    shard.errors = {}
    assert statuses(shard.run(**steps)) == [Status.OK] * 3
    assert shard.worked == ["001"]


def test_a_job_that_is_killed_costs_no_attempt_until_it_happens_too_often(shard):
    scan = shard.scans[1].scan
    shard.records.begin(scan, shard.key, 3)
    records = shard.run()
    assert statuses(records) == [Status.OK] * 3
    assert records[1].outcome.attempt == 1
    shard.key = "other"
    shard.records.begin(scan, shard.key, MAX_INTERRUPTIONS)
    records = shard.run()
    assert statuses(records) == [Status.OK, Status.FAILED, Status.OK]
    assert records[1].outcome.reason is Reason.WORKER_DIED
    assert "001" not in shard.worked
    assert statuses(shard.run()) == [Status.OK, Status.FAILED, Status.OK]
    assert shard.worked == []


def test_steps_overlap_and_give_what_one_after_another_gives(shard):
    def prepare(scan):
        if scan.scan.participant == "000":
            raise ScanExcluded(Reason.EMPTY_IMAGE, "constant")
        return scan, threading.current_thread().name

    def finish(value):
        scan, names = value
        if scan.scan.participant == "002":
            raise RuntimeError("disk on fire")
        return Done({"threads": [*names, threading.current_thread().name]})

    def process(value):
        scan, name = value
        return scan, [name, threading.current_thread().name]

    work = StageWork(shard.stage, lambda scan: "key", process, lambda scan: [], prepare=prepare, finish=finish)
    assert work.overlaps
    records = run_shard(work, shard.scans, shard.upstream(), shard.records, 2)
    assert [record.outcome.reason for record in records] == [
        Reason.EMPTY_IMAGE,
        Reason.NONE,
        Reason.INTERNAL_ERROR,
    ]
    assert len(set(records[1].payload["threads"])) == 3
    assert records[2].outcome.message == "RuntimeError: disk on fire"


def test_no_more_than_a_few_scans_are_in_hand_at_once(shard, make_shard_scan):
    """Counted by the files that each step leaves, because the worker is another process."""
    shard.scans = [make_shard_scan(ScanId(f"{number:03d}", "2")) for number in range(12)]
    folder = shard.folder / "hand"
    folder.mkdir()

    def prepare(scan):
        (folder / scan.scan.participant).touch()
        return scan

    def process(scan):
        time.sleep(0.02)
        return scan, len(list(folder.iterdir()))

    def finish(value):
        scan, held = value
        time.sleep(0.05)
        (folder / scan.scan.participant).unlink()
        return Done({"held": held})

    work = StageWork(shard.stage, lambda scan: "key", process, lambda scan: [], prepare=prepare, finish=finish)
    records = run_shard(work, shard.scans, shard.upstream(), shard.records, 2)
    assert statuses(records) == [Status.OK] * 12
    most = max(record.payload["held"] for record in records)
    assert 3 <= most <= AHEAD + BEHIND + 1


def test_what_a_killed_worker_left_half_written_is_removed(shard):
    leftover = shard.folder / f".0a1b2c.{shard.scans[1].scan.name}"

    def die_while_writing():
        leftover.write_text("half")
        os._exit(1)

    shard.errors["001"] = die_while_writing
    shard.run()
    assert leftover.exists()
    shard.errors = {}
    shard.run()
    assert not leftover.exists()
    assert shard.output(shard.scans[1].scan).exists()


def test_the_network_is_loaded_once_and_only_where_there_is_work(shard):
    loads = shard.folder / "loads.txt"

    def start():
        with loads.open("a") as file:
            file.write("x")

    shard.run(start=start)
    assert loads.read_text() == "x"
    shard.run(start=start)
    assert loads.read_text() == "x"


def test_a_worker_that_cannot_start_is_an_error(shard):
    with pytest.raises(RuntimeError, match="ended before it began"):
        shard.run(start=die)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        shard.run(start=lambda: 1 / 0)
    assert statuses(shard.run()) == [Status.OK] * 3


def test_the_worker_ends_with_the_job_that_watches_it(shard):
    pid_file = shard.folder / "pid"

    def report_and_sleep():
        pid_file.write_text(str(os.getpid()))
        time.sleep(60)

    shard.errors["000"] = report_and_sleep
    job = multiprocessing.get_context("fork").Process(target=shard.run)
    job.start()
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGKILL)
    job.join()
    worker = int(pid_file.read_text())
    for _ in range(200):
        if not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker goes on without the job")
    assert shard.records.begun() == {shard.scans[0].scan: ("key", 1)}


def test_rows_that_are_not_ok_are_carried_on_unchanged_and_missing_ones_are_failures(shard):
    shard.errors["001"] = ScanExcluded(Reason.EMPTY_IMAGE, "constant")
    upstream = {record.outcome.scan: record.outcome for record in shard.run()}
    later = Shard(shard.folder / "later", lambda scan: None)
    later.folder.mkdir()
    later.scans = shard.scans
    del upstream[shard.scans[2].scan]
    records = later.run(upstream)
    assert later.worked == ["000"]
    assert records[1].outcome == upstream[shard.scans[1].scan]
    assert records[2].outcome.status is Status.FAILED


def test_unreadable_records_count_as_not_done(shard):
    shard.run()
    packed = shard.folder / "records.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:50])
    assert statuses(shard.run()) == [Status.OK] * 3
    assert len(shard.worked) == 3


def test_no_participant_id_in_the_log(shard):
    shard.scans[0] = type(shard.scans[0])(**(vars(shard.scans[0]) | {"scan": ScanId("987654", "2")}))
    shard.errors["987654"] = OSError(errno.EIO, "cannot read", "/raw/987654_20201_2_0.zip")
    log = shard.folder / "log.txt"
    handler = logging.FileHandler(log)  # the worker's log goes where its handlers write, not to this process
    logging.getLogger().addHandler(handler)
    try:
        shard.run()
    finally:
        logging.getLogger().removeHandler(handler)
    assert "cannot read" in log.read_text()
    assert "987654" not in log.read_text()


def test_a_row_lost_by_the_stage_before_costs_an_attempt_each_time(shard):
    shard.stage = Stage.MERGE
    upstream = {
        scan.scan: Outcome(scan.scan, Stage.SEGMENT, Status.OK, Reason.NONE, "", 1.0, 1.0, 0.0, 1, "key")
        for scan in shard.scans[1:]
    }
    for attempt in (1, 2):
        lost, *others = shard.run(upstream)
        assert (lost.outcome.status, lost.outcome.attempt) == (Status.FAILED, attempt)
        assert statuses(others) == [Status.OK] * 2
