"""Tables of a cohort whose sessions have scans of two sequences, each in shards of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from graded_rows import graded
from synthetic_run import MODEL, STAGES, Run, measured, outcome, write_measured

from dixonflow.aggregate.build import aggregate
from dixonflow.cli.pipeline.report import report_command
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import demo_config
from dixonflow.execution.outcome import Outcome, write_outcomes
from dixonflow.execution.records import Record, Records
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import ScanMeasurements, measure
from dixonflow.models.label_rule import AcceptedSequence
from dixonflow.paths import Results
from dixonflow.ratings.rating import Rating
from dixonflow.ratings.store import RatingStore
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables import shards as shards_module
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.measurements import MEASUREMENTS, expected_rows
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import check_rows
from dixonflow.vocabulary import Cause, Contrast, Layout, Reason, ScanId, ScanSequence, Stage, Verdict

DIXON, HASTE = ScanSequence.DIXON, ScanSequence.HASTE
ACCEPTING = MODEL.model_copy(update={"accepts": {HASTE: AcceptedSequence(contrasts=(Contrast.T2,))}})
MODELS = {DIXON: [ACCEPTING], HASTE: [ACCEPTING.for_sequence(HASTE)]}
BOTH = [("0001", "2", "dixon"), ("0001", "2", "haste"), ("0002", "2", "haste"), ("0003", "2", "dixon")]


def measured_haste(seed: int) -> ScanMeasurements:
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 10, 16), np.uint8)
    for place, label in enumerate(sorted(MODEL.labels)):
        labels[1 + place : 2 + place, 1:-1, 4:12] = label
    image = rng.integers(50, 900, labels.shape).astype(np.int16)
    box = StationBox(0, (-1.0, -1.0, -1.0), (50.0, 50.0, 50.0))
    return measure(labels, {Contrast.T2: image}, np.diag([2.0, 2.0, 3.0, 1.0]), [box], *MODELS[HASTE])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    results = Results(tmp_path)
    scans = [ScanId(participant, session, ScanSequence(sequence)) for participant, session, sequence in BOTH]
    shards = {DIXON: "ddd", HASTE: "aaa"}  # whose names sort the other way round
    cohort = [
        CohortScan(RawScan(scan, Layout.NAKO, Path(f"raw/{scan.name}.zip"), "r"), "k", shard=shards[scan.sequence])
        for scan in scans
    ]
    write_scans(results.scans, cohort)
    make = {DIXON: measured, HASTE: measured_haste}
    truth = {scan: make[scan.sequence](int(scan.participant)) for scan in scans}
    for sequence, shard in shards.items():
        members = [scan for scan in scans if scan.sequence is sequence]
        for stage in STAGES:
            write_outcomes(results.outcomes(stage, shard), [outcome(scan, stage) for scan in members])
        write_measured(results, shard, {scan: truth[scan] for scan in members})
    return Run(results, truth)


@pytest.mark.parametrize("at_once", [1, 512])
def test_each_scan_of_a_session_has_its_own_rows(run: Run, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "SCANS_AT_ONCE", at_once)
    summary = aggregate(run.results, MODELS, 3)
    assert (summary.scans_in, summary.ok) == (4, 4)
    keys = ["participant_id", "session_id", "sequence"]
    assert list(run.table("scans")[keys].itertuples(index=False, name=None)) == BOTH
    timings = run.table("timings")
    assert list(timings[keys].itertuples(index=False, name=None)) == [scan for scan in BOTH for _ in STAGES]

    long = check_rows(read_table(run.results.tables / "measurements.parquet", MEASUREMENTS), MEASUREMENTS).to_pandas()
    quality = check_rows(read_table(run.results.tables / "quality.parquet", QUALITY), QUALITY).to_pandas()
    for scan, rows in run.truth.items():
        own = long[long[keys].eq([scan.participant, scan.session, scan.sequence.value]).all(axis=1)]
        assert len(own) == len(expected_rows(*MODELS[scan.sequence]))
        wanted = graded(rows, *MODELS[scan.sequence]).set_index(["structure", "measure"]).sort_index()
        mine = own.set_index(["structure", "measure"]).sort_index()
        for column in ("value", "value_before_grade"):
            np.testing.assert_array_equal(mine[column].to_numpy(float), wanted[column].to_numpy(float, na_value=np.nan))
        assert mine["grade"].fillna("").tolist() == wanted["grade"].fillna("").tolist()
        assert mine["decided_by"].fillna("").tolist() == wanted["decided_by"].fillna("").tolist()
        checks = quality[quality[keys].eq([scan.participant, scan.session, scan.sequence.value]).all(axis=1)]
        assert len(checks[~checks["check"].isin(["repeated_stations", "usual_voxel_size"])]) == len(rows.quality)
        (repeated,) = checks.loc[checks["check"].eq("repeated_stations"), "value"]
        assert repeated == 0
    assert len(long) == sum(len(rows.measurements) for rows in run.truth.values())
    assert len(quality) == sum(len(rows.quality) + 2 for rows in run.truth.values())


def test_each_sequence_has_its_wide_tables(run: Run) -> None:
    aggregate(run.results, MODELS, 3)
    names = {path.stem for path in run.results.tables.glob("*.parquet")}
    assert {"volumes", "fat_compartments", "volumes_haste"} <= names
    assert "fat_compartments_haste" not in names
    for name, sequence in (("volumes", DIXON), ("fat_compartments", DIXON), ("volumes_haste", HASTE)):
        table = run.table(name).set_index("participant_id")
        scans = [scan for scan in run.truth if scan.sequence is sequence]
        assert list(table.index) == [scan.participant for scan in scans]
        if name != "fat_compartments":
            for scan in scans:
                rows = run.truth[scan].measurements.set_index(["structure", "measure"])["value"]
                assert table.loc[scan.participant, "muscle_volume_ml"] == rows["muscle", "volume"]


def test_what_is_lost_of_one_sequence_fails_its_scans_only(run: Run) -> None:
    run.results.outcomes(Stage.MERGE, "aaa").unlink()
    run.results.quality("aaa").unlink()
    summary = aggregate(run.results, MODELS, 3)
    assert (summary.ok, summary.failed) == (2, {Reason.WORKER_DIED: 2})
    scans = run.table("scans").set_index("sequence")
    assert set(scans.loc["haste", "status"]) == {"failed"}
    assert set(scans.loc["dixon", "status"]) == {"ok"}
    for name in ("measurements", "quality"):
        assert set(run.table(name)["sequence"]) == {"dixon"}
    assert len(run.table("volumes_haste")) == 0


def test_the_report_asks_for_the_tables_that_are_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = run.results.root / "raw"
    raw.mkdir()
    content = json.loads(demo_config().model_dump_json())
    source = {"layout": "nako", "folder": str(raw), "sequences": ["dixon", "haste"]}
    content["cohort"] |= {"sources": [source], "withdrawn": None}
    config = run.results.root / "config.yaml"
    config.write_text(json.dumps(content | {"results": str(run.results.root)}))
    monkeypatch.setattr("dixonflow.cli.pipeline.report.load_models", lambda settings: (ACCEPTING,))
    aggregate(run.results, MODELS, 3)
    report_command(config)
    page = (run.results.report / "report.html").read_text()
    assert "<h3>Sequence haste</h3>" in page
    assert "volumes_haste.parquet" in page


def test_what_a_rater_finds_wrong_with_a_label_map_is_wrong_where_it_is_taken(run: Run) -> None:
    dixon = ScanId("0001", "2")
    done = Outcome.because(Reason.NONE, dixon, Stage.POSTPROCESS, attempt=1, content_key="0a")
    Records(run.results.records(Stage.POSTPROCESS, "ddd", MODEL.name)).pack({dixon: Record(done)})
    store = RatingStore(run.results.ratings, "anna")
    time = "2026-12-01T09:00:00.000Z"
    store.add(Rating(dixon, MODEL.name, "liver", Verdict.FAULTY, Cause.NETWORK, "anna", time, "0a"))
    store.add(Rating(dixon, MODEL.name, "spleen", Verdict.GOOD, None, "anna", time, "0a"))
    for taking, expected in (((HASTE,), {"dixon", "haste"}), ((), {"dixon"})):
        aggregate(run.results, MODELS, 3, takes_dixon=taking)
        rows = run.table("measurements").query("structure == 'liver' and decided_by == 'rating'")
        assert set(zip(rows["participant_id"], rows["sequence"], strict=True)) == {("0001", each) for each in expected}
        assert set(rows["grade"]) == {"fail"}
        quality = run.table("quality").query("check == 'rating'").set_index(["structure", "sequence"])["place"]
        assert quality["spleen"].to_dict() == {"dixon": "good"}, "it was looked at on one of both"
        assert ("of the Dixon scan" in quality.get(("liver", "haste"), "")) is bool(taking)
