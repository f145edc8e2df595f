"""The script of the cohort stage, call after call: what failed is tried again, nothing that is known is lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from crashing_worker import failing_inspection
from raw_scan_files import make_stations, scan_slices, write_scan_zip

from dixonflow.cli.pipeline.cohort import cohort_command
from dixonflow.cohort import inspect as inspection_module
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.table import CohortScan, read_scans
from dixonflow.config import demo_config
from dixonflow.execution.outcome import Outcome, write_outcomes
from dixonflow.run.plan import Plan
from dixonflow.vocabulary import Reason, Stage, Status


class Cohort:
    """Four whole scans of UK Biobank, and calls of the script."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.withdrawn, self.config = folder / "raw", folder / "withdrawn.txt", folder / "config.json"
        self.raw.mkdir()
        self.withdrawn.touch()
        for number in range(4):
            slices = scan_slices(make_stations(6, number, (18, 16, 4)))
            write_scan_zip(self.raw / f"{number}_20201_2_0.zip", slices)
        self.content = json.loads(demo_config().model_dump_json())
        self.content["cohort"] |= {
            "sources": [{"layout": "ukb", "folder": str(self.raw)}],
            "withdrawn": str(self.withdrawn),
            "covariates": None,
        }
        self.content |= {"results": str(folder / "results")}

    def plan(self, max_attempts: int = 2) -> Plan:
        return Plan.from_config(self.content | {"max_attempts": max_attempts})

    def call(self, max_attempts: int = 2) -> list[CohortScan]:
        self.config.write_text(json.dumps(self.content | {"max_attempts": max_attempts}))
        cohort_command(self.config, 1)
        return read_scans(self.plan().results.scans)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return Cohort(tmp_path)


def test_scans_that_fail_here_are_tried_again_by_the_same_command(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(inspection_module, "inspect_scan", failing_inspection)
        rows = cohort.call()
        assert [row.reason for row in rows if row.status is Status.FAILED] == [
            Reason.WORKER_DIED,
            Reason.INTERNAL_ERROR,
        ]
        assert cohort.plan().retry("cohort") == 1
        cohort.call()
        assert cohort.plan().retry("cohort") == 1  # no attempts left
        assert cohort.plan(max_attempts=3).retry("cohort") == 2
    assert {row.status for row in cohort.call(max_attempts=3)} == {Status.OK}
    assert cohort.plan(max_attempts=3).retry("cohort") == 2
    cohort.call(max_attempts=3)
    assert cohort.plan(max_attempts=9).retry("cohort") == 2


def test_a_file_that_cannot_be_opened_is_tried_again_as_often_as_a_failed_scan(cohort: Cohort) -> None:
    (cohort.raw / "7_20201_2_0.zip").symlink_to(cohort.raw / "a_disk_that_is_away")
    numbers = []
    for _ in range(3):
        unopened = [row for row in cohort.call() if row.is_unopened]
        numbers.append((unopened[0].attempt, cohort.plan().retry("cohort")))
    assert numbers == [(1, 1), (2, 1), (3, 1)]


def test_damaged_rows_of_the_call_before_count_as_none(cohort: Cohort, caplog: pytest.LogCaptureFixture) -> None:
    first = cohort.call()
    path = cohort.plan().results.scans
    path.write_bytes(path.read_bytes()[:-30])
    assert cohort.call() == first
    assert "all scans are inspected again" in caplog.text


def test_who_is_no_longer_on_the_list_is_worked_on_again_even_if_a_call_was_killed(cohort: Cohort) -> None:
    rows = cohort.call()
    results = cohort.plan().results
    (shard,) = read_shards(results.shards)
    done = [
        Outcome(row.scan, Stage.STITCH, Status.OK, Reason.NONE, "", 1.0, 1.0, 0.0, 1, "key") for row in rows if row.scan
    ]
    write_outcomes(results.outcomes(Stage.STITCH, shard.name), done)
    cohort.call()
    assert cohort.plan().retry(shard.name) == 0
    # the jobs saw the first scan on the list; no call of the cohort stage did, as if it had been killed
    gone = replace(
        done[0], stage=Stage.COHORT, status=Status.WITHDRAWN, reason=Reason.CONSENT_WITHDRAWN, content_key="", attempt=0
    )
    write_outcomes(results.outcomes(Stage.STITCH, shard.name), [gone, *done[1:]])
    cohort.withdrawn.write_text(f"{gone.scan.participant}\n")
    cohort.call()
    assert cohort.plan().retry(shard.name) == 0
    cohort.withdrawn.write_text("")
    cohort.call()
    assert cohort.plan().retry(shard.name) == 1
