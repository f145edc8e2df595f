"""`dixonflow evaluate` at the command line: a run and folders against references, and what is written."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from PIL import Image
from reference_masks import SHAPE, label_map, write
from synthetic_run import MODEL, Run, write_run
from typer.testing import CliRunner, Result

from dixonflow.aggregate.build import aggregate
from dixonflow.analyse.covariates.match import COVARIATE_TABLE
from dixonflow.cli.networks.evaluate import evaluate_command
from dixonflow.config import demo_config
from dixonflow.models.load import MODELS
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

AMOS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 6, "pancreas": 10}
DEMO = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5, "pancreas": 7}
OK = [ScanId(participant, "2") for participant in ("0000", "0001", "0002", "0003", "0007")]


def call(*arguments: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(evaluate_command)
    return CliRunner().invoke(app, [*map(str, arguments), "--jobs", "1"])


def done(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose liver is one voxel too far right in the scan of 0001."""
    folder = tmp_path_factory.mktemp("run")
    run = write_run(folder / "results")
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    rng = np.random.default_rng(0)
    for scan in OK:
        labels = label_map(DEMO)
        if scan.participant == "0001":
            labels[labels == 5] = 0
            labels[14:22, 4:14, 8:14] = 5
        write(run.results.labels(scan, "demo"), labels)
        write(run.results.stitched(scan, Contrast.WATER), rng.integers(0, 900, SHAPE).astype(np.int16))
    config = json.loads(demo_config().model_dump_json()) | {"results": str(run.results.root)}
    run.results.config.write_text(json.dumps(config))
    return run


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """References of five scans that are ok, of one that failed and one that the run does not know."""
    folder = tmp_path_factory.mktemp("reference") / "manual"
    for scan in [*OK, ScanId("0004", "2"), ScanId("0002", "3"), ScanId("9999", "2")]:
        write(folder / f"{scan.name}_dseg.nii.gz", label_map(AMOS), orientation="LPS")
    return folder


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def test_a_run_against_ones_own_masks(run: Run, reference: Path) -> None:
    said = done(reference, "--mapping", "amos15", "--config", run.results.config)
    assert "5 of 8 cases compared" in said
    folder = run.results.root / "evaluation/manual"
    rows = read(folder, "cases").set_index(["participant_id", "structure"])
    assert set(rows["system"]) == {"demo"}
    assert rows.loc[("0000", "liver"), "dice"] == 1
    moved = rows.loc[("0001", "liver")]
    assert moved["dice"] == pytest.approx(7 / 8)
    assert (moved["under_fraction"], moved["over_fraction"]) == (pytest.approx(1 / 8), pytest.approx(1 / 8))
    assert moved["hd95_mm"] == pytest.approx(2)
    assert moved["nsd"] == 1
    assert (moved["components_reference"], moved["components_predicted"]) == (1, 1)
    assert (moved["reference_ml"], moved["volume_error_ml"]) == (pytest.approx(5.76), 0)
    assert rows.loc[("0001", "kidney_left"), "dice"] == 1
    summary = read(folder, "summary").set_index(["structure", "metric"])
    assert summary.loc[("liver", "dice"), "mean"] == pytest.approx((4 + 7 / 8) / 5)
    assert summary.loc[("liver", "dice"), "n"] == 5
    reasons = read(folder, "case_list").set_index("case")["reason"].to_dict()
    assert reasons["sub-0004_ses-2"] == "the run has no label map: failed, out_of_memory"
    assert reasons["sub-0002_ses-3"] == "the run has no label map: excluded, station_gap"
    assert reasons["sub-9999_ses-2"] == "the run has no label map of this scan"
    assert reasons["sub-0000_ses-2"] == ""
    left = read(folder, "not_compared").set_index("structure")["reason"].to_dict()
    assert left["aorta"] == "in_no_case"
    assert left["prostate_or_uterus"] == "only_in_reference"
    assert left["muscle"] == "only_in_prediction"
    settings = json.loads((folder / "evaluation.json").read_text())
    assert settings["reference"]["mapping"] == "amos15"
    assert settings["cases"].startswith("5 of 8 cases compared")


