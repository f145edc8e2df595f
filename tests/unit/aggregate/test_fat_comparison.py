"""The scanner's fat fraction next to the signal fat fraction: a table, and a line that is fitted on request."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from graded_rows import graded
from synthetic_run import MODEL, STAGES, Run, measured, outcome, write_measured
from typer.testing import CliRunner

from dixonflow.aggregate.build import aggregate
from dixonflow.cli.results.calibrate import calibrate_command
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import demo_config
from dixonflow.evaluation.calibration import calibration
from dixonflow.execution.outcome import write_outcomes
from dixonflow.imaging.station import MAP_SCALE
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import ScanMeasurements, measure
from dixonflow.models.label_rule import AcceptedSequence
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables.fat_comparison import FAT_FRACTION_COMPARISON
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import check_rows
from dixonflow.vocabulary import Contrast, Layout, ScanId, ScanSequence

DIXON, ME_VIBE = ScanSequence.DIXON, ScanSequence.ME_VIBE
ACCEPTING = MODEL.model_copy(update={"accepts": {ME_VIBE: AcceptedSequence(contrasts=(Contrast.WATER,))}})
MODELS = {DIXON: [ACCEPTING], ME_VIBE: [ACCEPTING.for_sequence(ME_VIBE)]}
SCANS = [("0001", DIXON), ("0001", ME_VIBE), ("0002", DIXON), ("0003", ME_VIBE), ("0004", DIXON), ("0004", ME_VIBE)]


def measured_me_vibe(seed: int) -> ScanMeasurements:
    """Structures whose fat fraction is their label in percent, plus the seed."""
    labels = np.zeros((12, 10, 16), np.uint8)
    for place, label in enumerate(sorted(MODEL.labels)):
        labels[1 + place : 2 + place, 1:-1, 4:12] = label
    percent = np.rint((labels + float(seed)) * MAP_SCALE).astype(np.int16)
    images = {Contrast.WATER: percent + 1, Contrast.FAT: percent + 2, Contrast.FAT_FRACTION: percent}
    box = StationBox(0, (-1.0, -1.0, -1.0), (50.0, 50.0, 50.0))
    return measure(labels, images, np.diag([2.0, 2.0, 3.0, 1.0]), [box], *MODELS[ME_VIBE])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    results = Results(tmp_path)
    shards = {DIXON: "ddd", ME_VIBE: "aaa"}
    scans = [ScanId(participant, "2", sequence) for participant, sequence in SCANS]
    make = {DIXON: measured, ME_VIBE: measured_me_vibe}
    truth = {scan: make[scan.sequence](int(scan.participant)) for scan in scans}
    write_scans(
        results.scans,
        [
            CohortScan(RawScan(scan, Layout.NAKO, Path(f"raw/{scan.name}.zip"), "r"), "k", shard=shards[scan.sequence])
            for scan in scans
        ],
    )
    for sequence, shard in shards.items():
        members = [scan for scan in scans if scan.sequence is sequence]
        for stage in STAGES:
            write_outcomes(results.outcomes(stage, shard), [outcome(scan, stage) for scan in members])
        write_measured(results, shard, {scan: truth[scan] for scan in members})
    return Run(results, truth)


def test_sessions_with_both_scans_have_both_values(run: Run) -> None:
    aggregate(run.results, MODELS, 3)
    path = run.results.tables / "fat_fraction_comparison.parquet"
    rows = check_rows(read_table(path, FAT_FRACTION_COMPARISON), FAT_FRACTION_COMPARISON).to_pandas()
    assert set(rows["participant_id"]) == {"0001", "0004"}
    structures = {*MODEL.structures, *MODEL.composites}
    assert set(rows["structure"]) == structures
    assert len(rows) == 2 * len(structures)
    for row in rows.itertuples():
        sides = {}
        for sequence in (DIXON, ME_VIBE):
            of_scan = graded(run.truth[ScanId(row.participant_id, "2", sequence)], *MODELS[sequence])
            own = of_scan[of_scan["structure"].eq(row.structure)].set_index("measure")["value"]
            sides[sequence] = own.astype(object).where(own.notna(), np.nan)
        np.testing.assert_equal(row.fat_fraction, sides[DIXON]["fat_fraction"])
        np.testing.assert_equal(row.pdff, sides[ME_VIBE]["pdff"])
        np.testing.assert_equal(row.pdff_mean, sides[ME_VIBE]["pdff_mean"])
        np.testing.assert_equal(row.me_vibe_coverage_fraction, sides[ME_VIBE]["coverage_fraction"])
    assert rows.loc[rows["structure"].eq("liver"), "pdff_grade"].isna().all(), "one voxel thin"
    label = MODEL.structures["muscle"]
    muscle = rows[rows["structure"].eq("muscle")].set_index("participant_id")["pdff_mean"]
    assert muscle.to_dict() == pytest.approx({"0001": (label + 1) / 100, "0004": (label + 4) / 100})
    resources = json.loads(run.results.datapackage.read_text())["resources"]
    assert "fat_fraction_comparison.parquet" in {each["path"] for each in resources}


def test_a_run_of_one_sequence_has_no_such_table(run: Run) -> None:
    aggregate(run.results, MODELS, 3)
    cohort = run.results.scans
    write_scans(cohort, [])
    aggregate(run.results, {DIXON: MODELS[DIXON]}, 3)
    assert not (run.results.tables / "fat_fraction_comparison.parquet").exists()


def sessions(number: int, slope: float = 0.9, intercept: float = 0.02) -> pd.DataFrame:
    signal = np.linspace(0.02, 0.4, number)
    return pd.DataFrame(
        {
            **{"structure": "liver", "participant_id": [str(each) for each in range(number)], "session_id": "2"},
            **{"fat_fraction": signal, "fat_fraction_of_sums": signal - 0.01, "fat_fraction_grade": "pass"},
            **{"pdff": intercept + slope * signal, "pdff_grade": "pass"},
            **{"dixon_coverage_fraction": 1.0, "me_vibe_coverage_fraction": 1.0},
        }
    )


class TestCalibration:
    def test_a_line_is_found(self) -> None:
        (fit,) = calibration(sessions(20)).to_dict("records")
        assert (fit["structure"], fit["sessions"], fit["left_out"]) == ("liver", 20, 0)
        assert (fit["slope"], fit["intercept"]) == pytest.approx((0.9, 0.02))
        assert fit["residual_sd"] == pytest.approx(0, abs=1e-9)
        assert fit["bias"] == pytest.approx((0.02 - 0.1 * sessions(20)["fat_fraction"]).mean())
        (other,) = calibration(sessions(20), "fat_fraction_of_sums").to_dict("records")
        assert other["intercept"] == pytest.approx(0.029)

    def test_what_is_not_good_is_left_out(self) -> None:
        rows = sessions(20)
        rows.loc[0, ["pdff", "pdff_grade"]] = [0.9, "review"]
        rows.loc[1, ["fat_fraction", "fat_fraction_grade"]] = [0.9, "fail"]
        rows.loc[2, ["pdff", "me_vibe_coverage_fraction"]] = [0.9, 0.5]
        rows.loc[3, ["pdff", "pdff_grade"]] = [np.nan, None]
        (fit,) = calibration(rows).to_dict("records")
        assert (fit["sessions"], fit["left_out"]) == (16, 4)
        assert (fit["slope"], fit["intercept"]) == pytest.approx((0.9, 0.02))

    @pytest.mark.parametrize("rows", [sessions(9), sessions(20).assign(fat_fraction=0.1)])
    def test_too_little_gives_no_line(self, rows: pd.DataFrame) -> None:
        (fit,) = calibration(rows).to_dict("records")
        assert np.isnan(fit["slope"])


def test_the_command_writes_the_fit_and_changes_no_table(run: Run, tmp_path: Path) -> None:
    aggregate(run.results, MODELS, 3)
    before = run.bytes()
    content = json.loads(demo_config().model_dump_json()) | {"results": str(run.results.root)}
    (tmp_path / "config.json").write_text(json.dumps(content))
    app = typer.Typer()
    app.command()(calibrate_command)
    done = CliRunner().invoke(app, ["--config", str(tmp_path / "config.json")])
    assert done.exit_code == 0, done.output
    assert f"0 of {len(MODEL.structures) + len(MODEL.composites)} structures have enough sessions" in done.output
    assert pd.read_csv(run.results.root / "calibration.csv")["slope"].isna().all()
    assert run.bytes() == before
