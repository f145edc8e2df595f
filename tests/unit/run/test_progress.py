"""What is said of a run in progress, by the files that jobs leave."""

import io
import os
import time
from pathlib import Path

import pytest

from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.paths import Results
from dixonflow.run.progress import (
    ProgressReport,
    StageProgress,
    duration,
    finished_shards,
    stages_at_work,
)
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import Reason, ScanId, Stage

MODELS = ("one", "two")


class Run:
    """Three shards of four scans, and jobs that have done some of them."""

    def __init__(self, folder: Path, make_scan) -> None:
        self.results = Results(folder)
        scans = [make_scan(ScanId(f"{number:03}", "2")) for number in range(12)]
        self.shards = [shard_of(scans[start : start + 4]) for start in (0, 4, 8)]
        write_shards(self.results.shards, self.shards)
        self.start = time.time() - 100

    def do(self, stage: Stage, place: int, count: int, model: str = "") -> None:
        """Leave the records of the first scans of a shard, as a job at work does."""
        shard = self.shards[place]
        records = Records(self.results.records(stage, shard.name, model))
        for entry in shard.scans[:count]:
            records.finish(Record(Outcome.because(Reason.NONE, entry.scan, stage, attempt=1, content_key="key")))
        if count < len(shard.scans):
            records.begin(shard.scans[count].scan, "key", 0)

    def end(self, stage: Stage, place: int, date: float | None = None) -> None:
        """Write the rows of a shard."""
        path = self.results.outcomes(stage, self.shards[place].name)
        write_bytes(path, b"rows")
        os.utime(path, (date or time.time(),) * 2)

    def at_work(self) -> list[StageProgress]:
        return stages_at_work(self.results, MODELS, self.start)


@pytest.fixture
def run(tmp_path, make_shard_scan) -> Run:
    return Run(tmp_path, make_shard_scan)


def test_before_the_shards_are_known_the_cohort_stage_says_how_far_it_is(tmp_path):
    results = Results(tmp_path)
    assert stages_at_work(results, MODELS, 0.0) == []
    write_bytes(results.inspected, b"120 5000\n")
    assert stages_at_work(results, MODELS, 0.0) == [StageProgress(Stage.COHORT, 120, 5000)]
    assert stages_at_work(results, MODELS, time.time() + 10) == [], "of a run that was killed"


def test_scans_of_jobs_at_work_and_of_shards_that_ended_in_this_run_count(run):
    assert run.at_work() == []
    run.do(Stage.STITCH, 0, 3)
    assert run.at_work() == [StageProgress(Stage.STITCH, 3, 12)]
    run.end(Stage.STITCH, 1)
    assert run.at_work() == [StageProgress(Stage.STITCH, 7, 12)]
    run.end(Stage.STITCH, 1, run.start - 10)  # of an earlier run, and still good
    assert run.at_work() == [StageProgress(Stage.STITCH, 3, 8)]


def test_each_model_is_its_part_of_the_work(run):
    run.do(Stage.SEGMENT, 2, 2, "one")
    assert run.at_work() == [StageProgress(Stage.SEGMENT, 1, 12)]
    Records(run.results.records(Stage.SEGMENT, run.shards[2].name, "one")).pack({})
    run.do(Stage.SEGMENT, 2, 2, "two")
    assert run.at_work() == [StageProgress(Stage.SEGMENT, 3, 12)]


def test_people_who_watch_get_scans_rate_and_time_left(run):
    stream = io.StringIO()
    report = ProgressReport(run.results, MODELS, stream, watched=True)
    now = time.time()
    run.do(Stage.STITCH, 0, 1)
    report.report(now + 25)
    assert stream.getvalue() == "dixonflow: stitch: 1 of 12 scans\n"
    run.do(Stage.STITCH, 0, 3)
    report.report(now + 85)
    assert stream.getvalue().splitlines()[1] == "dixonflow: stitch: 3 of 12 scans, 2.0 per minute, 4 min left"


def test_a_log_gets_a_line_for_each_shard_that_ended_and_nothing_else(run):
    stream = io.StringIO()
    report = ProgressReport(run.results, MODELS, stream, watched=False)
    run.do(Stage.STITCH, 0, 3)
    run.end(Stage.MEASURE, 2, time.time() - 1000)
    report.report(time.time() + 300)
    assert stream.getvalue() == ""
    run.end(Stage.MEASURE, 1)
    report.report(time.time())
    report.report(time.time())
    assert stream.getvalue() == f"dixonflow: shard {run.shards[1].name} has ended (1 of 3 in this run)\n"
    assert finished_shards(run.results, run.start) == [run.shards[1].name]


def test_what_cannot_be_read_does_not_disturb_the_run(run, tmp_path):
    stream = io.StringIO()
    report = ProgressReport(run.results, MODELS, stream, watched=True)
    write_bytes(run.results.inspected, b"half a li")
    report.report(time.time() + 60)
    (tmp_path / "cohort" / "shards.txt").write_text("nosuchshard\n")
    run.results.inspected.unlink()
    report.report(time.time() + 60)
    assert stream.getvalue() == ""


def test_it_reports_until_it_is_ended(run, monkeypatch):
    monkeypatch.setattr("dixonflow.run.progress.INTERVAL_SECONDS", 0.05)
    stream = io.StringIO()
    report = ProgressReport(run.results, MODELS, stream, watched=False)
    report.start()
    run.end(Stage.MEASURE, 0)
    until = time.monotonic() + 20
    while not stream.getvalue() and time.monotonic() < until:
        time.sleep(0.02)
    run.end(Stage.MEASURE, 1)
    report.end()
    assert not report.is_alive()
    assert stream.getvalue().count("has ended") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5 s"),
        (89, "89 s"),
        (90, "2 min"),
        (7000, "117 min"),
        (7200, "2 h"),
        (90_000, "25 h"),
        (260_000, "3.0 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