def test_a_run_of_a_users_own_model(run: Run, reference: Path, tmp_path: Path) -> None:
    """As `dixonflow retrain import` leaves it: a file among the weights."""
    config = json.loads(run.results.config.read_text())
    config["segment"] |= {"models": ["retrained01"], "weights": str(tmp_path / "weights")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    own = tmp_path / "weights" / "retrained01" / "model.yaml"
    own.parent.mkdir(parents=True)
    text = (MODELS / "demo.yaml").read_text()
    own.write_text(re.sub("^name: demo$", "name: retrained01", text, flags=re.M))
    for scan in OK:
        write(run.results.labels(scan, "retrained01"), label_map(DEMO))
    done(reference, "--mapping", "amos15", "--config", tmp_path / "config.json", "--output", tmp_path / "found")
    rows = read(tmp_path / "found", "cases")
    assert set(rows["system"]) == {"retrained01"}
    assert rows.loc[rows["structure"].eq("liver"), "dice"].tolist() == [1.0] * 5
    for scan in OK:
        run.results.labels(scan, "retrained01").unlink()


def test_what_is_written_is_complete_and_names_no_participant(run: Run, reference: Path, tmp_path: Path) -> None:
    done(reference, "--mapping", "amos13", "--predictions", run.results.root, "--output", tmp_path, "--pictures", 1)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    tables = ("cases", "summary", "case_list", "not_compared")
    assert {f"{name}.parquet" for name in tables} <= names
    assert {"summary.csv", "case_list.csv", "table.csv", "table.md", "box_plot_dice.svg", "evaluation.json"} <= names
    assert "pictures/demo_liver_worst_1_case_00002.png" in names
    assert not any("sub-" in name or "ses-" in name for name in names)
    for name in tables:
        fields = pq.read_schema(tmp_path / f"{name}.parquet")
        assert all(field.metadata[b"description"] for field in fields)
        assert b"schema_version" in fields.metadata
        assert not any(read(tmp_path, name).select_dtypes("float").map(np.isinf).any())
    with Image.open(tmp_path / "pictures/demo_liver_worst_1_case_00002.png") as picture:
        assert len(picture.getcolors(2**20)) > 20, "the water image lies below the outlines"


def test_a_moved_results_folder_is_read_with_its_covariates(run: Run, reference: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(run.results.root, moved)
    content = json.loads((moved / "config.json").read_text()) | {"results": "results"}
    (moved / "config.json").write_text(json.dumps(content))
    people = pd.DataFrame([(scan.participant, scan.session) for scan in OK], columns=["participant_id", "session_id"])
    known = people.assign(age_years=[50.0, 60, 55, 65, 70], sex=["female", "male", "female", "male", None])
    write_table(moved / "tables/covariates.parquet", COVARIATE_TABLE, known.reindex(columns=COVARIATE_TABLE.names))
    given = (reference, "--mapping", "amos13", "--predictions", moved, "--output", tmp_path / "out", "--no-surfaces")
    assert "5 of 8 cases compared" in done(*given, "--pictures", 0)
    assert read(tmp_path / "out", "case_list")["reason"].str.contains("station_gap").any()
    by_sex = read(tmp_path / "out", "by_sex").set_index(["structure", "metric"]).loc[("liver", "dice")]
    assert by_sex[["n_female", "n_male", "n_unknown"]].tolist() == [2, 2, 1]
    assert read(tmp_path / "out", "by_age").set_index(["structure", "metric"]).loc[("liver", "dice"), "n"] == 5


def test_two_systems_on_the_cases_that_both_have(run: Run, reference: Path, tmp_path: Path) -> None:
    for scan in OK[:4]:
        write(tmp_path / "other" / f"{scan.name}.nii.gz", label_map(AMOS, (2, 0, 0)))
    given = (reference, "--mapping", "amos15", "--config", run.results.config, "--output", tmp_path / "out")
    said = done(*given, "--against", f"shifted={tmp_path / 'other'}", "--against-mapping", "amos15", "--no-surfaces")
    assert "4 of 8 cases compared" in said
    rows = read(tmp_path / "out", "cases")
    assert rows.groupby("system")["case"].nunique().to_dict() == {"demo": 4, "shifted": 4}
    pair = read(tmp_path / "out", "comparison").set_index(["structure", "metric"]).loc[("liver", "dice")]
    assert (pair["one"], pair["other"], pair["n_pairs"]) == ("demo", "shifted", 4)
    assert pair["mean_difference"] == pytest.approx((3 + 7 / 8) / 4 - 6 / 8)
    cases = read(tmp_path / "out", "case_list").set_index(["case", "system"])
    assert cases.loc[("sub-0007_ses-2", "demo"), "reason"] == "shifted: no prediction"
    assert (tmp_path / "out/comparison.csv").is_file()


def test_folders_without_a_run_and_covariates_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    people = [{"participant_id": f"p{i:02}", "sex": ("female", "male")[i % 2], "age": 40 + i} for i in range(14)]
    pd.DataFrame(people).to_csv("people.csv", index=False)
    for number, person in enumerate(people):
        write(Path(f"labelsTr/{person['participant_id']}.nii.gz"), label_map(AMOS))
        shift = (number % 2, 0, 0)
        write(Path(f"predicted/{person['participant_id']}.nii.gz"), label_map(AMOS, shift))
    arguments = ["labelsTr", "--mapping", "amos15", "--predictions", "predicted", "--prediction-mapping", "amos15"]
    done(*arguments, "--covariates", "people.csv", "--pictures", 0, "--no-surfaces")
    folder = tmp_path / "results/evaluation/labelsTr"
    by_sex = read(folder, "by_sex").set_index(["structure", "metric"]).loc[("liver", "dice")]
    assert (by_sex["n_female"], by_sex["n_male"]) == (7, 7)
    assert (by_sex["mean_female"], by_sex["mean_male"]) == (1, pytest.approx(7 / 8))
    assert read(folder, "by_age").set_index(["structure", "metric"]).loc[("liver", "dice"), "n"] == 14
    assert not (folder / "pictures").exists()


def test_a_table_names_everything(tmp_path: Path) -> None:
    rows = []
    for number in range(3):
        write(tmp_path / f"r{number}.nii.gz", label_map(AMOS))
        write(tmp_path / f"p{number}.nii.gz", label_map(DEMO, (0, 0, number)))
        row: dict[str, Any] = {"case": f"c{number}", "participant_id": "p1" if number < 2 else "p2", "session_id": ""}
        rows.append(row | {"reference": f"r{number}.nii.gz", "prediction": f"p{number}.nii.gz"})
    table = tmp_path / "cases.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    given = (table, "--mapping", "amos15", "--prediction-mapping", "demo")
    done(*given, "--output", tmp_path / "out", "--name", "x", "--pictures", 0)
    found = read(tmp_path / "out", "cases")
    assert found.loc[found["structure"].eq("liver"), "dice"].tolist() == [1, pytest.approx(5 / 6), pytest.approx(4 / 6)]
    summary = read(tmp_path / "out", "summary").set_index(["structure", "metric"])
    assert summary.loc[("liver", "dice"), "participants"] == 2


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["none", "--mapping", "amos15"], "there is no folder none"),
        (["labels", "--mapping", "amos"], "there is no mapping amos"),
        (["labels", "--mapping", "amos15"], "config.yaml does not exist"),
        (["labels", "--mapping", "amos15", "--classes", "36"], "no set 36"),
        (["labels", "--mapping", "amos15", "--tolerance-mm", "0"], "must be a positive number"),
        (["labels", "--mapping", "amos15", "--tolerance-mm", "nan"], "must be a positive number"),
        (["labels", "--mapping", "amos15", "--crop-mm", "inf"], "must be a positive number"),
        (["labels", "--mapping", "amos15", "--name", "../x"], "--name is the name of a folder"),
        (["labels", "--predictions", "labels"], "nothing could be compared: 0 of 1"),
        (["labels", "--mapping", "amos15", "--predictions", "x="], "give NAME=PATH"),
        (["labels", "--against-mapping", "amos15"], "--against is given 0 times"),
        (["labels", "--mapping", "amos15", *["--against=labels"] * 6], "a figure shows 6 systems at most"),
        (["labels", "--mapping", "amos15", "--predictions", "labels", "--prediction-mapping", "amos15", "--against",
          "labels", "--against-mapping", "amos15"], "two systems are called labels"),
        (["labels", "--mapping", "amos15", "--predictions", "labels", "--prediction-mapping", "amos15",
          "--covariates", "none.csv"], "none.csv cannot be read"),
        (["labels", "--mapping", "amos15", "--predictions", "labels", "--prediction-mapping", "amos15",
          "--covariates", "others.csv"], "has no values of any participant"),
        (["labels", "--mapping", "amos15", "--predictions", "labels", "--prediction-mapping", "amos15",
          "--output", "labels/a.nii.gz"], "cannot be read or written"),
    ],
)  # fmt: skip
def test_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], what: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("labels/a.nii.gz"), label_map(AMOS))
    Path("others.csv").write_text("participant_id,sex,age\nsomebody,female,50\n")
    result = call(*arguments, "--pictures", "0", "--no-surfaces")
    assert result.exit_code == 1
    said = [line for line in result.output.splitlines() if " %" not in line]
    assert len(said) == 1, result.output
    assert said[0].startswith("evaluate: ")
    assert what in said[0]


def test_a_model_that_the_run_does_not_have_is_refused(run: Run, reference: Path) -> None:
    given = (reference, "--mapping", "amos15", "--config", run.results.config)
    result = call(*given, "--prediction-mapping", "mrsegmentator")
    assert result.exit_code == 1
    assert "has no model mrsegmentator; it has demo" in result.output


def test_progress_is_a_line_at_every_tenth(tmp_path: Path) -> None:
    for number in range(20):
        for kind in "rp":
            write(tmp_path / kind / f"{number:02}.nii.gz", label_map({"liver": 6}))
    given = (tmp_path / "r", "--mapping", "amos15", "--predictions", tmp_path / "p", "--no-surfaces")
    said = done(*given, "--prediction-mapping", "amos15", "--output", tmp_path / "out", "--pictures", 0)
    lines = [line for line in said.splitlines() if " % (" in line]
    assert [line.split(" %")[0] for line in lines] == [f"evaluate: {10 * tenth}" for tenth in range(1, 11)]
