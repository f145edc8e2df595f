"""Marks that ask for another look: as often as there are attempts, never more, and at failed scans alone."""

import pytest

from dixonflow.paths import Results
from dixonflow.run.retry import MOST_MEMORY, Failure, read_retry, record_failures, request_retry
from dixonflow.vocabulary import Reason

ERROR, MEMORY = Reason.INTERNAL_ERROR, Reason.OUT_OF_MEMORY


class Calls:
    """Calls of the same command on one shard with two stages, as Snakemake starts them: where the number changed."""

    def __init__(self, results: Results, max_attempts: int) -> None:
        self.results, self.max_attempts = results, max_attempts
        self.recorded = 0
        self.attempts = {"stitch": 0, "segment": 0}

    def number(self) -> int:
        return read_retry(self.results, "abc").number(self.max_attempts)

    def call(self, **failing: bool) -> bool:
        """Say whether the shard was processed; scans of the stages in `failing` go wrong while they have attempts."""
        number = self.number()
        if number == self.recorded and any(self.attempts.values()):
            return False
        for stage in self.attempts:
            if failing.get(stage):
                self.attempts[stage] = min(self.attempts[stage] + 1, self.max_attempts)
            failures = [Failure(ERROR, self.attempts[stage])] if failing.get(stage) else []
            record_failures(self.results, "abc", stage, failures, self.max_attempts)
        self.recorded = number
        return True


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(tmp_path)


def test_a_scan_that_keeps_failing_is_looked_at_max_attempts_times_and_again_when_these_are_raised(results):
    calls = Calls(results, 3)
    assert [calls.call(stitch=True) for _ in range(5)] == [True, True, True, False, False]
    calls.max_attempts = 5
    assert [calls.call(stitch=True) for _ in range(4)] == [True, True, False, False]
    assert calls.attempts["stitch"] == 5
    calls.max_attempts = 2
    assert not calls.call(stitch=True)


def test_all_is_quiet_once_a_scan_came_through(results):
    calls = Calls(results, 3)
    assert [calls.call(stitch=True), calls.call(), calls.call()] == [True, True, False]
    calls.max_attempts = 9  # no scan is failed any more
    assert not calls.call()


def test_raised_attempts_do_not_concern_shards_without_failed_scans(results):
    record_failures(results, "abc", "stitch", [Failure(ERROR, 3)], 3)
    assert [read_retry(results, name).number(3) for name in ("abc", "other")] == [0, 0]
    assert [read_retry(results, name).number(4) for name in ("abc", "other")] == [1, 0]
    record_failures(results, "other", "stitch", [], 3)
    assert not results.retry("other").exists()


def test_two_stages_with_failed_scans_do_not_hide_each_other(results):
    calls = Calls(results, 2)
    assert calls.call(stitch=True, segment=True)
    assert calls.call(segment=True)
    # stitch's has come through, segment's has no attempts left
    assert not calls.call(segment=True)
    calls.max_attempts = 3
    assert [calls.call(segment=True), calls.call(segment=True)] == [True, False]


def test_memory_is_doubled_by_the_last_attempt_too_and_not_by_a_scan_that_was_not_tried(results):
    for attempt, factor in ((1, 2), (2, 4), (2, 4)):
        record_failures(results, "abc", "stitch", [Failure(MEMORY, attempt)], 2)
        assert read_retry(results, "abc").memory == factor
    record_failures(results, "abc", "stitch", [Failure(MEMORY, 2), Failure(ERROR, 1)], 2)
    assert read_retry(results, "abc").memory == 4
    for _ in range(3):
        record_failures(results, "abc", "segment", [Failure(MEMORY, 1)], 2)
    assert read_retry(results, "abc").memory == MOST_MEMORY


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"looks": null, "memory": 1}', b"\xff"])
def test_a_damaged_mark_counts_as_none(results, content):
    request_retry(results, "abc")
    results.retry("abc").write_bytes(content)
    assert read_retry(results, "abc").number(3) == 0
    request_retry(results, "abc")
    assert read_retry(results, "abc").number(3) == 1
