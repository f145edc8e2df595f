"""Options that papers use, on label maps for which the result is known."""

import nibabel as nib
import numpy as np
import pytest
from reference_masks import SHAPE, affine_of, label_map, write

from dixonflow.evaluation.masks.label_files import LabelFiles
from dixonflow.evaluation.masks.mapping_files import named_mapping
from dixonflow.evaluation.masks.one_case import CaseTask, evaluate_case
from dixonflow.evaluation.masks.preparation import Options
from dixonflow.evaluation.masks.problem import CaseProblem

VIBE = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5, "pancreas": 7}


def compared(tmp_path, predicted, reference, mapping="vibesegmentator100", affine=None, **options):
    """Rows of a case by structure."""
    files = [
        LabelFiles(named_mapping(mapping), write(tmp_path / f"{name}.nii.gz", data, affine))
        for name, data in (("p", predicted), ("r", reference))
    ]
    result = evaluate_case(CaseTask(0, files[1], {"s": files[0]}, Options(**options)))
    return result.rows.set_index("structure")


def test_without_options_the_whole_maps_are_compared(tmp_path):
    moved = label_map(VIBE, (1, 0, 0))
    rows = compared(tmp_path, moved, label_map(VIBE))
    assert rows.loc["liver", "dice"] == pytest.approx(7 / 8)  # 8 columns of equal size, moved by one
    assert rows.loc["liver", "under_fraction"] == pytest.approx(1 / 8)
    assert rows.loc["liver", "hd95_mm"] == pytest.approx(2.0)
    assert rows.loc["liver", "nsd"] == pytest.approx(1.0)
    assert rows.loc["liver", "volume_error_ml"] == 0
    assert rows.loc["liver", "reference_ml"] == pytest.approx(8 * 10 * 6 * 12 / 1000)
    assert rows.loc["kidneys", "composite"]


def test_the_tolerance_is_in_mm_and_surfaces_can_be_left_out(tmp_path):
    moved = label_map(VIBE, (1, 0, 0))
    strict = compared(tmp_path, moved, label_map(VIBE), tolerance_mm=1.0)
    assert strict.loc["liver", "nsd"] < 0.9
    rough = compared(tmp_path, moved, label_map(VIBE), surfaces=False)
    assert rough["nsd"].isna().all()
    assert rough.loc["liver", "dice"] == strict.loc["liver", "dice"]


def test_erosion_takes_one_voxel_off_both_maps_and_off_unions_as_one(tmp_path):
    rows = compared(tmp_path, label_map(VIBE, (1, 0, 0)), label_map(VIBE), erode=True)
    assert rows.loc["liver", "reference_ml"] == pytest.approx(6 * 8 * 4 * 12 / 1000)
    assert rows.loc["liver", "dice"] == pytest.approx(5 / 6)
    halves = np.zeros(SHAPE, np.uint8)
    halves[4:12, 4:12, 4:12], halves[12:20, 4:12, 4:12] = 10, 11  # lobes that touch
    rows = compared(tmp_path, halves, halves, erode=True)
    assert rows.loc["lung_upper_lobe_left", "reference_ml"] == pytest.approx(6**3 * 12 / 1000)
    assert rows.loc["lung_left", "reference_ml"] == pytest.approx(14 * 6 * 6 * 12 / 1000)


def test_the_border_of_the_image_is_not_eroded(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :, :4] = 5
    rows = compared(tmp_path, labels, labels, erode=True)
    assert rows.loc["liver", "reference_ml"] == pytest.approx(SHAPE[0] * SHAPE[1] * 3 * 12 / 1000)


def test_what_erosion_leaves_nothing_of_is_not_judged(tmp_path):
    thin = np.zeros(SHAPE, np.uint8)
    thin[4:12, 4:12, 5:7] = 5
    rows = compared(tmp_path, thin, thin, erode=True)
    assert rows.loc["liver", "presence"] == "neither"
    assert np.isnan(rows.loc["liver", "dice"])


def test_a_crop_leaves_out_what_is_further_than_its_margin_from_the_reference(tmp_path):
    reference = np.zeros((80, 20, 20), np.uint8)
    reference[10:20, 5:15, 5:15] = 5
    predicted = reference.copy()
    predicted[44, 5, 5] = 5  # 25 voxels of 2 mm beyond the last one: just inside 50 mm
    predicted[45, 5, 5] = 5  # just outside
    everywhere = compared(tmp_path, predicted, reference).loc["liver"]
    assert everywhere["over_fraction"] == pytest.approx(2 / 1000)
    cropped = compared(tmp_path, predicted, reference, crop_mm=50.0).loc["liver"]
    assert cropped["over_fraction"] == pytest.approx(1 / 1000)
    assert cropped["components_predicted"] == 2
    assert compared(tmp_path, predicted, reference, crop_mm=0.0).loc["liver", "dice"] == 1


