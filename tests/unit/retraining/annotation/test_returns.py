"""What comes back is accepted, or refused with its reason; nothing is lost if half of it comes back."""

import csv
import shutil

import nibabel as nib
import numpy as np
import pytest
from retraining_run import AFFINE, LABELS, SHAPE, labels_of, random_request, set_up

from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.ratings.rating import RatingError
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import accepted_labels, all_cases, proposal_of, training_cases
from dixonflow.retraining.ledger import Step, read_ledger
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.retraining.selection.select import select

LIVER = LABELS["liver"]


@pytest.fixture
def project(tmp_path):
    _, project = set_up(tmp_path)
    select(project, random_request(3))
    list(export_cases(project, 1))
    return project


@pytest.fixture
def back(tmp_path):
    (tmp_path / "back").mkdir()
    return tmp_path / "back"


def proposal(project, case="case_0001"):
    return read_labels(proposal_of(project, 1, case))[0]


def corrected(project, case="case_0001"):
    labels = proposal(project, case)
    labels[labels == LIVER] = LABELS["spleen"]
    labels[1:3, 1:3, 1:3] = LIVER
    return labels


def take(project, folder, by="reader1"):
    return list(return_labels(project, 1, folder, by))


def log_of(project):
    with (project.returned(1) / "returned.csv").open() as file:
        return list(csv.DictReader(file))


def test_an_unchanged_label_map_is_accepted_byte_for_byte(project, back):
    source = proposal_of(project, 1, "case_0001")
    shutil.copyfile(source, back / "case_0001.nii.gz")
    found = take(project, back)
    assert [each.is_accepted for each in found] == [True]
    kept = accepted_labels(project, 1, "case_0001", found[0].sha256)
    assert kept.read_bytes() == source.read_bytes()
    assert [case.labels for case in training_cases(project, 1)] == [kept]
    entry = read_ledger(project.ledger)[-1]
    assert (entry.step, entry.who, entry.note, entry.file_sha256) == (
        Step.ACCEPTED,
        "reader1",
        "unchanged",
        found[0].sha256,
    )


@pytest.mark.parametrize("form", ["ours", "float64", "int32", "flipped", "permuted", "nii", "4D", "rounded affine"])
def test_a_label_map_that_a_program_rewrote_is_accepted_with_the_same_voxels(project, back, form):
    labels = corrected(project)
    data, affine, name = labels, AFFINE, "case_0001.nii.gz"
    if form == "ours":
        write_labels(back / name, labels, AFFINE)
    else:
        if form in ("float64", "int32"):
            data = labels.astype(form)
        elif form == "4D":
            data = labels[..., None]
        elif form == "rounded affine":
            affine = AFFINE + np.float32(4e-4)
            affine[:3, :3], affine[3] = AFFINE[:3, :3], AFFINE[3]
        elif form == "nii":
            name = "case_0001.nii"
        image = nib.Nifti1Image(data, affine)
        if form == "flipped":
            image = image.as_reoriented([[0, -1], [1, -1], [2, 1]])
        elif form == "permuted":
            image = image.as_reoriented([[2, 1], [0, -1], [1, 1]])
        nib.save(image, back / name)
    (found,) = take(project, back)
    assert found.reason == ""
    kept, kept_affine = read_labels(accepted_labels(project, 1, "case_0001", found.sha256))
    assert np.array_equal(kept, labels) and np.allclose(kept_affine, AFFINE, atol=1e-3) and kept.dtype == np.uint8
    received = project.returned(1) / "received" / f"case_0001_{found.sha256[:12]}{name.removeprefix('case_0001')}"
    assert received.read_bytes() == (back / name).read_bytes()


def refused(project, back, problem):
    (found,) = take(project, back)
    assert problem in found.reason
    assert log_of(project)[-1]["outcome"] == "refused" and log_of(project)[-1]["reason"] == found.reason
    assert all(case.labels is None for case in all_cases(project))
    assert not any(entry.step is Step.ACCEPTED for entry in read_ledger(project.ledger))


def moved(shift):
    affine = AFFINE.copy()
    affine[0, 3] += shift
    return affine


