"""Raw data in nnU-Net's format, as nnU-Net itself checks it; folds by participant, test participants apart."""

import json

import numpy as np
import pytest
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from retraining_run import AFFINE, LABELS, random_request, set_up, write_small_run

from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import proposal_of
from dixonflow.retraining.folds import folds_in_ledger
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.ledger import CaseSet, Step, read_ledger
from dixonflow.retraining.nnunet_raw import MANIFEST, dataset_folder, network_classes, write_dataset
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.select import Request, Source, select
from dixonflow.vocabulary import Contrast, ScanId


def correct(project, round_number, request, folder):
    """Select, export and return the liver one voxel larger."""
    rows = select(project, request).scans
    list(export_cases(project, round_number))
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        labels, affine = read_labels(proposal_of(project, round_number, row.case))
        labels[2, 2, 2] = LABELS["liver"]
        write_labels(folder / f"{row.case}.nii.gz", labels, affine)
    assert all(each.is_accepted for each in return_labels(project, round_number, folder, "reader1"))
    return rows


@pytest.fixture
def project(tmp_path):
    _, project = set_up(tmp_path, participants=10)
    correct(project, 0, Request(Source.RANDOM, 0, CaseSet.TEST, None, "demo"), tmp_path / "test_back")
    correct(project, 1, random_request(4), tmp_path / "back")
    return project


def names(folder):
    return sorted(path.name.removesuffix(".nii.gz") for path in folder.glob("*"))


def test_nnunet_accepts_the_data_set(project):
    found = write_dataset(project, 1)
    verify_dataset_integrity(str(found.folder), num_processes=1)
    assert (found.training, found.test, found.participants) == (8, 4, 4)
    labels = names(found.folder / "labelsTr")
    assert labels == sorted(f"case_{number:04d}_{c}" for number in (3, 4, 5, 6) for c in ("fat", "water"))
    assert names(found.folder / "imagesTr") == [f"{name}_0000" for name in labels]
    assert names(found.folder / "labelsTs") == ["case_0001_fat", "case_0001_water", "case_0002_fat", "case_0002_water"]
    assert json.loads((found.folder / "dataset.json").read_text())["labels"] == {
        "background": 0,
        "spleen": 1,
        "liver": 2,
        "urinary_bladder": 3,
    }


def test_images_and_labels_are_those_of_the_case_in_consecutive_classes(project):
    folder = write_dataset(project, 1).folder
    entry = next(e for e in read_ledger(project.ledger) if e.step is Step.SELECTED and e.case == "case_0003")
    image = project.results.stitched(entry.scan, Contrast.FAT).read_bytes()
    assert (folder / "imagesTr" / "case_0003_fat_0000.nii.gz").read_bytes() == image
    found, affine = read_labels(folder / "labelsTr" / "case_0003_fat.nii.gz")
    wanted, _ = read_labels(proposal_of(project, 1, "case_0003"))
    wanted[2, 2, 2] = LABELS["liver"]
    for name, number in network_classes(LABELS).items():
        assert np.array_equal(found == number, wanted == LABELS[name])
    assert np.array_equal(affine, AFFINE)


def test_contrasts_may_be_channels_of_one_case(tmp_path):
    _, project = set_up(tmp_path, channels=True)
    correct(project, 1, random_request(4), tmp_path / "back")
    found = write_dataset(project, 1)
    verify_dataset_integrity(str(found.folder), num_processes=1)
    assert found.training == 4
    assert names(found.folder / "imagesTr")[:2] == ["case_0001_0000", "case_0001_0001"]


def test_another_orientation_reverses_images_and_labels_alike(tmp_path):
    folders = []
    for orientation in ("RAS", "LPS"):
        _, project = set_up(tmp_path / orientation, orientation=orientation)
        correct(project, 1, random_request(4), tmp_path / orientation / "back")
        folders.append(write_dataset(project, 1).folder)
        verify_dataset_integrity(str(folders[-1]), num_processes=1)
    for name in ("imagesTr/case_0001_water_0000", "labelsTr/case_0001_water"):
        (ras, _), (lps, _) = (SimpleITKIO().read_images([str(folder / f"{name}.nii.gz")]) for folder in folders)
        assert np.array_equal(ras[0], lps[0][:, ::-1, ::-1]) and not np.array_equal(ras, lps)
        same = [read_labels(folder / "labelsTr" / "case_0001_water.nii.gz") for folder in folders]
        assert np.array_equal(same[0][0], same[1][0]) and np.allclose(same[0][1], same[1][1])