def test_lobes_are_joined_and_other_structures_as_before(tmp_path):
    reference = label_map(VIBE)
    reference[2:6, 10, 1:3], reference[2:6, 10, 3:5] = 10, 11
    predicted = label_map(VIBE)
    predicted[2:6, 10, 1:4], predicted[2:6, 10, 4:5] = 10, 11  # the border between the lobes is elsewhere
    apart = compared(tmp_path, predicted, reference)
    assert apart.loc["lung_upper_lobe_left", "dice"] == pytest.approx(2 * 2 / 5)
    assert apart.loc["lung_left", "composite"]
    joined = compared(tmp_path, predicted, reference, join_lobes=True)
    assert "lung_upper_lobe_left" not in joined.index
    assert joined.loc["lung_left", "dice"] == 1
    assert not joined.loc["lung_left", "composite"]
    assert joined.loc["liver", "dice"] == apart.loc["liver", "dice"]


def test_classes_leave_only_their_structures(tmp_path):
    rows = compared(tmp_path, label_map(VIBE), label_map(VIBE), classes=frozenset({"liver", "spleen"}))
    assert list(rows.index) == ["spleen", "liver"]


def body():
    """A trunk of fat around muscle, with hip bones, two arms next to it and two legs below; 6 x 6 x 6 mm."""
    labels = np.zeros((90, 40, 60), np.uint8)
    labels[25:65, 5:35, 20:60] = 65
    labels[28:62, 8:32, 20:60] = 66
    for x in (8, 72):
        labels[x : x + 10, 15:25, 20:55] = 65
        labels[x + 2 : x + 8, 17:23, 20:55] = 66
    for x in (27, 47):
        labels[x : x + 16, 12:28, 0:20] = 65
        labels[x + 3 : x + 13, 15:25, 0:20] = 66
    labels[32:36, 18:22, 20:28], labels[54:58, 18:22, 20:28] = 50, 51
    return labels


def test_arms_and_legs_are_left_out(tmp_path):
    reference, affine = body(), affine_of((6.0, 6.0, 6.0))
    predicted = reference.copy()
    predicted[:20][predicted[:20] == 66] = 65  # an arm and both legs all fat
    predicted[:, :, :20][predicted[:, :, :20] == 66] = 65
    everywhere = compared(tmp_path, predicted, reference, affine=affine, surfaces=False)
    assert everywhere.loc["muscle", "under_fraction"] > 0.1
    trunk = compared(tmp_path, predicted, reference, affine=affine, surfaces=False, without_arms_and_legs=True)
    assert trunk.loc["muscle", "dice"] == 1
    assert trunk.loc["subcutaneous_fat", "dice"] == 1
    voxels = int((reference[25:65, :, 20:] == 65).sum())
    assert trunk.loc["subcutaneous_fat", "reference_ml"] == pytest.approx(voxels * 0.216)


def test_a_reference_of_organs_takes_the_trunk_of_the_prediction(tmp_path):
    predicted, affine = body(), affine_of((6.0, 6.0, 6.0))
    predicted[40:50, 15:25, 30:40] = 5
    predicted[10:12, 18:20, 30:32] = 5  # liver in an arm
    reference = np.where(predicted == 5, 6, 0).astype(np.uint8)
    reference[10:12] = 0
    files = LabelFiles(named_mapping("amos13"), write(tmp_path / "r.nii.gz", reference, affine))
    prediction = LabelFiles(named_mapping("vibesegmentator100"), write(tmp_path / "p.nii.gz", predicted, affine))
    whole = evaluate_case(CaseTask(0, files, {"s": prediction}, Options(surfaces=False))).rows.set_index("structure")
    assert whole.loc["liver", "components_predicted"] == 2
    options = Options(surfaces=False, without_arms_and_legs=True)
    trunk = evaluate_case(CaseTask(0, files, {"s": prediction}, options)).rows.set_index("structure")
    assert trunk.loc["liver", "dice"] == 1
    assert trunk.loc["liver", "components_predicted"] == 1


def test_arms_and_legs_need_a_map_of_the_body(tmp_path):
    with pytest.raises(CaseProblem, match="hip bones and subcutaneous fat"):
        compared(tmp_path, label_map({"liver": 6}), label_map({"liver": 6}), "amos13", without_arms_and_legs=True)
    without_hips = np.where(np.isin(body(), [50, 51]), 66, body()).astype(np.uint8)
    with pytest.raises(CaseProblem, match="no hip bones"):
        compared(tmp_path, without_hips, without_hips, without_arms_and_legs=True)


def test_real_label_maps_agree_with_themselves(tmp_path, shared_data):
    path = shared_data / "totalsegmentator/example_seg_mr.nii.gz"
    files = LabelFiles(named_mapping("totalsegmentatormr"), path)
    rows = evaluate_case(CaseTask(0, files, {"s": files}, Options())).rows.set_index("structure")
    present = rows[rows["presence"].eq("both")]
    assert len(present) >= 20
    assert (present["dice"] == 1).all()
    assert (present["hd95_mm"] == 0).all()
    image = nib.load(path)
    spleen = np.asarray(image.dataobj) == 1
    voxel_ml = float(np.prod(image.header.get_zooms()[:3])) / 1000
    assert rows.loc["spleen", "reference_ml"] == pytest.approx(spleen.sum() * voxel_ml)
