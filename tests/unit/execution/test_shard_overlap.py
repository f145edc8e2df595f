"""Steps of a shard that overlap give what one after another gives, with few scans in hand at once."""

import threading
import time

from counting_shard import stage_of, statuses

from dixonflow.errors import ScanExcluded
from dixonflow.execution.stage_work import StageResult
from dixonflow.execution.steps import Step
from dixonflow.execution.worker import AHEAD, BEHIND
from dixonflow.vocabulary import Reason, ScanId, Status


def overlapping(shard, prepare, process, finish):
    return stage_of(
        shard.stage,
        key=lambda scan: "key",
        outputs=lambda scan: [],
        prepare=prepare,
        process=process,
        finish=finish,
    )


def test_steps_overlap_and_give_what_one_after_another_gives(shard):
    def prepare(scan):
        if scan.scan.participant == "000":
            raise ScanExcluded(Reason.EMPTY_IMAGE, "constant")
        return scan, threading.current_thread().name

    def finish(value):
        scan, names = value
        if scan.scan.participant == "002":
            raise RuntimeError("disk on fire")
        return StageResult({"threads": [*names, threading.current_thread().name]})

    def process(value):
        scan, name = value
        return scan, [name, threading.current_thread().name]

    work = overlapping(shard, prepare, process, finish)
    assert work.overlaps
    (records,) = shard.run_steps([Step(work, shard.records, 2)])
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
        return StageResult({"held": held})

    work = overlapping(shard, prepare, process, finish)
    (records,) = shard.run_steps([Step(work, shard.records, 2)])
    assert statuses(records) == [Status.OK] * 12
    most = max(record.payload["held"] for record in records)
    assert 3 <= most <= AHEAD + BEHIND + 1
