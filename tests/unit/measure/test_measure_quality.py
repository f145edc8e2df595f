import numpy as np
import pandas as pd
import pytest
from graded_rows import graded
from measured_body import AFFINE, MODEL, SHAPE, body, good_scan, images, whole

from dixonflow.measure.checks.of_model import CHECKS, expected_checks
from dixonflow.measure.checks.stitch_findings import CheckValue
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.noise import noise_level
from dixonflow.measure.scan import QUALITY_COLUMNS, measure
from dixonflow.vocabulary import Contrast, Grade


@pytest.fixture(scope="module")
def measured():
    return good_scan()


def test_quality_of_a_good_scan(measured):
    assert tuple(measured.quality.columns) == QUALITY_COLUMNS
    checks = measured.quality.set_index("check")
    rows = measured.quality[["check", "structure", "model"]].itertuples(index=False, name=None)
    assert sorted(rows) == sorted(expected_checks(MODEL, [MODEL]))
    later = {name for name, each in CHECKS.items() if each.of_raw_data or each.of_raters}
    of_others = later | {name for name, each in CHECKS.items() if each.of_vertebrae or each.of == "shared"}
    assert list(dict.fromkeys(checks.index)) == [name for name in CHECKS if name not in of_others]
    assert checks.at["liver_right_of_spleen", "value"] == pytest.approx((28.5 - 11) * 5)
    assert checks.at["kidney_sides", "value"] == pytest.approx(12 * 5)
    assert checks.at["kidney_volume_ratio", "value"] == 1
    assert checks.loc["subcutaneous_fat_fraction", "value"].tolist() == pytest.approx([0.9] * len(MODEL.structures))
    assert checks.at["labelled_signal", "value"] == 1
    assert checks.at["noise_level", "value"] == 0
    assert pd.isna(checks.at["signal_to_noise", "value"]), "there is no noise"
    assert checks.at["overlap_residual", "value"] == pytest.approx(0.1)
    small = checks["structure"].isin(["spleen", "kidney_left", "kidney_right"])
    assert set(checks.loc[checks["grade"].ne(Grade.PASS)].index) == {"lower_cutoff"}
    assert (checks.loc[checks.index.isin(["lower_cutoff"]) & ~small, "grade"] == Grade.PASS).all()


def test_agreement_of_contrasts_is_reported_by_structure_and_judged_later():
    labels, contrasts = body()
    found = {name: 0.1 * label for name, label in MODEL.structures.items() if label < 10} | {"muscle": None}
    quality = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, contrast_agreement=found).quality
    rows = quality[quality["check"].eq("contrast_agreement")].set_index("structure")
    assert list(rows.index) == list(MODEL.structures)
    for structure in MODEL.structures:
        value = rows.at[structure, "value"]
        assert (value == found[structure]) if found.get(structure) is not None else pd.isna(value)
    assert rows["threshold"].isna().all()
    assert (rows["grade"] == Grade.PASS).all()
    with pytest.raises(ValueError, match=r"does not have: \['kidney'\]"):
        measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, contrast_agreement={"kidney": 0.9})


def test_mirrored_exchanged_and_lopsided_scans_fail_their_checks():
    labels, contrasts = body()
    mirrored = measure(labels[::-1], {c: i[::-1] for c, i in contrasts.items()}, AFFINE, whole(SHAPE), MODEL).quality
    grades = mirrored.set_index("check")["grade"]
    assert grades["liver_right_of_spleen"] == grades["kidney_sides"] == Grade.FAIL

    upper = np.arange(SHAPE[2]) >= 12
    water = np.where(upper, contrasts[Contrast.FAT], contrasts[Contrast.WATER])
    fat = np.where(upper, contrasts[Contrast.WATER], contrasts[Contrast.FAT])
    low, high = whole(SHAPE)[0].low_mm, whole(SHAPE)[0].high_mm
    middle = 7 + 11.5 * 10
    stations = [StationBox(0, (*low[:2], middle), high), StationBox(1, low, (*high[:2], middle))]
    found = measure(
        labels, images(water, fat), AFFINE, stations, MODEL, of_stitching={"overlap_residual": CheckValue(0.9)}
    )
    checks = found.quality.set_index("check")
    of_fat = checks.loc["subcutaneous_fat_fraction"].set_index("structure")
    assert of_fat.at["subcutaneous_fat", "value"] == of_fat.at["liver", "value"] == pytest.approx(0.1)
    assert of_fat.at["liver", "grade"] == Grade.FAIL
    assert of_fat.at["kidney_left", "value"] == pytest.approx(0.9), "it does not reach into the station"
    assert of_fat.at["kidney_left", "grade"] == Grade.PASS
    assert checks.at["overlap_residual", "grade"] == Grade.REVIEW
    rows = graded(found, MODEL).set_index(["structure", "measure"])
    for measure_ in ("fat_fraction", "fat_volume", "water_mean"):
        assert rows.loc[("liver", measure_), ["grade", "decided_by", "missing_reason"]].tolist() == [
            "fail",
            "subcutaneous_fat_fraction",
            "failed_check",
        ]
    assert rows.loc[("liver", "volume"), ["grade", "decided_by"]].tolist() == ["review", "swapped_signal"]
    assert rows.at[("kidney_left", "volume"), "decided_by"] == "overlap_residual", "it is not made of water and fat"
    assert rows.at[("kidney_left", "fat_fraction"), "grade"] != "fail"

    labels[(labels == 3) & (np.arange(SHAPE[2]) > 5)] = 0
    labels[:, 20:] = 0
    lopsided = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL).quality.set_index("check")
    assert lopsided.at["kidney_volume_ratio", "value"] == pytest.approx(0.5)
    assert lopsided.at["labelled_signal", "grade"] == Grade.REVIEW


