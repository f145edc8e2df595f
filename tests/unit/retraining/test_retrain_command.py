"""`dixonflow retrain` as a model builder calls it, from a finished run to the raw data of a round."""

import pytest
from retraining_run import LABELS, write_people, write_quality, write_small_run
from typer.testing import CliRunner

from dixonflow.cli.networks.retrain import retrain_command
from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.retraining.cases import proposal_of
from dixonflow.retraining.project import open_project
from dixonflow.vocabulary import ScanId

SCANS = {ScanId(f"{1000 + number}", "2"): number for number in range(1, 10)}


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = write_small_run(tmp_path, SCANS)
    write_people(run.results, {scan: ("male" if seed % 2 else "female", 50.0, "a") for scan, seed in SCANS.items()})
    objections = {(scan, "contrast_agreement", "liver"): ("review", 0.5) for scan in SCANS}
    write_quality(run.results, objections)

    def words(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(retrain_command, list(arguments))
        assert result.exit_code in ((1,) if code else (0,)), result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.output

    return words


def start(call, *more):
    structures = [word for name in LABELS for word in ("--structure", name)]
    contrasts = ["--contrast", "water", "--contrast", "fat"]
    return call("start", "--test-count", "2", "--stratify", "sex", "--folds", "3", *structures, *contrasts, *more)


def correct(folder, number):
    project = open_project(folder / "retraining")
    back = folder / f"back{number}"
    back.mkdir(exist_ok=True)
    for case in project.export(number).glob("case_*"):
        labels, affine = read_labels(proposal_of(project, number, case.name))
        labels[2, 2, 2] = LABELS["spleen"]
        write_labels(back / f"{case.name}.nii.gz", labels, affine)
    return str(back)


def test_a_round_from_start_to_the_data_set(call, tmp_path):
    assert "3 structures, 2 test participants frozen" in start(call)
    assert start(call) == start(call)
    assert "test cases: 2 scans selected" in call("select", "random", "--test")
    assert "test cases: 2 cases exported" in call("export", "--test")
    assert "2 accepted, 0 refused" in call("return", correct(tmp_path, 0), "--by", "reader1", "--test")
    assert "round 1: 3 scans selected" in call("select", "failures", "--count", "3", "--check", "contrast_agreement")
    assert "round 1: 2 scans selected" in call("select", "random", "--count", "2", "--stratify", "sex")
    assert "5 cases exported" in call("export")
    assert "to export" not in call("status") and "open: case_0003, case_0004" in call("status")
    back = correct(tmp_path, 1)
    assert "5 accepted, 0 refused" in call("return", back, "--by", "reader1")
    assert "10 training cases of 5 participants, 4 test cases" in call("dataset")
    status = call("status")
    assert "2, frozen" in status and "5 selected, 5 corrected" in status and "in the data set" in status
    assert not any(scan.participant in status for scan in SCANS)
    assert "round 2: 2 scans selected" in call("select", "failures", "--count", "9")


def test_refused_label_maps_are_told_and_end_with_an_error(call, tmp_path):
    start(call)
    call("select", "random", "--count", "3")
    call("export")
    back = tmp_path / correct(tmp_path, 1)
    (back / "case_0002.nii.gz").write_bytes(b"nothing")
    output = call("return", str(back), "--by", "reader1", code=1)
    assert "case_0001: accepted" in output and "case_0002: refused: no readable label map" in output
    assert "2 accepted, 1 refused" in output
    assert "open: case_0002" in call("status")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("start",), "--test-count or --test-list"),
        (("start", "--test-count", "1", "--structure", "nothing"), "demo has no nothing: name new ones"),
        (("start", "--test-count", "1", "--add-structure", "liver"), "has liver already"),
        (("start", "--test-count", "1", "--add-structure", "nothing"), "vocabulary"),
        (("start", "--test-count", "1", "--close-gap", "liver"), "as liver:stomach"),
        (("start", "--test-count", "1", "--close-gap", "liver:liver"), "the same one is named twice"),
        (("start", "--test-count", "1", "--fill-holes", "nothing"), "without a label"),
        (("start", "--test-count", "1", "--folds", "4"), "3 or 5"),
        (("start", "--test-count", "1", "--config", "no.json"), "does not exist"),
        (("start", "--test-count", "1", "--model", "nothing"), "cannot be read"),
        (("select", "random", "--count", "1"), "no retraining project"),
        (("export",), "no retraining project"),
        (("status",), "no retraining project"),
    ],
)
def test_a_wrong_call_is_one_line_that_says_what_to_do(call, capsys, arguments, problem):
    output = call(*arguments, code=1)
    assert problem in output
    assert "Traceback" not in output


def test_options_of_another_source_are_not_ignored(call):
    start(call)
    assert "an option of failures was given for random" in call(
        "select", "random", "--count", "1", "--check", "contrast_agreement", code=1
    )
    assert "nothing is selected in this round" in call("export", code=1)
    assert "no corrected case" in call("dataset", code=1)


def test_new_structures_get_the_next_numbers(call, tmp_path):
    call("start", "--test-count", "1", "--folds", "3", "--structure", "liver", "--add-structure", "gallbladder")
    labels = open_project(tmp_path / "retraining").settings.labels
    assert labels["liver"] == 5 and labels["gallbladder"] == 73


@pytest.mark.parametrize("step", [("select", "random"), ("export",)])
def test_the_test_set_belongs_to_no_round(call, step):
    start(call)
    assert "the test set belongs to no round" in str(call(*step, "--test", "--round", "2", code=1))


def test_label_maps_of_the_test_set_are_not_propagated():
    result = CliRunner().invoke(retrain_command, ["propagate", "haste", "--test"])
    assert result.exit_code == 2 and "No such option" in result.output
