"""Pictures of cases: the slice where maps differ most, outlines where they are, names without ids. Box plots."""

import io
import itertools

import nibabel
import numpy as np
import pandas as pd
import pytest
from evaluated_cases import evaluated
from PIL import Image

from dixonflow.evaluation.outputs.box_plots import box_plot, write_box_plots
from dixonflow.evaluation.outputs.case_pictures import (
    PREDICTION_COLOUR,
    REFERENCE_COLOUR,
    case_numbers,
    case_picture,
    choose_cases,
    outline,
)
from dixonflow.evaluation.statistics.case_rows import StatisticsError

SPACING = (2.0, 2.0, 5.0)


def maps():
    """A label 3 that the prediction shifts to the patient's right (high x) in slice 12 alone."""
    reference = np.zeros((60, 50, 30), np.uint8)
    reference[20:35, 15:30, 8:16] = 3
    predicted = reference.copy()
    predicted[:, :, 12] = np.roll(reference[:, :, 12], 10, axis=0)
    return reference, predicted


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def where(picture, colour):
    return np.nonzero(np.abs(picture - np.array(colour)).max(axis=2) < 12)


def test_the_axial_view_is_where_the_maps_differ_most():
    reference, predicted = maps()
    picture = decoded(case_picture(np.full(reference.shape, 50, np.int16), reference, predicted, SPACING, [3]))
    axial = picture[28:, -(picture.shape[1] // 4) :]  # below the legend
    blue, orange = (where(axial, colour) for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR))
    # radiological convention: the prediction lies to the left of the reference, by 20 of the shown 100 mm
    shift = blue[1].min() - orange[1].min()
    scale = np.ptp(orange[1]) / 30  # a box of 30 mm
    assert shift == pytest.approx(20 * scale, rel=0.1)
    assert blue[0].min() == pytest.approx(orange[0].min(), abs=2)
    plain = picture[28:, : picture.shape[1] // 4]
    assert not len(where(plain, REFERENCE_COLOUR)[0])
    assert not len(where(plain, PREDICTION_COLOUR)[0])


def test_equal_maps_one_map_alone_and_no_image_have_a_picture():
    reference, predicted = maps()
    nothing = np.zeros_like(reference)
    image = np.full(reference.shape, np.nan, np.float32)
    for pair in ((reference, reference), (reference, nothing), (nothing, predicted)):
        assert case_picture(image, *pair, SPACING, [3]) is not None
    without = decoded(case_picture(None, reference, nothing, SPACING, [3]))
    assert len(where(without[24:], REFERENCE_COLOUR)[0])
    assert not len(where(without[24:], PREDICTION_COLOUR)[0])
    assert case_picture(image, nothing, nothing, SPACING, [3]) is None
    assert case_picture(image, reference, predicted, SPACING, [4]) is None


def test_a_structure_at_the_border_and_flat_grids_have_a_picture():
    for shape in ((1, 40, 40), (40, 1, 40), (40, 40, 1), (1, 1, 1)):
        full = np.ones(shape, np.uint16)
        assert case_picture(full, full, np.zeros_like(full), SPACING, [1]) is not None


def test_an_outline_is_the_rim_of_the_mask():
    mask = np.zeros((10, 8), bool)
    mask[2:7, 1:6] = True
    expected = mask.copy()
    expected[3:6, 2:5] = False
    np.testing.assert_array_equal(outline(mask, (0, 0, 10, 8)), expected.T)
    assert outline(np.ones((4, 4), bool), (0, 0, 4, 4)).sum() == 12  # also along the border of the image


def test_a_real_image_has_a_picture_of_its_liver(shared_data):
    folder = shared_data / "totalsegmentator"
    image, labels = (
        np.asarray(nibabel.as_closest_canonical(nibabel.load(folder / name)).dataobj)
        for name in ("example_mr_sm.nii.gz", "example_seg_mr.nii.gz")
    )
    predicted = np.roll(labels, 3, axis=0)
    picture = decoded(case_picture(image, labels.astype(np.uint8), predicted.astype(np.uint8), (3, 3, 3), [5]))
    assert all(len(where(picture[24:], colour)[0]) > 100 for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR))
    assert 30 < picture[24:].mean() < 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": np.zeros((60, 50, 31), np.uint8)}, "not on one grid"),
        ({"image": np.zeros((60, 50))}, "not on one grid"),
        ({"spacing_mm": (2, 2, np.nan)}, "three positive"),
        ({"spacing_mm": (2, 2)}, "three positive"),
        ({"image": np.ones((60, 50, 30), complex)}, "complex"),
    ],
)
def test_wrong_arrays_are_refused(change, message):
    reference, predicted = maps()
    right = {"image": None, "reference": reference, "predicted": predicted, "spacing_mm": SPACING, "labels": [3]}
    with pytest.raises(ValueError, match=message):
        case_picture(**(right | change))


