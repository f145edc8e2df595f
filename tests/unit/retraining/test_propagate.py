"""Corrected label maps on the images of another sequence, by the headers of both."""

import numpy as np
import pytest
from bids_session import write_session
from retraining_run import AFFINE, LABELS, SHAPE, images_of, random_request, set_up

from dixonflow.cohort.table import CohortScan, read_scans, write_scans
from dixonflow.imaging.nifti import read_labels, read_nifti, write_labels, write_nifti
from dixonflow.imaging.station import Station
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import proposal_of, training_cases
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.nnunet_raw import write_dataset
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.propagate import propagate_labels
from dixonflow.retraining.selection.select import select
from dixonflow.vocabulary import Contrast, Layout, ScanId, ScanSequence

HASTE = ScanSequence.HASTE
FINE = np.array([[1.0, 0, 0, -13.5], [0, 1.0, 0, -11.5], [0, 0, 3.0, 100], [0, 0, 0, 1]])
FINE_SHAPE = (24, 20, 16)
"""Twice as fine across the body, inside the Dixon image."""
RAW_AFFINE = np.array([[8.0, 0, 0, -156], [0, 8.0, 0, -140], [0, 0, 4.0, 100], [0, 0, 0, 1]])


def as_raw(image):
    """An image of a size that a scanner delivers: of the raw data, the rotation alone matters here."""
    return np.resize(image, (40, 36, 24)).astype(np.int16)


@pytest.fixture
def project(tmp_path):
    """Four corrected cases, whose raw data can be read; scans of HASTE for the tests to add."""
    run, project = set_up(tmp_path)
    rows = []
    for row in read_scans(run.results.scans):
        seed = run.scans[row.scan]
        station = Station(0, {contrast: as_raw(image) for contrast, image in images_of(seed).items()}, RAW_AFFINE)
        session = write_session(tmp_path / "raw", row.scan, [station])
        rows.append(CohortScan(RawScan(row.scan, Layout.BIDS, session, row.entry.raw_key), images=row.images))
    write_scans(run.results.scans, rows)
    select(project, random_request(4))
    list(export_cases(project, 1))
    back(project, tmp_path / "back")
    return project


def back(project, folder, cases=("case_0001", "case_0002", "case_0003", "case_0004"), voxel=(2, 2, 2)):
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        labels, affine = read_labels(proposal_of(project, 1, case))
        labels[voxel] = LABELS["spleen"]
        write_labels(folder / f"{case}.nii.gz", labels, affine)
    assert all(each.is_accepted for each in return_labels(project, 1, folder, "reader1"))


def add_haste(project, case, affine=FINE, shape=FINE_SHAPE, image=None):
    """Give the session of a case an image of HASTE."""
    scan = next(each.scan for each in training_cases(project, 1) if each.name == case)
    other = ScanId(scan.participant, scan.session, HASTE)
    rng = np.random.default_rng(int(case[-1]))
    image = rng.integers(0, 500, shape).astype(np.int16) if image is None else image
    write_nifti(project.results.stitched(other, Contrast.T2), image, affine)
    rows = read_scans(project.results.scans)
    dixon = next(row for row in rows if row.scan == scan)
    entry = RawScan(other, Layout.BIDS, dixon.entry.path, f"haste-{case}")
    write_nifti(entry.path / "anat" / f"{scan.session_name}_acq-haste_chunk-1_T2w.nii.gz", as_raw(image), RAW_AFFINE)
    write_scans(project.results.scans, [*rows, CohortScan(entry, images=f"images-{case}")])
    return other, image


def propagate(project):
    return {each.case: each.reason for each in propagate_labels(project, 1, HASTE)}


def test_the_label_map_lies_where_the_headers_say(project):
    scan, image = add_haste(project, "case_0001")
    found = propagate(project)
    assert found["case_0001"] == "" and found["case_0002"] == "the session has no image of the sequence haste"
    case = next(each for each in training_cases(project, 1) if each.name == "case_0001_haste")
    assert case.scan == scan and np.array_equal(read_nifti(case.images[Contrast.T2]).data, image)
    labels, affine = read_labels(case.labels)
    assert np.array_equal(affine, FINE) and labels.shape == FINE_SHAPE
    dixon = read_labels(next(each for each in training_cases(project, 1) if each.name == "case_0001").labels)[0]
    x, y, z = np.indices(FINE_SHAPE)
    expected = dixon[np.floor((x - 13.5 + 14) / 2 + 0.5).astype(int), np.floor((y + 0.5) / 2 + 0.5).astype(int), z]
    assert np.array_equal(labels, expected)


def test_what_the_dixon_image_does_not_show_is_cut_off(project):
    affine = AFFINE.copy()
    affine[2, 3] -= 3 * 5
    add_haste(project, "case_0001", affine, (14, 12, 30))
    assert propagate(project)["case_0001"] == ""
    case = next(each for each in training_cases(project, 1) if each.name == "case_0001_haste")
    labels, found = read_labels(case.labels)
    assert labels.shape == SHAPE and np.allclose(found, AFFINE)
    assert np.array_equal(labels, read_labels(training_cases(project, 1)[0].labels)[0])
    write_dataset(project, 1)


def test_an_image_of_another_place_is_left_out_with_its_reason(project):
    affine = AFFINE.copy()
    affine[2, 3] += 1000
    add_haste(project, "case_0001", affine, SHAPE)
    assert "another part of the body" in propagate(project)["case_0001"]
    assert len(training_cases(project, 1)) == 4


def test_a_repeated_call_adds_nothing_and_a_later_correction_has_to_be_propagated_again(project, tmp_path):
    add_haste(project, "case_0001")
    propagate(project)
    ledger = project.ledger.read_bytes()
    propagate(project)
    assert project.ledger.read_bytes() == ledger
    back(project, tmp_path / "more", ("case_0001",), (3, 3, 3))
    assert "case_0001_haste" not in {case.name for case in training_cases(project, 1)}
    propagate(project)
    assert "case_0001_haste" in {case.name for case in training_cases(project, 1)}


def test_all_sequences_of_a_participant_are_in_one_fold(project):
    for number in range(1, 5):
        add_haste(project, f"case_000{number}")
    propagate(project)
    found = write_dataset(project, 1)
    assert found.training == 12 and found.participants == 4
    assert (found.folder / "imagesTr" / "case_0001_haste_t2_0000.nii.gz").is_file()


def test_the_image_of_a_test_participant_is_refused_by_name(project):
    image = read_nifti(project.results.stitched(ScanId("1008", "2"), Contrast.WATER)).data
    add_haste(project, "case_0001", AFFINE, SHAPE, image)
    with pytest.raises(LeakageError, match="sub-1008_ses-2, a test participant"):
        propagate(project)
    assert not project.propagated(1).exists()


def test_a_dixon_scan_that_is_not_in_the_run_any_more_is_left_out(project):
    scan, _ = add_haste(project, "case_0001")
    rows = [row for row in read_scans(project.results.scans) if row.scan != scan.dixon]
    write_scans(project.results.scans, rows)
    assert "not in the list of scans" in propagate(project)["case_0001"]


def test_dixon_itself_and_channels_are_refused(project, tmp_path):
    with pytest.raises(RetrainingError, match="share its label map"):
        list(propagate_labels(project, 1, ScanSequence.DIXON))
    _, other = set_up(tmp_path / "other", channels=True)
    with pytest.raises(RetrainingError, match="takes the Dixon contrasts together"):
        list(propagate_labels(other, 1, HASTE))