@pytest.mark.parametrize(
    ("data", "affine", "problem"),
    [
        (labels_of(1)[1:], AFFINE, "another grid: 13 x 12 x 20 voxels, the image has 14 x 12 x 20"),
        (labels_of(1), moved(0.01), "another grid: its voxels lie elsewhere"),
        (labels_of(1), AFFINE @ np.diag([1.001, 1, 1, 1]), "another grid"),
        (labels_of(1) + np.uint8(100), AFFINE, "unknown labels 100, 101, 105, 121"),
        (labels_of(1) * 0.5, AFFINE, "whole number"),
        (labels_of(1).astype(float) * -1, AFFINE, "whole number"),
        (np.where(labels_of(1), np.nan, 0.0), AFFINE, "whole number"),
        (np.full(SHAPE, 1e30), AFFINE, "whole number"),
        (labels_of(1) * 0, AFFINE, "empty"),
        (labels_of(1).astype(np.complex64), AFFINE, "no readable label map"),
        (np.stack([labels_of(1)] * 2, axis=-1), AFFINE, "no readable label map"),
    ],
)
def test_a_label_map_that_does_not_fit_is_refused_with_its_reason(project, back, data, affine, problem):
    nib.save(nib.Nifti1Image(data, affine), back / "case_0001.nii.gz")
    refused(project, back, problem)


@pytest.mark.parametrize("content", [b"", b"x" * 1000, "truncated", "folder"])
def test_a_damaged_file_is_refused(project, back, content):
    path = back / "case_0001.nii.gz"
    if content == "truncated":
        content = proposal_of(project, 1, "case_0001").read_bytes()[:-20]
    if content == "folder":
        path.mkdir()
        with pytest.raises(RetrainingError, match="holds no"):
            take(project, back)
        return
    path.write_bytes(content)
    refused(project, back, "no readable label map")


def test_the_label_map_of_another_scan_is_refused(project, back):
    write_labels(back / "case_0001.nii.gz", corrected(project, "case_0002"), AFFINE)
    refused(project, back, "resembles the proposal of case_0002")
    (found,) = return_labels(project, 1, back, "reader1", own=("case_0001",))
    assert found.is_accepted and read_ledger(project.ledger)[-1].note == "place and whose it is were not checked"


def test_a_folder_of_another_export_is_refused(project, back, tmp_path):
    shutil.copytree(project.export(1) / "case_0001", back / "case_0001")
    shutil.copyfile(project.export(1) / "case_0002" / "case.json", back / "case_0001" / "case.json")
    write_labels(back / "case_0001" / "labels.nii.gz", corrected(project), AFFINE)
    refused(project, back, "another export: case.json says case_0002")


def test_an_unknown_case_is_refused(project, back):
    write_labels(back / "case_0009.nii.gz", labels_of(1), AFFINE)
    refused(project, back, "no case of this name")


def test_half_comes_back_and_the_rest_stays_open(project):
    folder = project.export(1)  # corrected in place, as annotation programs do
    write_labels(folder / "case_0001" / "proposal.nii.gz", corrected(project), AFFINE)
    write_labels(folder / "case_0002" / "labels.nii.gz", corrected(project, "case_0002"), AFFINE)
    assert [each.case for each in take(project, folder)] == ["case_0001", "case_0002"]
    assert [case.name for case in all_cases(project) if case.labels is None] == ["case_0003"]
    final = folder / "monai_label" / "labels" / "final" / "case_0003.nii.gz"
    write_labels(final, corrected(project, "case_0003"), AFFINE)
    found = take(project, folder)
    assert all(each.is_accepted for each in found) and len(training_cases(project, 1)) == 3
    assert len(log_of(project)) == 3


def test_a_later_correction_takes_the_place_of_an_earlier_one_which_is_kept(project, back):
    path = back / "case_0001.nii.gz"
    shas = []
    for by, labels in (("reader1", proposal(project)), ("reader2", corrected(project))):
        write_labels(path, labels, AFFINE)
        shas.append(take(project, back, by)[0].sha256)
    kept = [accepted_labels(project, 1, "case_0001", sha256) for sha256 in shas]
    assert all(each.is_file() for each in kept)
    assert training_cases(project, 1)[0].labels == kept[1]
    assert [row["by"] for row in log_of(project)] == ["reader1", "reader2"]
    write_labels(path, labels_of(1) * 0, AFFINE)
    assert not take(project, back)[0].is_accepted
    assert training_cases(project, 1)[0].labels == kept[1]


