"""A shard brings every scan to an outcome, does nothing twice, and no scan takes it down."""

import errno
import logging
import os
import signal

import pytest
from counting_shard import Shard, statuses

from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import EarlierResult
from dixonflow.execution.stage_work import StageResult
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


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


def cut(content):
    return content[:50]


def change(content):
    return content[:14] + bytes(byte ^ 0xFF for byte in content[14:16]) + content[16:]


@pytest.mark.parametrize("damage", [cut, change, lambda content: b""])
def test_unreadable_records_count_as_not_done(shard, damage):
    shard.run()
    packed = shard.folder / "records.jsonl.gz"
    packed.write_bytes(damage(packed.read_bytes()))
    assert statuses(shard.run()) == [Status.OK] * 3
    assert len(shard.worked) == 3


@pytest.mark.parametrize("content", [b"", b"key", b"key two", b"\xff\xfe 1"])
def test_a_mark_that_cannot_be_read_has_its_scan_made_again(shard, content):
    shard.run()
    scan = shard.scans[1].scan
    shard.records.begin(scan, shard.key, 0)
    (shard.folder / "records" / f"{scan.name}.begun").write_bytes(content)
    assert statuses(shard.run()) == [Status.OK] * 3
    assert shard.worked == ["001"]


def test_what_a_killed_job_of_other_settings_left_is_not_taken_for_ours(shard):
    shard.run()
    scan = shard.scans[1].scan
    shard.records.begin(scan, "other", 0)
    shard.output(scan).write_text("made with other settings")
    assert statuses(shard.run()) == [Status.OK] * 3
    assert shard.worked == ["001"]
    assert shard.output(scan).read_text() == "result"


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


class TestSameResult:
    """A stage that is done again under another key and gives the same bytes says so in its records."""

    def run(self, shard, **steps):
        return shard.run(result=lambda scan: shard.output(scan.scan).read_text(), **steps)

    def test_the_record_names_the_keys_before(self, shard):
        assert {record.stands_for for record in self.run(shard)} == {()}
        shard.key = "second"
        assert {record.stands_for for record in self.run(shard)} == {("key",)}
        shard.key = "third"
        assert {record.stands_for for record in self.run(shard)} == {("second", "key")}
        assert shard.worked == ["000", "001", "002"]

    def test_another_result_stands_for_itself(self, shard):
        self.run(shard)
        shard.key = "second"
        records = self.run(shard, process=lambda scan: shard.output(scan.scan).write_text("other") and StageResult())
        assert {record.stands_for for record in records} == {()}

    def test_records_of_versions_without_results_are_compared_by_the_files(self, shard):
        shard.run()
        shard.key = "second"
        assert {record.stands_for for record in self.run(shard)} == {("key",)}
        shard.run()
        shard.output(shard.scans[1].scan).unlink()
        shard.key = "third"
        assert [record.stands_for for record in shard.run(result=lambda scan: "x")] == [(), (), ()]

    def test_a_job_that_is_killed_forgets_nothing(self, shard):
        self.run(shard)
        shard.key = "second"
        shard.errors["001"] = lambda: os.kill(os.getpid(), signal.SIGKILL)
        records = self.run(shard, max_attempts=1)
        assert [record.outcome.status for record in records] == [Status.OK, Status.FAILED, Status.OK]
        before = EarlierResult("result", ("key",))
        shard.records.begin(shard.scans[2].scan, "third", 0, before)
        shard.key = "third"
        shard.errors.clear()
        records = self.run(shard)
        assert [record.stands_for for record in records] == [("second", "key"), (), ("key",)]

    def test_an_equal_key_stands_and_takes_the_new_name(self, shard):
        self.run(shard)
        shard.key = "second"
        records = self.run(shard, equal_keys=lambda scan: {"key"})
        assert shard.worked == []
        assert {record.outcome.content_key for record in records} == {"second"}
        assert {record.stands_for for record in records} == {("key",)}


class TestRawState:
    """A stage that reads raw data does it again where the data is in another state."""

    def run(self, shard, state, **steps):
        return shard.run(raw_stamp=lambda scan, status: state, **steps)

    def test_another_state_is_read_again_and_counts_as_a_first_try(self, shard):
        shard.errors["001"] = ScanExcluded(Reason.UNREADABLE_FILE, "damaged")
        shard.errors["002"] = RuntimeError("bad")
        first = self.run(shard, "one", max_attempts=1)
        assert [record.outcome.status for record in first] == [Status.OK, Status.EXCLUDED, Status.FAILED]
        self.run(shard, "one", max_attempts=1)
        assert shard.worked == []
        shard.errors.clear()
        again = self.run(shard, "two", max_attempts=1)
        assert shard.worked == ["000", "001", "002"]
        assert {(record.outcome.status, record.outcome.attempt) for record in again} == {(Status.OK, 1)}

    def test_of_records_without_a_state_only_what_was_made_stands(self, shard):
        shard.errors["001"] = ScanExcluded(Reason.UNREADABLE_FILE, "damaged")
        shard.run()
        shard.errors.clear()
        records = self.run(shard, "known")
        assert shard.worked == ["001"]
        assert {record.raw_stamp for record in records} == {"known"}
        self.run(shard, "another")
        assert shard.worked == ["000", "001", "002"]