def test_a_side_that_the_field_of_view_cuts_is_not_compared_with_the_other():
    labels, contrasts = body()
    rows = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL).quality
    ratios = rows[rows["check"].eq("side_ratio")].set_index("structure")["value"]
    assert ratios["kidney_left"] == ratios["kidney_right"] == 1.0
    assert ratios.drop(["kidney_left", "kidney_right"]).isna().all()
    part = tuple(slice(None, 27) if axis == 0 else slice(None) for axis in range(3))  # through the right kidney
    cut = {contrast: image[part] for contrast, image in contrasts.items()}
    rows = measure(labels[part], cut, AFFINE, whole((27, *SHAPE[1:])), MODEL).quality
    assert rows.loc[rows["check"].eq("side_ratio"), "value"].isna().all()


@pytest.mark.parametrize("sigma", [2.1, 2.4, 2.7, 3.3, 8.0])
def test_noise_of_whole_numbers_is_not_quantised(sigma):
    rng = np.random.default_rng(5)
    noise = np.hypot(*rng.normal(0, sigma, (2, 80, 80, 40)))
    labels = np.zeros(noise.shape, bool)
    found = noise_level(np.rint(noise).astype(np.int16), ~labels, None)
    assert found == pytest.approx(sigma, rel=0.02)
    assert found == pytest.approx(noise_level(noise.astype(np.float32), ~labels, None), rel=0.02)
    halves = np.where(np.arange(80)[:, None, None] % 2, 3, 5) * np.ones(noise.shape, np.int16)
    assert noise_level(halves, ~labels, None) == pytest.approx(4 / np.sqrt(2 * np.log(2)))
    assert noise_level(np.where(noise > 3 * sigma, noise, 0).astype(np.int16), ~labels, None) == 0


@pytest.mark.parametrize(("deviation", "grade"), [(None, "pass"), (0.07, "pass"), (0.1, "review")])
def test_contrasts_that_do_not_add_up_grade_what_is_made_of_them(deviation, grade):
    labels, contrasts = body()
    sums = {} if deviation is None else {"contrast_sum": CheckValue(deviation, "station 2")}
    found = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, of_stitching=sums)
    assert found.quality.set_index("check").at["contrast_sum", "place"] == ("station 2" if sums else "")
    rows = graded(found, MODEL).set_index(["structure", "measure"])
    assert rows.at[("liver", "fat_fraction"), "grade"] == grade
    assert rows.at[("liver", "volume"), "grade"] == "pass"


def test_a_label_in_two_pieces_says_how_much_the_largest_is():
    labels, contrasts = body()
    pieces = {n: rule_.model_copy(update={"max_components": 9 if n == 65 else 1}) for n, rule_ in MODEL.labels.items()}
    model = MODEL.model_copy(update={"labels": pieces})
    labels[12:17, 9:15, 7:8] = 2  # the uppermost plane of the left kidney has the label of the right one
    rows = measure(labels, contrasts, AFFINE, whole(SHAPE), model).quality
    shares = rows[rows["check"].eq("in_one_piece")].set_index("structure")["value"]
    assert shares["kidney_right"] == pytest.approx(4 / 5)
    assert shares.drop("kidney_right").dropna().eq(1).all()
    assert set(shares.index) == set(MODEL.structures) - {"subcutaneous_fat"}, "only of structures that are one piece"
