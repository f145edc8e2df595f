"""From the rows of the shards to the tables: nobody is lost, whatever is missing or broken on the way."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from synthetic_run import MODEL, SHARDS, STAGES, TABLES, WITHDRAWN, Run, outcome, write_measured, write_run

from dixonflow.aggregate.build import aggregate, read_scans
from dixonflow.aggregate.summary import Summary, format_summary
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.cohort.table import read_scans as read_cohort
from dixonflow.execution.outcome import read_outcomes, write_outcomes
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables import shards as shards_module
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.measurements import MEASUREMENTS, SHARD_MEASUREMENTS, expected_rows
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import TableError, check_rows
from dixonflow.vocabulary import Layout, Reason, ScanId, ScanSequence, Stage

OF_SCANS = [name for name in TABLES[1:] if name not in ("structures", "measures", "checks", "dictionary")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def finished(written: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Summary]:
    run = copy_of(written, tmp_path_factory.mktemp("finished"))
    return run, aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)


@pytest.fixture
def run(written: Run, tmp_path: Path) -> Run:
    return copy_of(written, tmp_path)


def copy_of(run: Run, folder: Path) -> Run:
    shutil.copytree(run.results.root, folder, dirs_exist_ok=True)
    return Run(Results(folder), run.truth)


def test_every_entry_has_a_row_and_the_counts_add_up(finished: tuple[Run, Summary]) -> None:
    run, summary = finished
    assert summary == Summary(
        scans_in=11,
        ok=5,
        excluded={Reason.UNREADABLE_FILE: 1, Reason.UNPARSABLE_NAME: 2, Reason.STATION_GAP: 1},
        failed={Reason.OUT_OF_MEMORY: 1},
        withdrawn=1,
    )
    scans = run.table("scans")
    assert len(scans) == 11
    nameless = scans[scans["participant_id"].isna()]
    assert sorted(nameless["source"]) == ["raw/and_this.zip", "raw/what_is_this.zip"]
    assert set(nameless["reason"]) == {"unparsable_name"}
    assert list(scans["participant_id"].dropna()) == sorted(scans["participant_id"].dropna())
    assert read_scans(run.results.scan_table)["n_stations"].dtype == "Int64"


def test_the_first_stage_that_is_not_ok_decides_and_later_ones_repeat_it(finished: tuple[Run, Summary]) -> None:
    run, _ = finished
    failed = run.scan("0004")
    assert (failed["status"], failed["reason"], failed["last_stage"]) == ("failed", "out_of_memory", "segment")
    assert failed["message"] == "seen: out_of_memory"
    assert failed["content_key"] == "segment-key"
    assert [failed[f"{stage.value}_status"] for stage in Stage] == ["ok"] * 3 + ["failed"] * 4
    assert [failed[f"{stage.value}_reason"] for stage in Stage] == ["none"] * 3 + ["out_of_memory"] * 4
    early = run.scan("0005")
    assert {early[f"{stage.value}_status"] for stage in Stage} == {"excluded"}
    assert (early["last_stage"], early["message"]) == ("cohort", "cut off")
    good = run.scan("0001")
    assert (good["status"], good["last_stage"], good["shard"]) == ("ok", "measure", "aaa")
    assert good["content_key"] == "measure-key"


def test_measurements_are_those_of_the_shards_in_order(finished: tuple[Run, Summary]) -> None:
    run, _ = finished
    found = read_table(run.results.tables / "measurements.parquet", MEASUREMENTS)
    check_rows(found, MEASUREMENTS)
    ids = [("0000", "2"), ("0001", "2"), ("0002", "2"), ("0003", "2"), ("0007", "2")]
    kinds = sorted(expected_rows(MODEL))  # those of a structure lie together, in the order of the scans
    assert found.select(["structure", "measure", "model", "participant_id", "session_id", "sequence"]).to_pylist() == [
        dict(zip(MEASUREMENTS.keys, (*kind, *scan, "dixon"), strict=True)) for kind in kinds for scan in ids
    ]
    assert found.num_rows == 5 * len(expected_rows(MODEL))
    rows = found.to_pandas().set_index(["participant_id", "structure", "measure"])
    frame = rows["value"].fillna(rows["value_before_grade"])
    for scan, measured_ in run.truth.items():
        if (scan.participant, scan.session) in ids:
            wanted = measured_.measurements.set_index(["structure", "measure"])["value"].astype(float)
            mine = frame[scan.participant].sort_index().to_numpy()
            np.testing.assert_array_equal(mine, wanted.sort_index().to_numpy())
    quality = read_table(run.results.tables / "quality.parquet", QUALITY)
    of_raw_data = 2 * len(ids)
    assert quality.num_rows == sum(len(run.truth[ScanId(*each)].quality) for each in ids) + of_raw_data


def test_wide_tables_repeat_the_long_one(finished: tuple[Run, Summary]) -> None:
    run, _ = finished
    volumes = run.table("volumes").set_index("participant_id")
    fat = run.table("fat_compartments").set_index("participant_id")
    assert list(volumes.index) == list(fat.index) == ["0000", "0001", "0002", "0003", "0007"]
    for scan in (ScanId("0001", "2"), ScanId("0002", "2")):
        rows = run.truth[scan].measurements.set_index(["structure", "measure"])["value"]
        assert volumes.loc[scan.participant, "muscle_volume_ml"] == rows["muscle", "volume"]
        assert pd.isna(volumes.loc[scan.participant, "liver_volume_ml"]), "a liver of 1 mL has failed"
        assert volumes.loc[scan.participant, "liver_volume_missing_reason"] == "failed_check"
        assert volumes.loc[scan.participant, "liver_volume_grade"] == "fail"
        assert fat.loc[scan.participant, "total_muscle_volume_ml"] == rows["total_muscle", "volume"]
    assert pd.isna(volumes.loc["0001", "spleen_volume_ml"])
    assert volumes.loc["0001", "spleen_volume_missing_reason"] == "not_found"
    assert volumes.loc["0002", "spleen_volume_missing_reason"] == "failed_check"


def test_a_withdrawn_participant_is_in_no_table_but_scans(finished: tuple[Run, Summary]) -> None:
    run, _ = finished
    row = run.scan(WITHDRAWN.participant)
    assert (row["status"], row["reason"]) == ("withdrawn", "consent_withdrawn")
    for name in OF_SCANS:
        assert WITHDRAWN.participant not in set(run.table(name)["participant_id"])
    # the rows are there to be left out
    assert WITHDRAWN.participant in set(pq.read_table(run.results.measurements("bbb"))["participant_id"].to_pylist())


def test_a_withdrawn_participant_who_keeps_a_shard_is_left_out_too(run: Run) -> None:
    cohort = read_cohort(run.results.scans)
    cohort = [replace(row, shard="bbb") if row.scan == WITHDRAWN else row for row in cohort]
    write_scans(run.results.scans, cohort)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    for name in OF_SCANS:
        assert WITHDRAWN.participant not in set(run.table(name)["participant_id"])
    assert run.scan(WITHDRAWN.participant)["status"] == "withdrawn"


def test_timings_are_of_the_stages_that_worked(finished: tuple[Run, Summary]) -> None:
    run, _ = finished
    timings = run.table("timings")
    stages = timings.groupby(["participant_id", "session_id"])["stage"].apply(set)
    assert stages["0001", "2"] == {stage.value for stage in STAGES}
    assert stages["0004", "2"] == {"stitch", "resample", "segment"}
    assert stages["0002", "3"] == {"stitch"}
    assert ("0005", "2") not in stages.index


def test_what_differs_between_equal_runs_is_in_timings_alone(finished: tuple[Run, Summary], tmp_path: Path) -> None:
    first, _ = finished
    second = copy_of(first, tmp_path)
    for path in (path for stage in STAGES for path in (tmp_path / stage.value).glob("???.parquet")):
        write_outcomes(path, [replace(row, seconds=7.25, peak_memory_mb=111.0) for row in read_outcomes(path)])
    shutil.rmtree(second.results.tables)
    aggregate(second.results, {ScanSequence.DIXON: [MODEL]}, 3)
    one, two = first.bytes(), second.bytes()
    assert set(one) == set(two) == {f"{name}.parquet" for name in TABLES} | {"datapackage.json"}
    assert [name for name in sorted(one) if one[name] != two[name]] == ["timings.parquet"]


def test_memory_saving_pieces_change_nothing(finished: tuple[Run, Summary], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = finished
    before = run.bytes()
    monkeypatch.setattr(shards_module, "SCANS_AT_ONCE", 1)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert run.bytes() == before


def test_a_lost_row_and_a_lost_file_fail_the_scans_they_concern(run: Run) -> None:
    kept = [outcome(scan, Stage.MERGE) for scan in SHARDS["bbb"] if scan.participant != "0007"]
    write_outcomes(run.results.outcomes(Stage.MERGE, "bbb"), kept)
    run.results.outcomes(Stage.RESAMPLE, "ccc").unlink()
    broken = run.results.outcomes(Stage.POSTPROCESS, "aaa")
    broken.write_bytes(broken.read_bytes()[:-40])
    summary = aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert summary.failed == {Reason.OUT_OF_MEMORY: 1, Reason.WORKER_DIED: 3, Reason.INTERNAL_ERROR: 1}
    assert summary.scans_in == 11
    lost = run.scan("0007")
    assert (lost["reason"], lost["last_stage"]) == ("internal_error", "merge")
    assert lost["message"] == "the scan has no row at stage merge"
    assert pd.isna(lost["content_key"])
    gone = run.scan("0000")
    assert (gone["reason"], gone["last_stage"]) == ("worker_died", "resample")
    assert "resample" in gone["message"]
    for participant in ("0001", "0003"):
        assert run.scan(participant)["last_stage"] == "postprocess"
    assert run.scan("0004")["reason"] == "out_of_memory"  # it had ended before
    assert set(run.table("measurements")["participant_id"]) == {"0002"}
    assert set(run.table("volumes")["participant_id"]) == {"0002"}


def test_incomplete_measurements_fail_the_scan(run: Run) -> None:
    rows = read_table(run.results.measurements("aaa"), SHARD_MEASUREMENTS).to_pandas()
    drop = rows["participant_id"].eq("0003") & rows["structure"].eq("liver") & rows["measure"].eq("volume")
    write_table(run.results.measurements("aaa"), SHARD_MEASUREMENTS, rows[~drop])
    write_measured(run.results, "ccc", {ScanId("9999", "2"): run.truth[ScanId("0001", "2")]})
    quality = run.results.quality("bbb")
    quality.write_bytes(quality.read_bytes()[:-9])
    summary = aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert summary.failed == {Reason.OUT_OF_MEMORY: 1, Reason.INTERNAL_ERROR: 4}
    total = len(expected_rows(MODEL))
    assert f"{total - 1} of {total} rows" in run.scan("0003")["message"]
    assert "0 of" in run.scan("0000")["message"]
    assert "quality" in run.scan("0002")["message"]
    for column in ("status", "measure_status"):
        assert run.scan("0003")[column] == "failed"
    assert set(run.table("measurements")["participant_id"]) == {"0001"}
    assert set(run.table("quality")["participant_id"]) == {"0001"}


def test_a_cohort_without_any_ok_scan_still_gives_all_tables(tmp_path: Path) -> None:
    results = Results(tmp_path)
    scan = CohortScan(RawScan(ScanId("1", "2"), Layout.UKB, Path("1.zip")), "", Reason.UNREADABLE_FILE, "cut off")
    write_scans(results.scans, [scan])
    summary = aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert (summary.scans_in, summary.ok) == (1, 0)
    assert {path.stem for path in results.tables.glob("*.parquet")} == set(TABLES)
    assert pq.read_table(results.tables / "volumes.parquet").num_rows == 0
    assert json.loads((results.tables / "datapackage.json").read_text())["resources"]


def test_unreadable_cohort_ends_the_run_and_leaves_the_old_tables(run: Run) -> None:
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    before = run.bytes()
    run.results.scans.write_bytes(b"PAR1")
    with pytest.raises(TableError, match="cannot be read"):
        aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert run.bytes() == before


def test_summary_is_refused_when_a_scan_is_missing() -> None:
    with pytest.raises(ValueError, match="3 scans in, but 2 scans out"):
        Summary(3, 1, {Reason.STATION_GAP: 1}, {}, 0)


def test_format_summary(finished: tuple[Run, Summary]) -> None:
    lines = [line.split() for line in format_summary(finished[1]).splitlines()]
    assert lines == [
        ["scans", "in", "11"],
        ["ok", "5"],
        ["excluded", "4"],
        ["unreadable_file", "1"],
        ["unparsable_name", "2"],
        ["station_gap", "1"],
        ["failed", "1"],
        ["out_of_memory", "1"],
        ["withdrawn", "1"],
    ]
