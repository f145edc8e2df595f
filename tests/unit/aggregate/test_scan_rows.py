"""The rows of the table `scans`: every scan has one, whatever the stages say, and its files are counted."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_run import MODEL, SHARDS, STAGES, write_run

from dixonflow.aggregate.build import aggregate, read_scans
from dixonflow.aggregate.graded_tables import Checked, value_counts, with_grades
from dixonflow.aggregate.scan_rows import StageRows, scan_rows
from dixonflow.aggregate.summary import summarise
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.execution.outcome import OUTCOMES, read_outcomes, write_outcomes
from dixonflow.paths import Results
from dixonflow.ratings.effects import GoodRatings
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables.definitions import FILE_COUNTS, QUALITY, SCANS
from dixonflow.tables.grading import objections_of
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.schema import arrow_schema, check_rows, to_arrow
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Layout, Reason, ScanId, ScanSequence, Stage, Status

CELL = st.one_of(st.sampled_from(Reason), st.none())


@settings(deadline=None, max_examples=8)
@given(st.lists(st.tuples(st.sampled_from(Reason), st.lists(CELL, min_size=6, max_size=6)), min_size=1, max_size=6))
def test_whatever_the_stages_say_nobody_is_lost(ways: list[tuple[Reason, list[Reason | None]]]) -> None:
    cohort = pd.DataFrame(
        [
            {
                "participant_id": f"{number:03d}", "session_id": "2", "sequence": "dixon", "source": f"{number}.zip",
                "layout": "ukb", "raw_key": "r", "content_key": "k", "status": reason.status.value,
                "reason": reason.value, "message": "", "note": "", "shard": "aaa", "n_stations": 6, "n_slices": 300,
                "attempt": 1, "more_sources": "", "superseded": "a.zip\nb.zip", "others": "",
            }
            for number, (reason, _) in enumerate(ways)
        ]
    )  # fmt: skip
    stages = {}
    for place, stage in enumerate(STAGES):
        rows = [
            {
                "participant_id": f"{number:03d}", "session_id": "2", "stage": stage.value,
                "status": cell.status.value, "reason": cell.value, "message": "m", "seconds": 1.0,
                "peak_memory_mb": 1.0, "gpu_seconds": 0.0, "attempt": 1, "content_key": f"{stage.value}-key",
                "shard": "aaa",
            }
            for number, (_, cells) in enumerate(ways)
            if (cell := cells[place]) is not None
        ]  # fmt: skip
        stages[stage] = StageRows(pd.DataFrame(rows, columns=[*OUTCOMES.names, "shard"]).astype({"shard": object}), {})
    no_rows = arrow_schema(QUALITY).empty_table()
    nothing = Checked(objections_of(no_rows), pd.DataFrame(columns=[*SCAN_KEYS, "repair"]), GoodRatings())
    scans = with_grades(scan_rows(cohort, stages), nothing, value_counts(arrow_schema(MEASUREMENTS).empty_table()))
    check_rows(to_arrow(scans, SCANS), SCANS)
    assert summarise(scans).scans_in == len(ways)
    for number, (reason, cells) in enumerate(ways):
        first = next((cell for cell in [reason, *cells] if cell is not Reason.NONE), Reason.NONE)
        row = scans.iloc[number]
        assert row["reason"] == (Reason.INTERNAL_ERROR if first is None else first).value
        assert (row["status"] == Status.OK) == all(cell is Reason.NONE for cell in [reason, *cells])


def test_a_table_of_an_earlier_version_is_read_with_its_missing_columns_as_null(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    table = pq.read_table(run.results.scan_table)
    added = ["sequence", "values_failed", "values_to_review", "scan_grade", "scan_grade_decided_by", *FILE_COUNTS]
    pq.write_table(table.drop_columns(added), run.results.scan_table)
    scans = read_scans(run.results.scan_table)
    assert scans[added[1:]].isna().all(axis=None)
    assert set(scans.loc[scans["participant_id"].notna(), "sequence"]) == {"dixon"}


def test_a_folder_that_holds_two_sequences_counts_once(tmp_path: Path) -> None:
    results = Results(tmp_path)
    scans = [ScanId("0001", "2", sequence) for sequence in (ScanSequence.DIXON, ScanSequence.HASTE)]
    entries = [RawScan(scan, Layout.BIDS, Path("raw/b/sub-0001/ses-2"), "r") for scan in scans]
    again = {"superseded": (Path("raw/a/sub-0001/ses-2"),)}
    write_scans(
        results.scans, [CohortScan(entry, "k", Reason.MISSING_CONTRAST, "no fat", **again) for entry in entries]
    )
    aggregate(results, {ScanSequence.DIXON: [MODEL], ScanSequence.HASTE: []}, 3)
    counts = read_scans(results.scan_table)[["n_files", "n_files_superseded", "n_files_repeated"]]
    assert counts.to_numpy(int).tolist() == [[1, 1, 0], [0, 0, 0]]


def test_what_was_done_in_another_way_is_in_the_note_of_a_scan_that_is_ok(tmp_path: Path) -> None:
    results, truth = (run := write_run(tmp_path)).results, run.truth
    (shard,) = [each for each, scans in SHARDS.items() if any(end is None for end in scans.values())][:1]
    outcomes = read_outcomes(results.outcomes(Stage.SEGMENT, shard))
    done = next(each.scan for each in outcomes if each.scan in truth and SHARDS[shard][each.scan] is None)
    why = "computed by torch on the CPU: out of memory"
    noted = [replace(each, message=why) if each.scan == done else each for each in outcomes]
    write_outcomes(results.outcomes(Stage.SEGMENT, shard), noted)
    aggregate(results, {ScanSequence.DIXON: [MODEL]}, 2)
    scans = read_scans(results.scan_table)
    scan = scans[scans["participant_id"].eq(done.participant)].iloc[0]
    assert scan["note"] == why
    assert scan["message"] == "" and scan["status"] == "ok"
    assert scans["note"].ne("").sum() == 1
