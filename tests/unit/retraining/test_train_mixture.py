"""What is mixed into the corrected cases: it has a seed, keeps to its participant's side, and is made once."""

import json

import numpy as np
import pytest
from retraining_data import LABELS, SHAPE, tiny_case, tiny_project, write_dataset

from dixonflow.imaging.nifti import read_labels, read_nifti, write_labels, write_nifti
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, read_ledger
from dixonflow.retraining.nnunet.deform import deformed, deformed_labels, elastic_field, low_contrast
from dixonflow.retraining.nnunet.mixture import (
    add_copies,
    add_ct,
    case_scans,
    check_cases,
    read_ct_folder,
)
from dixonflow.retraining.nnunet.raw_data import RawData, read_raw_data
from dixonflow.retraining.nnunet.settings import Mixture
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import RetrainingError
from dixonflow.vocabulary import ScanId

LPS = np.array([[-4.0, 0, 0, 68], [0, -4.0, 0, 60], [0, 0, 4.0, 0], [0, 0, 0, 1]])


def test_a_deformation_moves_image_and_label_map_alike_and_not_the_border():
    image, labels = tiny_case(1)
    field = elastic_field(SHAPE, (4.0, 4.0, 4.0), 6.0, np.random.default_rng(5))
    assert np.abs(field[:, 0]).max() < 0.2
    assert 0.5 < np.abs(field).max() < 6  # voxels; 6 mm are 1.5 of them
    clean = np.array([100, 400, 250], np.float32)[labels]
    moved, moved_labels = deformed(clean, field), deformed_labels(labels, field)
    assert (moved_labels != labels).any()
    inside = np.isclose(moved[..., None], [100, 400, 250]).any(axis=-1)
    assert inside.mean() > 0.7
    assert (np.array([100, 400, 250])[moved_labels][inside] == moved[inside]).mean() > 0.99
    again = elastic_field(SHAPE, (4.0, 4.0, 4.0), 6.0, np.random.default_rng(5))
    assert (field == again).all()
    assert np.allclose(deformed(image, np.zeros_like(field)), image)


def test_low_contrast_brings_structures_closer_and_keeps_empty_voxels():
    image, labels = tiny_case(2)
    image[0] = 0
    changed = low_contrast(image, np.random.default_rng(3))
    before, after = (abs(each[labels == 1].mean() - each[labels == 2].mean()) for each in (image, changed))
    assert 0.1 * before < after < 0.85 * before
    assert (changed[0] == 0).all()
    assert low_contrast(np.zeros(SHAPE, np.float32), np.random.default_rng(3)).max() == 0


@pytest.mark.parametrize("affine", [np.diag([4.0, 4.0, 4.0, 1.0]), LPS])
def test_copies_are_stored_as_their_originals_and_trained_on_where_those_are(tmp_path, affine):
    write_dataset(tmp_path / "data", ["case_0001_water", "case_0002_water", "case_0003_water"], affine=affine)
    data = read_raw_data(tmp_path / "data")
    assert data.orientation == ("LPS" if affine is LPS else "RAS")
    mixture = Mixture(elastic_copies=2, low_contrast_copies=1)
    mixed = add_copies(data, mixture, 7, tmp_path / "copies")
    assert len(mixed.cases) == 12
    copy = mixed.cases["case_0001_water_elastic001"]
    original, found = (read_nifti(case.images[0]) for case in (data.cases["case_0001_water"], copy))
    assert np.allclose(original.affine, found.affine)
    assert np.corrcoef(original.data.ravel(), found.data.ravel())[0, 1] > 0.5  # mirrored it would be less
    (tmp_path / "check").mkdir()
    stored = read_raw_data_of(mixed, tmp_path / "check")
    assert stored == data.orientation
    for split, before in zip(mixed.splits, data.splits, strict=True):
        assert split["val"] == before["val"]
        originals = {name.split("_elastic")[0].split("_lowcontrast")[0] for name in split["train"]}
        assert originals == set(before["train"])
        assert len(split["train"]) == 4 * len(before["train"])
    content = copy.images[0].read_bytes()
    made = copy.images[0].stat().st_mtime_ns
    add_copies(data, mixture, 7, tmp_path / "copies")
    assert copy.images[0].stat().st_mtime_ns == made
    copy.labels.unlink()  # as a kill would leave it
    add_copies(data, mixture, 7, tmp_path / "copies")
    assert copy.images[0].read_bytes() == content
    add_copies(data, mixture, 8, tmp_path / "copies")
    assert copy.images[0].read_bytes() != content


def read_raw_data_of(data: RawData, folder):
    """Orientation of a data set whose cases lie in one folder."""
    for name, case in data.cases.items():
        for source, target in (
            (case.images[0], f"imagesTr/{name}_0000.nii.gz"),
            (case.labels, f"labelsTr/{name}.nii.gz"),
        ):
            (folder / target).parent.mkdir(exist_ok=True)
            (folder / target).write_bytes(source.read_bytes())
    (folder / "dataset.json").write_text(json.dumps(data.description))
    (folder / "splits_final.json").write_text(json.dumps([{"train": list(data.cases), "val": []}]))
    return read_raw_data(folder).orientation


