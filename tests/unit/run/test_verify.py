"""Lost and damaged files are found by the verification pass and by the aggregation, and asked for."""

import json

import pytest
from synthetic_run import MODEL, measured, write_measured, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.cohort.table import write_scans
from dixonflow.config import demo_config
from dixonflow.execution.outcome import Outcome, write_outcomes
from dixonflow.run.plan import Plan
from dixonflow.run.retry import COHORT, TABLES, read_retry
from dixonflow.run.verify import files_of, lost_files, lost_tables, request_lost_files
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import SHARD_STAGES, Reason, ScanId, ScanSequence, Stage, Status


def outcome(scan, stage, status):
    reason = Reason.NONE if status is Status.OK else Reason.EMPTY_IMAGE
    return Outcome(scan, stage, status, reason, "", 1.0, 1.0, 0.0, 1, "key")


class Finished:
    """A shard of three scans, the last one excluded, with all its files."""

    def __init__(self, folder, make_scan):
        raw = folder / "raw"
        raw.mkdir()
        content = json.loads(demo_config().model_dump_json())
        content["cohort"] |= {"sources": [{"layout": "ukb", "folder": str(raw)}], "withdrawn": None, "covariates": None}
        self.plan = Plan.from_config(content | {"results": str(folder / "results"), "verify": True})
        self.results = self.plan.results
        scans = [make_scan(ScanId(f"00{number}", "2")) for number in range(3)]
        self.shard = shard_of(scans)
        self.name = self.shard.name
        write_shards(self.results.shards, [self.shard])
        assert lost_files(self.plan) == {}  # nothing has run yet, nothing can be lost
        for stage in SHARD_STAGES:
            rows = [outcome(scan.scan, stage, Status.EXCLUDED if scan is scans[2] else Status.OK) for scan in scans]
            write_outcomes(self.results.outcomes(stage, self.name), rows)
        write_measured(self.results, self.name, {scan.scan: measured(1) for scan in scans[:2]})
        self.files = [files_of(self.results, scan, self.plan.models, self.plan.config.keep) for scan in scans]
        for path in self.files[0] + self.files[1]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert lost_files(self.plan) == {}


@pytest.fixture
def finished(tmp_path, make_shard_scan):
    return Finished(tmp_path, make_shard_scan)


def test_lost_files_of_ok_scans_are_found_and_asked_for(finished):
    assert len(finished.files[0]) == 8
    finished.files[1][5].unlink()
    assert lost_files(finished.plan) == {finished.name: [finished.files[1][5]]}
    request_lost_files(finished.plan)
    assert finished.plan.retry(finished.name) == 1


@pytest.mark.parametrize("what", ["measurements", "quality", "profiles", "outcomes", "outcomes of merge"])
@pytest.mark.parametrize("damage", ["lost", "cut off"])
def test_lost_and_damaged_rows_are_found(finished, what, damage):
    results = finished.results
    path = {
        "measurements": results.measurements(finished.name),
        "quality": results.quality(finished.name),
        "profiles": results.profiles(finished.name),
        "outcomes": results.outcomes(Stage.MEASURE, finished.name),
        "outcomes of merge": results.outcomes(Stage.MERGE, finished.name),
    }[what]
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    # without the rows of its last stage Snakemake itself sees that the shard has not ended
    expected = {} if (what, damage) == ("outcomes", "lost") else {finished.name: [path]}
    assert lost_files(finished.plan) == expected


@pytest.mark.parametrize("damage", ["lost", "cut off", "no description"])
def test_lost_and_damaged_tables_are_made_again(finished, damage):
    results = finished.results
    assert lost_tables(results) == []  # there are none yet
    write_scans(results.scans, [])
    aggregate(results, {ScanSequence.DIXON: finished.plan.models}, 3)
    assert lost_tables(results) == []
    path = results.datapackage if damage == "no description" else results.tables / "quality.parquet"
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    assert lost_tables(results) == [path]
    request_lost_files(finished.plan)
    assert finished.plan.retry(TABLES) == 1


def numbers(run, max_attempts=3):
    return {shard: read_retry(run.results, shard).number(max_attempts) for shard in ("aaa", "bbb", "ccc")}


def test_aggregation_asks_for_lost_rows_and_not_for_ever(tmp_path):
    run = write_run(tmp_path)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert numbers(run) == {"aaa": 0, "bbb": 0, "ccc": 0}
    rows, quality = run.results.measurements("aaa").read_bytes(), run.results.quality("bbb")
    run.results.measurements("aaa").write_bytes(rows[:-30])
    quality.unlink()
    seen = []
    for _ in range(4):
        aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
        seen.append(numbers(run)["bbb"])
    assert seen == [1, 2, 2, 2]
    assert numbers(run) == {"aaa": 2, "bbb": 2, "ccc": 0}
    assert numbers(run, 4) == {"aaa": 3, "bbb": 3, "ccc": 0}
    run.results.measurements("aaa").write_bytes(rows)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 4)
    assert numbers(run, 4)["aaa"] == numbers(run, 9)["aaa"] == 3


def test_lost_rows_of_a_stage_before_the_last_are_asked_for_too(tmp_path):
    run = write_run(tmp_path)
    run.results.outcomes(Stage.POSTPROCESS, "ccc").unlink()
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert numbers(run) == {"aaa": 0, "bbb": 0, "ccc": 1}


def test_a_damaged_list_of_scans_is_made_again_by_the_next_call(tmp_path):
    run = write_run(tmp_path)
    run.results.scans.write_bytes(b"PAR1")
    with pytest.raises(TableError, match="cannot be read"):
        aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert read_retry(run.results, COHORT).number(3) == 1
