"""The worker of a shard dies, hangs or is killed: the scan at fault pays for it alone."""

import multiprocessing
import os
import signal
import struct
import time
from multiprocessing.connection import Connection

import numpy as np
import psutil
import pytest
from counting_shard import statuses

from dixonflow.execution import worker
from dixonflow.execution.records import NO_EARLIER_RESULT, StartedMark
from dixonflow.execution.steps import MAX_INTERRUPTIONS
from dixonflow.execution.supervisor import Limits, StartDiedError
from dixonflow.execution.worker import ScanFinished
from dixonflow.vocabulary import Reason, Status


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


@pytest.mark.parametrize("overlap", [False, True])
def test_a_worker_that_can_do_no_more_leaves_the_rest_to_another(shard, overlap):
    """As one whose CUDA context is lost: every call would fail from then on."""
    broken = []

    def lose():
        broken.append(os.getpid())
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def process(scan):
        if broken:
            raise RuntimeError("CUDA error: it stays")
        return shard.process(scan)

    shard.errors["000"] = lose
    steps = {"prepare": lambda scan: scan} if overlap else {}
    records = shard.run(usable=lambda: not broken, process=process, **steps)
    assert statuses(records) == [Status.FAILED, Status.OK, Status.OK]
    assert records[0].outcome.reason is Reason.INTERNAL_ERROR
    assert [record.outcome.attempt for record in records] == [1, 1, 1]
    assert shard.worked == ["000", "001", "002"]
    assert not shard.records.begun()


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


def test_killed_by_the_kernel_with_most_of_its_memory_in_use(shard):
    limit_mb = psutil.Process().memory_info().rss / 2**20 + 600

    def fill_and_be_killed():
        taken = []
        while psutil.Process().memory_info().rss / 2**20 < 0.88 * limit_mb:
            taken.append(np.ones(2**21))  # 16 MB
        time.sleep(1)
        kill_oneself()

    shard.errors["001"] = fill_and_be_killed
    records = shard.run(limits=Limits(memory_mb=limit_mb))
    assert records[1].outcome.reason is Reason.OUT_OF_MEMORY


def test_a_worker_that_dies_before_it_says_that_a_scan_is_done(shard, monkeypatch):
    monkeypatch.setattr(worker, "ScanFinished", lambda place, step, record: kill_oneself())
    records = shard.run()
    assert statuses(records) == [Status.OK] * 3
    assert shard.worked == ["000", "001", "002"]


def test_a_worker_that_dies_in_the_middle_of_its_word(shard, monkeypatch):
    usual = Connection.send

    def send_half(self, message):
        if isinstance(message, ScanFinished):
            os.write(self.fileno(), struct.pack("!i", 1000) + b"x" * 10)
            kill_oneself()
        usual(self, message)

    monkeypatch.setattr(Connection, "send", send_half)
    records = shard.run()
    assert statuses(records) == [Status.OK] * 3
    assert shard.worked == ["000", "001", "002"]


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
    with pytest.raises(StartDiedError, match="ended before it started") as died:
        shard.run(start=die)
    assert died.value.reason is Reason.WORKER_DIED
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
        pytest.fail("the worker continues without the job")
    assert shard.records.begun() == {shard.scans[0].scan: StartedMark("key", 1, NO_EARLIER_RESULT)}
