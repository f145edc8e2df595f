"""Label maps whose header is right and whose voxels are not: mirrored, moved, left and right swapped."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from retraining_run import AFFINE, SHAPE, labels_of, random_request, set_up

from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.misplaced import check_place, check_sides
from dixonflow.retraining.annotation.returned_map import Proposal, ReturnRefusedError, agreement
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import all_cases, proposal_of
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.select import select

KIDNEYS = {"kidney_right": 2, "kidney_left": 3, "liver": 5}


@pytest.fixture
def project(tmp_path):
    _, project = set_up(tmp_path)
    select(project, random_request(2))
    list(export_cases(project, 1))
    (tmp_path / "back").mkdir()
    return project


def proposal(project, case="case_0001"):
    return read_labels(proposal_of(project, 1, case))[0]


def take(project, labels, tmp_path, by="reader1", **more):
    write_labels(tmp_path / "back" / "case_0001.nii.gz", labels, AFFINE)
    (found,) = return_labels(project, 1, tmp_path / "back", by, **more)
    return found.reason


@pytest.mark.parametrize("axes", [each for n in (1, 2, 3) for each in itertools.combinations(range(3), n)])
def test_a_mirrored_label_map_is_refused_although_it_was_corrected(project, tmp_path, axes):
    labels = proposal(project)
    labels[1:3, 1:3, 1:3] = 5
    assert take(project, np.flip(labels, axes), tmp_path).startswith("mirrored: flipped ")
    assert take(project, labels, tmp_path) == ""


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 1, -1), (0, 3, 0)])
def test_a_label_map_that_is_moved_by_whole_voxels_is_refused(project, tmp_path, shift):
    moved = np.roll(proposal(project), shift, (0, 1, 2))
    moved[1:3, 1:3, 1:3] = 5
    back = ", ".join(f"{-step:+d}" for step in shift)
    assert f"moved by ({back}) voxels" in take(project, moved, tmp_path)
    assert take(project, moved, tmp_path, own=("case_0001",)) == ""


def test_a_rough_proposal_that_the_flipped_label_map_resembles_a_little_more_is_no_reason():
    labels, rough = labels_of(2), labels_of(3)
    assert max(agreement(np.flip(labels, axes), rough) for axes in (0, 1, (0, 1))) > agreement(labels, rough) + 0.3
    check_place(labels, Proposal("case_0001", rough, AFFINE))


def test_structures_that_grow_shrink_and_come_new_are_corrections():
    labels = labels_of(1)
    grown = labels.copy()
    grown[1:] = np.where(grown[1:] == 0, labels[:-1], grown[1:])
    for found in (grown, np.where(labels == 5, 0, labels), np.where(labels == 5, 1, labels)):
        check_place(found.astype(np.uint8), Proposal("case_0001", labels, AFFINE))


def test_left_and_right_labels_that_a_tool_swapped_are_refused():
    right = np.zeros(SHAPE, np.uint8)
    right[2:4, 2:4, 2:4], right[9:11, 2:4, 2:4], right[4:9, 4:9, 4:9] = 3, 2, 5
    check_sides(right, KIDNEYS)
    check_sides(np.where(right == 3, 0, right).astype(np.uint8), KIDNEYS)
    check_sides(right, {"kidney_left": 3})
    swapped = np.array([0, 1, 3, 2, 4, 5], np.uint8)[right]
    with pytest.raises(ReturnRefusedError, match="left and right are swapped: kidney_left on the right of its partner"):
        check_sides(swapped, KIDNEYS)


def test_an_earlier_label_map_that_is_returned_once_more_does_not_take_the_place_of_the_later_one(project, tmp_path):
    first, second = proposal(project), proposal(project)
    first[1, 1, 1] = second[1, 1, 2] = 5
    assert take(project, first, tmp_path) == take(project, second, tmp_path, "reader2") == ""
    kept = all_cases(project)[0].labels
    assert "an earlier label map, in whose place came that of reader2" in take(project, first, tmp_path)
    assert all_cases(project)[0].labels == kept
    assert take(project, first, tmp_path, own=("case_0001",)) == ""
    assert all_cases(project)[0].labels != kept


def test_a_proposal_that_a_program_saved_again_is_no_correction(project):
    path = project.export(1) / "case_0001" / "proposal.nii.gz"
    nib.save(nib.Nifti1Image(proposal(project).astype(np.float32), AFFINE), path)
    assert list(return_labels(project, 1, project.export(1), "reader1")) == []
    assert all(case.labels is None for case in all_cases(project))


def test_a_proposal_that_was_changed_where_nobody_edits_is_not_compared_with(project, tmp_path):
    other = proposal(project, "case_0002")
    write_labels(proposal_of(project, 1, "case_0001"), other, AFFINE)
    with pytest.raises(RetrainingError, match="is not what was exported any more"):
        take(project, other, tmp_path)