def write_ct(folder, participants):
    rows = ["case,participant"]
    for number, participant in enumerate(participants):
        image, classes = tiny_case(50 + number)
        labels = np.array([0, LABELS["liver"], LABELS["spleen"]], np.uint8)[classes]
        write_nifti(folder / "images" / f"c{number}.nii.gz", image, np.diag([4.0, 4.0, 4.0, 1.0]))
        write_labels(folder / "labels" / f"c{number}.nii.gz", labels, np.diag([4.0, 4.0, 4.0, 1.0]))
        rows.append(f"c{number},{participant}")
    (folder / "participants.csv").write_text("\n".join(rows) + "\n")


def test_ct_cases_are_never_trained_on_where_their_participant_is_validated_on(tmp_path):
    project = tiny_project(tmp_path / "project")
    data = read_raw_data(dataset_folder(project, 1))
    entries = read_ledger(project.ledger)
    write_ct(tmp_path / "ct", ["70000", "elsewhere"])
    mixed = add_ct(data, read_ct_folder(tmp_path / "ct"), LABELS, entries, tmp_path / "out", frozenset())
    people = {name: scan.participant for name, scan in case_scans(data, entries).items()}
    for split in mixed.splits:
        assert "ct_c1" in split["train"]
        assert ("ct_c0" in split["train"]) == ("70000" not in {people[name] for name in split["val"]})
        assert not any(name.startswith("ct_") for name in split["val"])
    classes, _ = read_labels(mixed.cases["ct_c0"].labels)
    assert (classes == tiny_case(50)[1]).all()


def test_a_ct_of_a_test_participant_is_refused_by_name(tmp_path):
    project = tiny_project(tmp_path / "project")
    append_to_ledger(project.ledger, [Entry(Step.FROZEN, 0, CaseSet.TEST, ScanId("9999", "2"))])
    write_ct(tmp_path / "ct", ["9999"])
    data, entries = read_raw_data(dataset_folder(project, 1)), read_ledger(project.ledger)
    with pytest.raises(LeakageError, match="CT c0: its participant has withdrawn"):
        add_ct(data, read_ct_folder(tmp_path / "ct"), LABELS, entries, tmp_path / "out", frozenset({"9999"}))
    with pytest.raises(LeakageError, match="9999 is a frozen test participant"):
        add_ct(data, read_ct_folder(tmp_path / "ct"), LABELS, entries, tmp_path / "out", frozenset())
    assert not (tmp_path / "out").exists()


def test_ct_with_unknown_labels_or_without_participants_is_refused(tmp_path):
    project = tiny_project(tmp_path / "project")
    data, entries = read_raw_data(dataset_folder(project, 1)), read_ledger(project.ledger)
    write_ct(tmp_path / "ct", ["a1"])
    with pytest.raises(RetrainingError, match="CT c0: its label map has 5"):
        add_ct(data, read_ct_folder(tmp_path / "ct"), {"spleen": 1}, entries, tmp_path / "out", frozenset())
    (tmp_path / "ct" / "participants.csv").write_text("case,participant\nc0,\n")
    with pytest.raises(RetrainingError, match="line 2"):
        read_ct_folder(tmp_path / "ct")
    (tmp_path / "ct" / "participants.csv").write_text("case,participant\nc9,a1\n")
    with pytest.raises(RetrainingError, match=r"c9.nii.gz is missing"):
        read_ct_folder(tmp_path / "ct")


def test_a_fold_with_a_participant_on_both_sides_is_refused(tmp_path):
    write_dataset(tmp_path, ["case_0001_water", "case_0002_water", "case_0003_water"])
    data = read_raw_data(tmp_path)
    people = {f"case_000{number}_water": ScanId("aab"[number - 1], str(number)) for number in (1, 2, 3)}
    with pytest.raises(RetrainingError, match="one participant"):
        check_cases(data, people, [], frozenset())


def test_damaged_raw_data_is_refused(tmp_path):
    write_dataset(tmp_path, ["case_0001", "case_0002", "case_0003"])
    (tmp_path / "labelsTr" / "case_0002.nii.gz").unlink()
    with pytest.raises(RetrainingError, match="case_0002 lacks"):
        read_raw_data(tmp_path)
    image, _ = tiny_case(1)
    write_labels(tmp_path / "labelsTr" / "case_0002.nii.gz", np.zeros((5, 5, 5), np.uint8), np.eye(4))
    with pytest.raises(RetrainingError, match="case_0002: image and label map are on different grids"):
        read_raw_data(tmp_path)
    write_dataset(tmp_path, ["case_0001", "case_0002", "case_0003"])
    write_nifti(tmp_path / "imagesTr" / "case_0003_0000.nii.gz", image, LPS)
    write_labels(tmp_path / "labelsTr" / "case_0003.nii.gz", tiny_case(1)[1], LPS)
    with pytest.raises(RetrainingError, match="different orientations"):
        read_raw_data(tmp_path)
    with pytest.raises(RetrainingError, match="retrain dataset"):
        read_raw_data(tmp_path / "nowhere")
