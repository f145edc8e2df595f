"""Files that changed between two steps: in the results, in the export folder, in the data set."""

import numpy as np
import pytest
from retraining_run import AFFINE, LABELS, images_of, random_request, set_up

from dixonflow.imaging.nifti import read_labels, read_nifti, write_labels, write_nifti
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import all_cases, proposal_of
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.nnunet_raw import write_dataset
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.select import read_selected, select, write_selected
from dixonflow.vocabulary import Contrast, ScanId


@pytest.fixture
def run_and_project(tmp_path):
    run, project = set_up(tmp_path)
    select(project, random_request(4))
    return run, project


def export_and_return(project, folder):
    folder.mkdir(exist_ok=True)
    exported = list(export_cases(project, 1))
    for case in all_cases(project):
        labels, affine = read_labels(proposal_of(project, 1, case.name))
        labels[2, 2, 2] = LABELS["liver"]
        write_labels(folder / f"{case.name}.nii.gz", labels, affine)
    assert all(each.is_accepted for each in return_labels(project, 1, folder, "reader1"))
    return exported


def scan_of(project, case="case_0001"):
    return next(row.scan for row in read_selected(project, 1) if row.case == case)


def stitch_again(run, scan, seed=50):
    for contrast, image in images_of(seed).items():
        write_nifti(run.results.stitched(scan, contrast), image, AFFINE)


def test_images_that_the_run_stitched_again_before_the_export_are_taken_with_their_new_digests(
    run_and_project, tmp_path
):
    run, project = run_and_project
    stitch_again(run, scan_of(project))
    export_and_return(project, tmp_path / "back")
    assert write_dataset(project, 1).training == 8
    assert not select(project, random_request(4)).passed_over
    assert write_dataset(project, 1).training == 8


def test_images_of_a_test_participant_in_the_place_of_a_selected_scan_do_not_leave(run_and_project):
    run, project = run_and_project
    stitch_again(run, scan_of(project), run.scans[ScanId("1008", "2")])
    with pytest.raises(LeakageError, match="its voxels are those of sub-1008_ses-2, a test participant"):
        list(export_cases(project, 1))
    assert not list(project.export(1).glob("case_0001/*"))


def test_a_row_of_the_selection_that_names_another_scan_is_not_exported(run_and_project):
    _, project = run_and_project
    rows = read_selected(project, 1)
    for scan, problem in ((ScanId("1008", "2"), "frozen test participant"), (rows[1].scan, "which is case_0001")):
        write_selected(project, 1, [type(rows[0])(**(vars(rows[0]) | {"scan": scan})), *rows[1:]])
        with pytest.raises(RetrainingError, match=problem):
            list(export_cases(project, 1))


def test_a_case_whose_images_were_stitched_again_is_open_until_it_is_returned_again(run_and_project, tmp_path):
    run, project = run_and_project
    export_and_return(project, tmp_path / "back")
    stitch_again(run, scan_of(project))
    assert write_dataset(project, 1).training == 8  # it is what was exported
    folder = project.export(1) / "case_0001"
    for path in (folder / "case.json", folder / "water.nii.gz"):
        path.unlink()
    assert list(export_cases(project, 1)) == ["case_0001"]
    assert [case.name for case in all_cases(project) if case.labels is None] == ["case_0001"]
    export_and_return(project, tmp_path / "back")
    assert all(case.labels for case in all_cases(project))
    assert write_dataset(project, 1).training == 8


def test_an_edited_proposal_is_not_lost_to_a_repeated_export(run_and_project):
    _, project = run_and_project
    list(export_cases(project, 1))
    folder = project.export(1) / "case_0001"
    labels, affine = read_labels(folder / "proposal.nii.gz")
    labels[1, 1, 1] = LABELS["liver"]
    write_labels(folder / "proposal.nii.gz", labels, affine)
    (folder / "case.json").write_text("{")
    with pytest.raises(RetrainingError, match=r"case\.json is damaged"):
        list(export_cases(project, 1))
    (folder / "case.json").unlink()
    with pytest.raises(RetrainingError, match="was edited"):
        list(export_cases(project, 1))
    assert np.array_equal(read_labels(folder / "proposal.nii.gz")[0], labels)


@pytest.mark.parametrize("change", ["flipped", "contrasts swapped"])
def test_an_exported_image_that_has_the_same_voxels_elsewhere_is_not_trained_on(run_and_project, tmp_path, change):
    _, project = run_and_project
    export_and_return(project, tmp_path / "back")
    folder = project.export(1) / "case_0002"
    water, fat = (read_nifti(folder / f"{name}.nii.gz").data for name in ("water", "fat"))
    write_nifti(folder / "water.nii.gz", water[::-1] if change == "flipped" else fat, AFFINE)
    write_nifti(folder / "fat.nii.gz", fat if change == "flipped" else water, AFFINE)
    with pytest.raises(RetrainingError, match="case_0002: an image in its export folder is not as it was exported"):
        write_dataset(project, 1)


def test_a_file_of_the_data_set_that_was_changed_is_written_again(run_and_project, tmp_path):
    run, project = run_and_project
    export_and_return(project, tmp_path / "back")
    folder = write_dataset(project, 1).folder
    image, labels = folder / "imagesTr/case_0001_water_0000.nii.gz", folder / "labelsTr/case_0001_water.nii.gz"
    before = image.read_bytes(), labels.read_bytes()
    image.write_bytes(run.results.stitched(ScanId("1008", "2"), Contrast.WATER).read_bytes())
    labels.write_bytes(before[1][:-5])
    write_dataset(project, 1)
    assert (image.read_bytes(), labels.read_bytes()) == before
    (folder / "cases.json").write_text((folder / "cases.json").read_text().replace('"changed"', '"altered"'))
    write_dataset(project, 1)


def test_an_accepted_label_map_that_holds_an_unknown_label_since_is_refused(run_and_project, tmp_path):
    _, project = run_and_project
    export_and_return(project, tmp_path / "back")
    path = all_cases(project)[0].labels
    labels, affine = read_labels(path)
    labels[1, 1, 1] = 99
    write_labels(path, labels, affine)
    with pytest.raises(RetrainingError, match=r"case_0001: .* holds unknown labels"):
        write_dataset(project, 1)