def test_worst_and_best_cases_are_chosen_once():
    rows = evaluated([0.9, 0, 0.7, 0.95, np.nan, 0.8], presence=["both", "missed", *["both"] * 2, "neither", "both"])
    chosen = [(each.kind, each.place, each.case) for each in choose_cases(rows, "ours", "liver", number=2)]
    assert chosen == [
        *[("worst", 1, "case00001"), ("worst", 2, "case00002"), ("best", 1, "case00003"), ("best", 2, "case00000")]
    ]
    by_distance = choose_cases(rows, "ours", "liver", "hd95_mm", number=9)
    assert [(each.kind, each.case) for each in by_distance] == [
        ("worst", f"case0000{number}") for number in (2, 5, 0, 3)
    ]
    error = rows.assign(volume_error_ml=[1.0, -90, 5, 0, 0, 40])
    assert [each.case for each in choose_cases(error, "ours", "liver", "volume_error_ml", 1)] == [
        *["case00001", "case00003"]
    ]


def test_names_of_pictures_have_numbers_and_no_ids():
    cases = ["sub-1000123_ses-2", "sub-1000045_ses-2"]
    rows = evaluated([0.9, 0.8], cases=cases, structure="../liver", system="a/b", participants=["1000123", "1000045"])
    names = [each.file_name for each in choose_cases(rows, "a/b", "../liver", number=1)]
    assert names == ["a_b____liver_worst_1_case_00001.png", "a_b____liver_best_1_case_00002.png"]
    assert case_numbers(rows) == {cases[1]: 1, cases[0]: 2}


def test_cases_that_are_not_there_are_refused():
    for arguments in (("theirs", "liver"), ("ours", "spleen"), ("ours", "liver", "jaccard")):
        with pytest.raises(StatisticsError, match=r"no rows|metric must"):
            choose_cases(evaluated([0.9]), *arguments)


def two_systems(structures=70, cases=12):
    rng = np.random.default_rng(0)
    return pd.concat(
        evaluated(rng.beta(18, 2, cases), system=system, structure=f"structure_{number}", composite=number > 66)
        for system in ("ours", "_theirs $x$")
        for number in range(structures)
    )


def test_box_plots_of_70_structures_are_readable():
    figure = box_plot(two_systems(), "dice")
    figure.draw_without_rendering()
    labels = [label for axes in figure.axes for label in axes.get_yticklabels()]
    assert len(labels) == 70
    for axes in figure.axes:  # labels of neighbours do not overlap, nor do the boxes
        boxes = sorted((label.get_window_extent() for label in axes.get_yticklabels()), key=lambda box: box.y0)
        assert all(one.y1 <= other.y0 for one, other in itertools.pairwise(boxes))
        assert len(axes.patches) == 70
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", r"theirs \$x\$"]


def test_a_box_shows_the_quartiles():
    figure = box_plot(evaluated(np.linspace(0.6, 1.0, 41)), "dice")
    box = figure.axes[0].patches[0].get_path().get_extents()
    assert (box.x0, box.x1) == pytest.approx((0.7, 0.9))


def test_figures_are_the_same_every_time_and_metrics_without_values_have_none(tmp_path):
    rows = two_systems(3).assign(hd95_mm=None)
    written = [write_box_plots(rows, tmp_path / name) for name in ("one", "two")]
    names = [f"box_plot_{metric}.{ending}" for metric in ("dice", "nsd") for ending in ("svg", "png")]
    assert [path.name for path in written[0]] == names
    assert [path.read_bytes() for path in written[0]] == [path.read_bytes() for path in written[1]]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_more_systems_than_colours_are_refused(tmp_path):
    rows = pd.concat(evaluated([0.9, 0.8], system=f"s{number}") for number in range(7))
    with pytest.raises(StatisticsError, match="6 systems or fewer"):
        write_box_plots(rows, tmp_path)
