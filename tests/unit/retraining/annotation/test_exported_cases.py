"""What annotators get: images and proposal byte for byte, names of labels, and no participant id."""

import json

import numpy as np
import pytest
from retraining_run import AFFINE, LABELS, labels_of, random_request, set_up

from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.retraining.annotation.export import export_cases, read_case_file
from dixonflow.retraining.cases import all_cases
from dixonflow.retraining.ledger import Step, read_ledger
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.select import select
from dixonflow.vocabulary import Contrast


@pytest.fixture
def selected(tmp_path):
    run, project = set_up(tmp_path)
    return run, project, select(project, random_request(3)).scans


def test_images_and_proposal_are_those_of_the_run_byte_for_byte(selected):
    run, project, rows = selected
    assert list(export_cases(project, 1)) == ["case_0001", "case_0002", "case_0003"]
    for row in rows:
        folder = project.export(1) / row.case
        for contrast in (Contrast.WATER, Contrast.FAT):
            assert (folder / f"{contrast}.nii.gz").read_bytes() == run.results.stitched(row.scan, contrast).read_bytes()
        assert (folder / "proposal.nii.gz").read_bytes() == run.results.labels(row.scan, "demo").read_bytes()
        monai = project.export(1) / "monai_label"
        assert (monai / f"{row.case}.nii.gz").read_bytes() == (folder / "water.nii.gz").read_bytes()
        original = monai / "labels" / "original" / f"{row.case}.nii.gz"
        assert original.read_bytes() == (folder / "proposal.nii.gz").read_bytes()
    assert [case.labels for case in all_cases(project)] == [None] * 3


def test_no_exported_file_holds_a_participant_id(selected):
    _, project, rows = selected
    list(export_cases(project, 1))
    for path in project.export(1).rglob("*"):
        for row in rows:
            assert row.scan.participant not in path.relative_to(project.export(1)).as_posix()
            if path.suffix in (".json", ".txt", ".ctbl", ".tsv"):
                assert row.scan.participant not in path.read_text()


def test_labels_have_their_names_in_every_program(selected):
    _, project, _ = selected
    list(export_cases(project, 1))
    folder = project.export(1)
    snap = [line.split() for line in (folder / "labels_itksnap.txt").read_text().splitlines() if line[0] != "#"]
    assert {line[-1].strip('"'): int(line[0]) for line in snap[1:]} == LABELS and snap[0][0] == "0"
    assert all(len(line) == 8 for line in snap[1:])
    slicer = [line.split() for line in (folder / "labels_slicer.ctbl").read_text().splitlines() if line[0] != "#"]
    assert {line[1]: int(line[0]) for line in slicer} == LABELS | {"background": 0}
    assert [line[2:5] for line in slicer[1:]] == [line[1:4] for line in snap[1:]]
    table = [line.split("\t") for line in (folder / "labels.tsv").read_text().splitlines()[1:]]
    assert {name: int(number) for number, name, _ in table} == LABELS


def test_a_model_with_other_numbers_is_proposed_in_those_of_the_project(selected):
    run, project, rows = selected
    # structures that the project leaves out have no label
    model = project.model("demo").structures
    labels = labels_of(1)
    labels[0, 0, 0] = model["heart"]
    write_labels(run.results.labels(rows[0].scan, "demo"), labels, AFFINE)
    list(export_cases(project, 1))
    found, affine = read_labels(project.export(1) / "case_0001" / "proposal.nii.gz")
    labels[0, 0, 0] = 0
    assert np.array_equal(found, labels) and np.array_equal(affine, AFFINE)


def test_a_repeated_export_writes_nothing_and_one_that_was_cut_off_is_completed(selected):
    _, project, _ = selected
    list(export_cases(project, 1))
    files = {path: path.stat().st_mtime_ns for path in project.export(1).rglob("*") if path.is_file()}
    ledger = project.ledger.read_bytes()
    assert list(export_cases(project, 1)) == []
    assert {path: path.stat().st_mtime_ns for path in files} == files and project.ledger.read_bytes() == ledger
    (project.export(1) / "case_0002" / "case.json").unlink()
    (project.export(1) / "case_0002" / "fat.nii.gz").unlink()
    project.ledger.write_bytes(ledger[: ledger.rfind(b"\n", 0, -1) - 10])
    assert list(export_cases(project, 1)) == ["case_0002"]
    assert [each.case for each in read_ledger(project.ledger) if each.step is Step.EXPORTED] == [
        "case_0001",
        "case_0002",
        "case_0003",
    ]
    assert (project.export(1) / "case_0002" / "fat.nii.gz").is_file()


@pytest.mark.parametrize("damage", ["image", "labels", "grid", "cut off"])
def test_a_scan_without_usable_images_is_named_by_its_case(selected, damage):
    run, project, rows = selected
    labels = run.results.labels(rows[1].scan, "demo")
    if damage == "image":
        run.results.stitched(rows[1].scan, Contrast.FAT).unlink()
    elif damage == "labels":
        labels.unlink()
    elif damage == "grid":
        write_labels(labels, labels_of(1)[1:], AFFINE)
    else:
        labels.write_bytes(labels.read_bytes()[:200])
    with pytest.raises(RetrainingError, match="case_0002: ") as error:
        list(export_cases(project, 1))
    assert rows[1].scan.participant not in str(error.value)
    assert read_case_file(project, 1, "case_0002") is None


def test_a_damaged_case_file_says_what_to_do(selected):
    _, project, _ = selected
    list(export_cases(project, 1))
    path = project.export(1) / "case_0001" / "case.json"
    for content in ("", "[]", json.dumps({"case": "case_0001"}), "{" * 5000):
        path.write_text(content)
        with pytest.raises(RetrainingError, match="repeat dixonflow retrain export"):
            list(export_cases(project, 1))


def test_nothing_is_exported_of_a_withdrawn_participant(selected):
    _, project, rows = selected
    project.config.cohort.withdrawn.write_text(rows[0].scan.participant)
    assert list(export_cases(project, 1)) == ["case_0002", "case_0003"]