def test_all_cases_of_a_participant_are_in_one_fold_and_stay_in_it(tmp_path):
    run, _ = set_up(tmp_path, participants=9)
    visits = run.scans | {ScanId("1001", "3"): 21, ScanId("1002", "3"): 22}
    run = write_small_run(tmp_path, visits)
    _, project = run, run.start(tmp_path / "retraining", folds=3)
    correct(project, 1, random_request(4), tmp_path / "back1")
    first = write_dataset(project, 1)
    before = folds_in_ledger(read_ledger(project.ledger))
    correct(project, 2, random_request(5, 2), tmp_path / "back2")
    write_dataset(project, 2)
    after = folds_in_ledger(read_ledger(project.ledger))
    assert before.items() <= after.items() and set(after.values()) == {0, 1, 2} and len(first.folder.name) > 10
    splits = json.loads((dataset_folder(project, 2) / "splits_final.json").read_text())
    of_case = {e.case: e.scan.participant for e in read_ledger(project.ledger) if e.step is Step.SELECTED}
    for split in splits:
        train, val = ({of_case["_".join(name.split("_")[:2])] for name in split[each]} for each in ("train", "val"))
        assert train and val and not train & val and len(train | val) == len(after)
    validated = [name for split in splits for name in split["val"]]
    assert len(splits) == 3 and sorted(validated) == sorted(splits[0]["train"] + splits[0]["val"])


def test_a_repeated_call_writes_nothing_and_one_that_was_cut_off_is_completed(project):
    folder = write_dataset(project, 1).folder
    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    ledger = project.ledger.read_bytes()
    write_dataset(project, 1)
    assert {path: path.stat().st_mtime_ns for path in files} == {path: date for path, (date, _) in files.items()}
    for lost in ("imagesTr/case_0003_fat_0000.nii.gz", MANIFEST, "splits_final.json"):
        (folder / lost).unlink()
        project.ledger.write_bytes(ledger[: ledger.rfind(b"\n", 0, -1) - 5])
        write_dataset(project, 1)
        assert {path: path.read_bytes() for path in files} == {path: content for path, (_, content) in files.items()}
        assert len(read_ledger(project.ledger)) == ledger.count(b"\n") - 1


def test_a_corrected_case_is_written_again_and_a_withdrawn_one_removed(project, tmp_path):
    folder = write_dataset(project, 1).folder
    labels, affine = read_labels(proposal_of(project, 1, "case_0003"))
    labels[3, 3, 3] = LABELS["spleen"]
    write_labels(tmp_path / "case_0003.nii.gz", labels, affine)
    list(return_labels(project, 1, tmp_path / "case_0003.nii.gz", "reader2"))
    write_dataset(project, 1)
    assert read_labels(folder / "labelsTr" / "case_0003_fat.nii.gz")[0][3, 3, 3] == network_classes(LABELS)["spleen"]
    scan = next(e.scan for e in read_ledger(project.ledger) if e.case == "case_0003")
    project.config.cohort.withdrawn.write_text(scan.participant)
    found = write_dataset(project, 1)
    assert found.training == 6 and not list(folder.rglob("case_0003*"))
    assert "case_0003" not in (folder / MANIFEST).read_text() + (folder / "splits_final.json").read_text()


def test_corrections_are_recorded_and_leave_test_cases_alone(tmp_path):
    harmonise = {"fill_holes": ["liver"], "drop_outside_body": True}
    _, project = set_up(tmp_path, harmonise=harmonise)
    for number, request in ((0, Request(Source.RANDOM, 0, CaseSet.TEST, None, "demo")), (1, random_request(4))):
        rows = select(project, request).scans
        list(export_cases(project, number))
        (tmp_path / str(number)).mkdir()
        for row in rows:
            labels, affine = read_labels(proposal_of(project, number, row.case))
            labels[0, 0, 0] = LABELS["spleen"]
            write_labels(tmp_path / str(number) / f"{row.case}.nii.gz", labels, affine)
        list(return_labels(project, number, tmp_path / str(number), "reader1"))
    found = write_dataset(project, 1)
    assert found.changed["drop_outside_body"] == 8
    records = json.loads((found.folder / MANIFEST).read_text())
    assert records["case_0003_fat"]["harmonise"]["fill_holes"] == ["liver"]
    assert records["case_0003_fat"]["changed"] == {"fill_holes": 0, "drop_outside_body": 1}
    assert records["case_0001_fat"]["harmonise"] is None
    assert read_labels(found.folder / "labelsTs" / "case_0001_fat.nii.gz")[0][0, 0, 0] == 1
    assert read_labels(found.folder / "labelsTr" / "case_0003_fat.nii.gz")[0][0, 0, 0] == 0


def test_an_image_of_a_test_participant_in_the_place_of_another_is_found(project):
    (project.export(1) / "case_0003" / "fat.nii.gz").write_bytes(
        project.results.stitched(ScanId("1010", "2"), Contrast.FAT).read_bytes()
    )
    with pytest.raises(LeakageError, match="sub-1010_ses-2, a test participant"):
        write_dataset(project, 1)


def test_too_few_participants_are_refused(tmp_path):
    _, project = set_up(tmp_path)
    with pytest.raises(RetrainingError, match="no corrected case"):
        write_dataset(project, 1)
    correct(project, 1, random_request(2), tmp_path / "back")
    with pytest.raises(RetrainingError, match="2 participants came back, too few for 3 folds"):
        write_dataset(project, 1)
