"""Comparison of two label maps: the rule for structures that one map lacks, and inputs that are wrong."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from dixonflow.evaluation.metrics.compare import compare
from dixonflow.evaluation.metrics.pieces import component_counts
from dixonflow.evaluation.regions import Region

SPACING = (2.0, 2.0, 3.0)
VOXEL_ML = 0.012
METRICS = ["dice", "nsd", "hd95_mm", "under_fraction", "over_fraction", "volume_error_ml", "volume_error_percent"]
REGIONS = [Region(name, (label,)) for label, name in enumerate(("both", "missed", "invented", "neither"), start=1)]


def pair():
    """A reference and a prediction with a structure of each presence."""
    reference = np.zeros((20, 12, 10), np.uint8)
    predicted = reference.copy()
    reference[2:8, 2:8, 2:8] = 1
    predicted[2:8, 2:8, 2:5] = 1  # half of it
    predicted[8:10, 2:8, 2:8] = 1  # and a third outside
    reference[12:14, 2:4, 2:4] = 2
    predicted[16:18, 6:9, 6:9] = 3
    return predicted, reference


def test_presence_of_each_kind_has_its_values():
    rows = compare(*pair(), SPACING, REGIONS)
    assert rows["structure"].tolist() == ["both", "missed", "invented", "neither"]
    assert rows["presence"].tolist() == ["both", "missed", "invented", "neither"]
    rows = rows.set_index("structure")
    both = rows.loc["both"]
    assert both["dice"] == pytest.approx(2 * 108 / (216 + 180))
    assert both["under_fraction"] == pytest.approx(1 / 2)
    assert both["over_fraction"] == pytest.approx(1 / 3)
    assert both["volume_error_ml"] == pytest.approx(-36 * VOXEL_ML)
    assert both["volume_error_percent"] == pytest.approx(-100 / 6)
    assert 0 < both["nsd"] < 1
    assert both["hd95_mm"] > 0
    expected = pd.DataFrame(
        [
            [0, 0, np.nan, 1, 0, -8 * VOXEL_ML, -100],
            [0, 0, np.nan, np.nan, np.nan, 18 * VOXEL_ML, np.nan],
            [np.nan] * 7,
        ],
        index=pd.Index(["missed", "invented", "neither"], name="structure"),
        columns=METRICS,
    )
    pd.testing.assert_frame_equal(rows.loc["missed":, METRICS], expected)
    counts = rows[["components_reference", "components_predicted"]]
    assert counts.values.tolist() == [[1, 1], [1, 0], [0, 1], [0, 0]]
    np.testing.assert_allclose(rows["reference_ml"], np.array([216, 8, 0, 0]) * VOXEL_ML)
    np.testing.assert_allclose(rows["predicted_ml"], np.array([180, 0, 18, 0]) * VOXEL_ML)


def test_distance_to_a_surface_that_is_not_there_is_no_number():
    predicted, reference = pair()
    for one, other in ((predicted * 0, reference), (predicted, reference * 0), (predicted * 0, reference * 0)):
        rows = compare(one, other, SPACING, REGIONS)
        assert rows["hd95_mm"].isna().all()
        assert not np.isinf(rows.select_dtypes("number")).any(axis=None)


def test_equal_maps_agree_fully():
    _, reference = pair()
    rows = compare(reference, reference, SPACING, REGIONS[:2])
    assert (rows[["dice", "nsd"]] == 1).all(axis=None)
    zero = ["hd95_mm", "under_fraction", "over_fraction", "volume_error_ml", "volume_error_percent"]
    assert (rows[zero] == 0).all(axis=None)


def test_composite_is_the_union_of_its_structures():
    predicted, reference = pair()
    reference[8:10, 2:8, 2:8] = 4  # touches structure 1
    predicted[0, 0, 0] = 4
    composite = Region("union", (1, 4, 4), composite=True)
    row = compare(predicted, reference, SPACING, [composite]).iloc[0]
    joined = [np.isin(each, (1, 4)).astype(np.uint8) for each in (predicted, reference)]
    alone = compare(*joined, SPACING, [Region("union", (1,), composite=True)]).iloc[0]
    pd.testing.assert_series_equal(row, alone)
    assert (row["components_reference"], row["components_predicted"]) == (1, 2)


def test_components_touch_over_corners():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[1, 1, 1] = labels[2, 2, 2] = labels[4, 4, 4] = 1
    assert compare(labels, labels, SPACING, REGIONS[:1])["components_reference"].tolist() == [2]


@given(st.integers(0, 2**32 - 1))
def test_prediction_and_reference_in_each_others_place(seed):
    maps = np.random.default_rng(seed).integers(0, 3, (2, 4, 3, 5)).astype(np.uint8)
    forward, back = compare(maps[0], maps[1], SPACING, REGIONS), compare(maps[1], maps[0], SPACING, REGIONS)
    pd.testing.assert_frame_equal(forward[["dice", "nsd", "hd95_mm"]], back[["dice", "nsd", "hd95_mm"]])
    np.testing.assert_allclose(forward["volume_error_ml"], -back["volume_error_ml"])
    np.testing.assert_allclose(
        forward["under_fraction"] * forward["reference_ml"], back["over_fraction"] * back["reference_ml"]
    )


def test_without_surfaces_nothing_else_changes():
    fast, full = (compare(*pair(), SPACING, REGIONS, surfaces=each) for each in (False, True))
    assert fast[["nsd", "hd95_mm"]].isna().all(axis=None)
    others = [column for column in full if column not in ("nsd", "hd95_mm")]
    pd.testing.assert_frame_equal(fast[others], full[others])


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int64, np.uint64])
def test_type_and_memory_order_do_not_matter(kind):
    predicted, reference = pair()
    expected = compare(predicted, reference, SPACING, REGIONS)
    every_other = np.zeros((40, 12, 20), kind)[::2, :, ::2]
    every_other[:] = predicted
    pd.testing.assert_frame_equal(compare(every_other, reference, SPACING, REGIONS), expected)
    fortran = [np.asfortranarray(each.astype(kind)) for each in (predicted, reference)]
    pd.testing.assert_frame_equal(compare(*fortran, SPACING, REGIONS), expected)
    turned = compare(fortran[0], reference[::-1], SPACING, REGIONS)
    pd.testing.assert_frame_equal(turned, compare(predicted, reference[::-1], SPACING, REGIONS))


@pytest.mark.parametrize("factor", [70, 300, 50_000])
def test_large_labels_cost_nothing(factor):
    predicted, reference = (each.astype(np.int64) * factor for each in pair())
    regions = [Region(each.name, (each.labels[0] * factor,)) for each in REGIONS]
    pd.testing.assert_frame_equal(compare(predicted, reference, SPACING, regions), compare(*pair(), SPACING, REGIONS))


def test_labels_of_no_region_are_background():
    predicted, reference = (each.astype(np.uint64) for each in pair())
    expected = compare(predicted, reference, SPACING, REGIONS)
    predicted[15, 10, 9], reference[0, 0, 0] = 2**40, 77
    pd.testing.assert_frame_equal(compare(predicted, reference, SPACING, REGIONS), expected)


ZEROS = np.zeros((2, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("predicted", "reference", "spacing", "message"),
    [
        (ZEROS, np.zeros((2, 2, 3), np.uint8), SPACING, "not on one grid"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), SPACING, "not on one grid"),
        (np.zeros((0, 2, 2), np.uint8), np.zeros((0, 2, 2), np.uint8), SPACING, "not on one grid"),
        (ZEROS.astype(float), ZEROS, SPACING, "must be integers"),
        (ZEROS, ZEROS.astype(bool), SPACING, "must be integers"),
        (ZEROS, ZEROS.astype(int) - 1, SPACING, "negative"),
        (ZEROS, ZEROS, (1.0, 0.0, 1.0), "spacing"),
        (ZEROS, ZEROS, (1.0, np.nan, 1.0), "spacing"),
        (ZEROS, ZEROS, (1.0, np.inf, 1.0), "spacing"),
        (ZEROS, ZEROS, (1.0, 1.0), "spacing"),
    ],
)
def test_wrong_maps_are_refused(predicted, reference, spacing, message):
    with pytest.raises(ValueError, match=message):
        compare(predicted, reference, spacing, REGIONS)


@pytest.mark.parametrize("tolerance_mm", [0.0, -1.0, np.nan, np.inf])
def test_wrong_tolerance_is_refused(tolerance_mm):
    with pytest.raises(ValueError, match="tolerance"):
        compare(ZEROS, ZEROS, SPACING, REGIONS, tolerance_mm=tolerance_mm)


@pytest.mark.parametrize("regions", [[], [REGIONS[0], REGIONS[0]]], ids=["none", "twice"])
def test_wrong_regions_are_refused(regions):
    with pytest.raises(ValueError, match="regions"):
        compare(ZEROS, ZEROS, SPACING, regions)


@pytest.mark.parametrize("labels", [(), (0,), (1, -1)])
def test_region_of_background_is_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        Region("a", labels)


def test_pieces_of_scattered_voxels_in_small_unions_are_counted():
    """connected-components-3d reserves too little memory for some of them where they are masks of bool."""
    region = [Region("union", (1, 2), composite=True)]
    for seed in range(4000):
        rng = np.random.default_rng(seed)
        labels = rng.choice(3, rng.integers(1, 9, 3), p=[0.9, 0.05, 0.05]).astype(np.uint8)
        (found,) = component_counts(labels, region)
        assert found == label(labels > 0, np.ones((3, 3, 3)))[1]


def test_noise_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr("dixonflow.evaluation.metrics.surface_elements.MOST_CORNERS", 1000)
    noise = np.random.default_rng(0).integers(0, 5, (16, 16, 16)).astype(np.uint8)
    with pytest.raises(ValueError, match="surfaces"):
        compare(noise, noise, SPACING, REGIONS)
    assert (compare(noise, noise, SPACING, REGIONS, surfaces=False)["dice"] == 1).all()
