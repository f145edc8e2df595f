"""Nothing of a test participant is trained on: a second visit, the same scan under another id, the same voxels."""

import numpy as np
import pytest
from retraining_run import AFFINE, images_of, random_request, set_up, write_small_run

from dixonflow.imaging.nifti import write_nifti
from dixonflow.retraining.leakage import LeakageError, check_may_join, check_training_set, image_digests, voxel_digests
from dixonflow.retraining.ledger import CaseSet, read_ledger
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.freeze import freeze_participants
from dixonflow.retraining.selection.select import Request, Source, select
from dixonflow.vocabulary import Contrast, ScanId

TEST, OTHER = ScanId("1004", "2"), ScanId("1001", "2")
SCANS = {ScanId(f"100{number}", "2"): number for number in range(1, 5)}


def start(folder, scans, **keys):
    run = write_small_run(folder, scans, **keys)
    project = run.start(folder / "retraining", folds=3)
    (folder / "test.txt").write_text("1004\n")
    freeze_participants(project, named=folder / "test.txt")
    return run, project


def ask_for(project, scan, folder):
    listed = folder / "list.txt"
    listed.write_text(f"{scan.name}\n")
    return select(project, Request(Source.LIST, 1, CaseSet.TRAIN, None, "demo", file=listed))


def test_a_frozen_participant_and_a_second_visit_are_refused_by_name(tmp_path):
    second = ScanId("1004", "3")
    _, project = start(tmp_path, SCANS | {second: 9})
    for scan in (TEST, second):
        with pytest.raises(LeakageError, match=f"{scan.name} must not be trained on: 1004 is a frozen"):
            ask_for(project, scan, tmp_path)
    found = select(project, random_request(3))
    assert {row.scan.participant for row in found.scans} == {"1001", "1002", "1003"}


def test_a_second_visit_that_comes_after_freezing_is_refused(tmp_path):
    _, project = start(tmp_path, SCANS)
    second = ScanId("1004", "3")
    write_small_run(tmp_path, SCANS | {second: 9})
    with pytest.raises(LeakageError, match="1004 is a frozen test participant"):
        ask_for(project, second, tmp_path)


def test_the_same_raw_content_under_another_id_is_refused_by_name(tmp_path):
    twin = ScanId("1009", "2")
    _, project = start(tmp_path, SCANS | {twin: 9}, raw_keys={TEST: "a" * 64, twin: "a" * 64})
    with pytest.raises(
        LeakageError, match=r"1009.*its raw (data|images) are those of sub-1004_ses-2, a test participant"
    ):
        ask_for(project, twin, tmp_path)


def exported_again(image, change):
    turned = AFFINE.copy()
    turned[0] *= -1
    return {
        "flipped": (image[::-1], turned),
        "scaled": ((image * 3).astype(np.int16), AFFINE),
        "padded": (np.pad(image, 2), AFFINE),
        "float": ((image * np.float32(0.1)).astype(np.float32), AFFINE),
    }.get(change, (image, AFFINE))


@pytest.mark.parametrize("change", ["nothing", "flipped", "scaled", "padded", "float", "one contrast"])
def test_the_same_voxels_exported_again_under_another_id_are_refused_by_name(tmp_path, change):
    twin = ScanId("1009", "2")
    run, project = start(tmp_path, SCANS | {twin: 9})
    for contrast, original in images_of(SCANS[TEST]).items():
        image, affine = exported_again(original, change)
        if change != "one contrast" or contrast is Contrast.FAT:
            write_nifti(run.results.stitched(twin, contrast), image, affine)
    with pytest.raises(
        LeakageError, match=r"sub-1009_ses-2.*its voxels are those of sub-1004_ses-2, a test participant"
    ):
        ask_for(project, twin, tmp_path)
    found = select(project, random_request(4))
    assert twin not in {row.scan for row in found.scans} and len(found.scans) == 3
    assert found.passed_over == 1


def test_two_ids_of_one_scan_are_not_both_trained_on(tmp_path):
    twin = ScanId("1009", "2")
    _, project = start(tmp_path, SCANS | {twin: SCANS[OTHER]})
    ask_for(project, OTHER, tmp_path)
    with pytest.raises(LeakageError, match="its voxels are those of sub-1001_ses-2, which is case_0001"):
        ask_for(project, twin, tmp_path)


def test_the_test_set_takes_no_others_after_it_was_frozen(tmp_path):
    _, project = start(tmp_path, SCANS)
    entries = read_ledger(project.ledger)
    with pytest.raises(LeakageError, match="1001 is no frozen test participant"):
        check_may_join(entries, OTHER, CaseSet.TEST, [])
    check_may_join(entries, TEST, CaseSet.TEST, [])


def test_files_that_were_swapped_for_those_of_a_test_participant_are_found_before_training(tmp_path):
    run, project = set_up(tmp_path)
    row = select(project, random_request(1)).scans[0]
    water = [run.results.stitched(row.scan, Contrast.WATER)]
    entries = read_ledger(project.ledger)
    check_training_set(entries, {(row.case, row.scan): water})
    of_test = [run.results.stitched(ScanId("1008", "2"), Contrast.WATER)]
    with pytest.raises(LeakageError, match="its voxels are those of sub-1008_ses-2, a test participant"):
        check_training_set(entries, {(row.case, row.scan): of_test})
    unknown = tmp_path / "x.nii.gz"
    write_nifti(unknown, images_of(99)[Contrast.WATER], AFFINE)
    with pytest.raises(LeakageError, match=f"{row.case}: an image is not that of its scan any more"):
        check_training_set(entries, {(row.case, row.scan): [unknown]})


def test_digests_tell_images_apart_and_leave_masks_out(tmp_path):
    images = [image for seed in range(5) for image in images_of(seed).values()]
    digests = [digest for image in images for digest in voxel_digests(image)]
    assert len(set(digests)) == len(digests) == 2 * len(images)  # the lowest value is the most frequent
    assert voxel_digests(np.zeros((5, 5, 5), np.int16)) == ()
    assert voxel_digests(np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 2) == ()
    assert voxel_digests(np.array([np.nan] * 3, np.float32)) == ()
    path = tmp_path / "image.nii.gz"
    write_nifti(path, images[0], AFFINE)
    assert image_digests([path, path]) == tuple(f"voxels:{each}" for each in voxel_digests(images[0]))


@pytest.mark.parametrize(("lowest", "padding"), [(0, 0), (5, 0), (-5, 0), (-5, -1000), (-5, 777)])
def test_a_padded_image_is_recognised_by_the_values_that_stay(lowest, padding):
    image = np.random.default_rng(1).integers(lowest, 400, (12, 12, 12)).astype(np.int16)
    image[:3] = max(lowest, 0)  # background
    padded = np.pad(image, 6, constant_values=padding)
    assert set(voxel_digests(padded.astype(np.float32) * 2)) & set(voxel_digests(image))


def test_the_results_of_another_run_are_not_taken_for_those_of_the_project(tmp_path):
    _, project = start(tmp_path, SCANS)
    write_small_run(tmp_path, SCANS, raw_keys={scan: f"{seed}" * 64 for scan, seed in SCANS.items()})
    with pytest.raises(RetrainingError, match="has no scan of the test participants"):
        select(project, random_request(1))