def test_two_label_maps_of_one_case_are_not_chosen_from_in_silence(project):
    folder = project.export(1)
    write_labels(folder / "case_0001" / "proposal.nii.gz", corrected(project), AFFINE)
    write_labels(folder / "case_0001" / "labels.nii.gz", proposal(project), AFFINE)
    refused(project, folder, "several label maps")


def test_a_killed_return_is_completed_by_the_same_call(project, back):
    for case in ("case_0001", "case_0002"):
        write_labels(back / f"{case}.nii.gz", corrected(project, case), AFFINE)
    before = project.ledger.read_bytes()
    take(project, back)
    whole = project.ledger.read_bytes()
    for kept in (len(before), len(before) + 20, whole.rfind(b"\n", 0, -1) + 1, len(whole)):
        project.ledger.write_bytes(whole[:kept])
        take(project, back)
        assert len(training_cases(project, 1)) == 2
        assert len(log_of(project)) == 2


def test_a_file_that_is_being_saved_is_not_accepted(project, back, monkeypatch):
    path = back / "case_0001.nii.gz"
    write_labels(path, corrected(project), AFFINE)

    def saved_meanwhile(source, target):
        write_labels(path, proposal(project), AFFINE)
        shutil.copyfile(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("dixonflow.retraining.annotation.returns.copy_whole", saved_meanwhile)
        (project.returned(1) / "received").mkdir(parents=True)
        refused(project, back, "changed while it was read")
    assert take(project, back)[0].is_accepted


def test_who_corrected_must_be_named_and_ids_stay_out_of_the_log(project, back):
    with pytest.raises(RatingError):
        take(project, back, by="")
    named = back / "1001_private"
    named.mkdir()
    write_labels(named / "case_0001.nii.gz", corrected(project), AFFINE)
    take(project, back)
    assert log_of(project)[0]["file"] == "case_0001.nii.gz"
    with pytest.raises(RetrainingError, match="there is no"):
        take(project, back / "nothing")


def test_a_file_that_cannot_be_read_is_refused_and_the_others_are_taken(project, back):
    (back / "case_0001.nii.gz").symlink_to("/proc/self/mem")  # opens, and gives an error when it is read
    (back / "case_0002").mkdir()
    write_labels(back / "case_0002" / "labels.nii.gz", corrected(project, "case_0002"), AFFINE)
    (back / "case_0002" / "case.json").write_text("{half")
    write_labels(back / "case_0003.nii.gz", corrected(project, "case_0003"), AFFINE)
    found = take(project, back)
    assert [each.is_accepted for each in found] == [False, False, True]
    assert found[0].reason.startswith("the file cannot be read: ")
    assert "case_0002/case.json is damaged" in found[1].reason
    assert [row["outcome"] for row in log_of(project)] == ["refused", "refused", "accepted"]


def test_a_damaged_case_of_the_export_folder_is_refused_and_the_others_are_taken(project):
    folder = project.export(1)
    for case in ("case_0001", "case_0002"):
        write_labels(folder / case / "labels.nii.gz", corrected(project, case), AFFINE)
    (folder / "case_0001" / "case.json").write_text("{half")
    found = take(project, folder)
    assert [each.is_accepted for each in found] == [False, True]
    assert "case.json is damaged" in found[0].reason


def test_left_and_right_are_checked_although_somebody_has_looked(project, back):
    pair = {"kidney_left": LIVER, "kidney_right": LABELS["spleen"], "urinary_bladder": LABELS["urinary_bladder"]}
    of_kidneys = Project(project.root, project.settings.model_copy(update={"labels": pair}))
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:6, 3:6], labels[8:11, 3:6, 3:6] = pair["kidney_right"], pair["kidney_left"]
    for found_labels, accepted in ((labels, False), (labels[::-1], True)):
        write_labels(back / "case_0001.nii.gz", found_labels, AFFINE)
        (found,) = return_labels(of_kidneys, 1, back, "reader1", own=("case_0001",))
        assert found.is_accepted is accepted, found.reason
        assert accepted or found.reason.startswith("left and right are swapped: kidney_left")
