import numpy as np
import pandas as pd
import pytest
from measured_body import AFFINE, MODEL, SHAPE, body, images, whole

from dixonflow.measure.checks import CHECKS, expected_checks
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import QUALITY_COLUMNS, measure
from dixonflow.vocabulary import Contrast, Grade


@pytest.fixture(scope="module")
def measured():
    labels, contrasts = body()
    return measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, overlap_residual=0.1, wrong_side_ml=0.5)


def test_quality_of_a_good_scan(measured):
    assert tuple(measured.quality.columns) == QUALITY_COLUMNS
    checks = measured.quality.set_index("check")
    rows = measured.quality[["check", "structure", "model"]].itertuples(index=False, name=None)
    assert sorted(rows) == sorted(expected_checks(MODEL, [MODEL]))
    of_others = {name for name, each in CHECKS.items() if each.of_vertebrae or each.between_models or each.of_raw_data}
    assert list(dict.fromkeys(checks.index)) == [name for name in CHECKS if name not in of_others]
    assert checks.at["liver_right_of_spleen", "value"] == pytest.approx((28.5 - 11) * 5)
    assert checks.at["kidney_sides", "value"] == pytest.approx(12 * 5)
    assert checks.at["kidney_volume_ratio", "value"] == 1
    assert checks.at["subcutaneous_fat_fraction", "value"] == pytest.approx(0.9)
    assert checks.at["labelled_signal", "value"] == 1
    assert checks.at["noise_level", "value"] == 0
    assert pd.isna(checks.at["signal_to_noise", "value"]), "there is no noise"
    assert checks.at["overlap_residual", "value"] == pytest.approx(0.1)
    assert (checks["grade"] == Grade.PASS).all()


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
    exchanged = measure(labels, images(water, fat), AFFINE, stations, MODEL, overlap_residual=0.9).quality
    checks = exchanged.set_index("check")
    assert checks.at["subcutaneous_fat_fraction", "value"] == pytest.approx(0.1)
    assert checks.at["subcutaneous_fat_fraction", "grade"] == Grade.FAIL
    assert checks.at["overlap_residual", "grade"] == Grade.REVIEW

    labels[(labels == 3) & (np.arange(SHAPE[2]) > 5)] = 0
    labels[:, 20:] = 0
    lopsided = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL).quality.set_index("check")
    assert lopsided.at["kidney_volume_ratio", "value"] == pytest.approx(0.5)
    assert lopsided.at["labelled_signal", "grade"] == Grade.REVIEW
