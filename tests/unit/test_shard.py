"""A shard brings every scan to an outcome, does nothing twice, and no scan takes it down."""

import errno

import pytest

from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.records import Records
from dixonflow.shard import Done, StageWork, run_shard
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


class Shard:
    """Three scans, a stage that counts its work and fails on demand."""

    def __init__(self, folder, make_scan):
        self.folder = folder
        self.scans = [make_scan(ScanId(f"00{number}", "2")) for number in range(3)]
        self.worked = []
        self.errors = {}
        self.key = "key"
        self.stage = Stage.STITCH

    def process(self, scan):
        self.worked.append(scan.scan.participant)
        if scan.scan.participant in self.errors:
            raise self.errors[scan.scan.participant]
        self.output(scan.scan).write_text("result")
        return Done({"answer": 42})

    def output(self, scan):
        return self.folder / scan.name

    def run(self, upstream=None, max_attempts=2):
        self.worked.clear()
        work = StageWork(self.stage, lambda scan: self.key, self.process, lambda scan: [self.output(scan.scan)])
        return run_shard(work, self.scans, upstream, Records(self.folder / "records.jsonl.gz"), max_attempts)


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


def test_a_process_that_dies_costs_an_attempt_and_then_the_scan_alone(shard):
    shard.errors["001"] = KeyboardInterrupt()  # ends the process, as a kill does
    for attempt in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            shard.run()
        assert "002" not in shard.worked
        assert shard.worked[-1] == "001", attempt
    records = shard.run()
    assert statuses(records) == [Status.OK, Status.FAILED, Status.OK]
    assert records[1].outcome.reason is Reason.WORKER_DIED
    assert shard.worked == ["002"]


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


def test_no_participant_id_in_the_log(shard, caplog):
    shard.scans[0] = type(shard.scans[0])(**(vars(shard.scans[0]) | {"scan": ScanId("987654", "2")}))
    shard.errors["987654"] = OSError(errno.EIO, "cannot read", "/raw/987654_20201_2_0.zip")
    with caplog.at_level("INFO"):
        shard.run()
    assert "cannot read" in caplog.text
    assert "987654" not in caplog.text
