import numpy as np
import pytest
from small_models import rule, small_model

from dixonflow.postprocess.label_map import Removal, postprocess

MODEL = small_model(
    {
        8: rule("adrenal_gland_right", "vessel", single_piece=False, drop_mm3=30.0),
        17: rule("thyroid_gland", "organ", single_piece=False, min_components=2, max_components=2, drop_mm3=20.0),
        70: rule("vertebra_posterior_elements", "bone", max_components=2),
    }
)
VOXEL = (2.0, 2.0, 2.5)  # 10 mm3
PUBLISHED = MODEL.model_copy(update={"keep_largest": False})


def row(text: str) -> np.ndarray:
    names = {".": 0, "a": 8, "t": 17, "v": 70}
    return np.array([names[letter] for letter in text], np.uint8)[:, None, None]


def test_surplus_components_are_removed_and_reported():
    merged = row("aaaa.a.aa..tt.t")
    result = postprocess(merged, MODEL, VOXEL)
    assert np.array_equal(result.labels, row("aaaa.......tt.t"))
    assert result.removed == (Removal("adrenal_gland_right", found=3, components=2, volume_ml=pytest.approx(0.03)),)
    assert np.array_equal(merged, row("aaaa.a.aa..tt.t")), "the input is not changed"


def test_a_structure_never_loses_its_largest_component():
    assert np.array_equal(postprocess(row("aa.a"), MODEL, VOXEL).labels, row("aa.."))
    assert np.array_equal(postprocess(row("t..."), MODEL, VOXEL).labels, row("t..."))
    assert postprocess(row("t..."), MODEL, VOXEL).removed == ()


def test_the_published_rule_can_delete_a_structure():
    assert not postprocess(row("aa.a"), PUBLISHED, VOXEL).labels.any()
    result = postprocess(row("t..."), PUBLISHED, VOXEL)
    assert not result.labels.any()
    assert result.removed == (Removal("thyroid_gland", found=1, components=1, volume_ml=pytest.approx(0.01)),)


def test_a_structure_without_a_threshold_loses_nothing():
    assert np.array_equal(postprocess(row("v.v.v"), PUBLISHED, VOXEL).labels, row("v.v.v"))


def test_processing_again_changes_nothing():
    once = postprocess(row("aaaa.a.aa..tt.t..v.v.v"), MODEL, VOXEL)
    again = postprocess(once.labels, MODEL, VOXEL)
    assert np.array_equal(once.labels, again.labels)
    assert again.removed == ()


def test_sides_are_put_right_before_components_are_counted_and_reported():
    model = small_model(
        {
            2: rule("kidney_right", "organ", drop_mm3=1e6),
            3: rule("kidney_left", "organ", drop_mm3=1e6),
            69: rule("vertebra_body", "bone", max_components=25),
        }
    )
    right = np.zeros((51, 9, 40), np.uint8)
    right[23:28, 2:5] = 69
    right[38:42, 4:7, 10:30], right[9:13, 4:7, 10:30] = 2, 3
    mixed = right.copy()
    mixed[38:42, 4:7, 20:30] = 3  # half of the right kidney has the name of the left one
    result = postprocess(mixed, model, VOXEL)
    assert np.array_equal(result.labels, right)
    assert result.removed == ()
    (change,) = result.sides.changes
    assert (change.structure, change.partner, change.whole) == ("kidney_left", "kidney_right", True)
    assert change.volume_ml == result.sides.wrong_side_ml == pytest.approx(120 * 0.01)
    left_alone = postprocess(mixed, model, VOXEL, repair_sides=False)
    assert left_alone.sides == result.sides
    assert (left_alone.labels[38:42, 4:7, 20:30] == 0).all(), "a surplus component as any other"
    without_spine = postprocess(np.where(mixed == 69, 0, mixed).astype(np.uint8), model, VOXEL)
    assert without_spine.sides.wrong_side_ml is None
    mirrored_model = small_model({**model.labels, 5: rule("liver", "organ"), 1: rule("spleen", "organ")})
    mirrored = right.copy()
    mirrored[6:10, 1:3, 10:30], mirrored[40:44, 1:3, 10:30] = 5, 1
    sides = postprocess(mirrored, mirrored_model, VOXEL).sides
    assert sides.mirrored
    assert sides.wrong_side_ml is None, "nothing is known to be right"
