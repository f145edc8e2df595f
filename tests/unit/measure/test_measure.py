import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from graded_rows import graded
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from measured_body import AFFINE, MODEL, SHAPE, VOXEL_ML, body, good_scan, images, row, values, whole
from small_models import rule, small_model

from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.scan import MEASUREMENT_COLUMNS, measure
from dixonflow.measure.structures import cut_by_design
from dixonflow.vocabulary import DIXON, Contrast, Grade, ScanSequence


@pytest.fixture(scope="module")
def measured():
    return good_scan()


def test_every_structure_has_every_measure_once(measured):
    rows = measured.measurements
    assert tuple(rows.columns) == MEASUREMENT_COLUMNS
    measures = [
        name
        for name, each in MEASURES.items()
        if not (each.of_vertebrae or each.of_compartments or each.of_vessels)
        and ScanSequence.DIXON in (each.sequences or ScanSequence)
    ]
    expected = {(name, each) for name in [*MODEL.structures, *MODEL.composites] for each in measures}
    expected |= {(each.name, measure.name) for each in compartments_of(MODEL) for measure in each.measures}
    assert set(zip(rows["structure"], rows["measure"], strict=True)) == expected
    assert len(rows) == len(expected)
    assert (rows["model"] == "small").all()
    for _, entry in rows.drop_duplicates("measure").iterrows():
        assert entry["unit"] == MEASURES[entry["measure"]].unit
        assert entry["definition"] == f"{entry['measure']}.v{2 if entry['measure'] == 'fat_fraction' else 1}"


def test_known_volumes_and_fat_fractions(measured):
    value = values(measured.measurements)
    liver = 10 * 14 * 8
    assert value["liver", "volume"] == pytest.approx(liver * VOXEL_ML)
    assert value["liver", "fat_fraction"] == pytest.approx(0.1)
    assert value["liver", "fat_fraction_mean"] == value["liver", "fat_fraction_eroded_mean"] == pytest.approx(0.1)
    assert value["liver", "coverage_fraction"] == 1
    assert value["liver", "signal_voxel_fraction"] == 1
    assert value["liver", "fat_volume"] == pytest.approx(0.1 * liver * VOXEL_ML)
    assert value["subcutaneous_fat", "fat_fraction_of_sums"] == pytest.approx(0.9)
    assert value["kidneys", "volume"] == pytest.approx(2 * 5 * 6 * 4 * VOXEL_ML)
    assert value["liver", "in_phase_p95"] == 1000
    assert value["liver", "opposed_phase_sd"] == 0
    fat_part = 28 * 20
    lean_part = 28 * 20 * 18 - fat_part - liver - 5 * 6 * 8 - 2 * 5 * 6 * 4 - 4 * 6 * 4
    assert value["muscle", "intramuscular_fat_volume"] == pytest.approx(fat_part * VOXEL_ML)
    assert value["muscle", "lean_volume"] == pytest.approx(lean_part * VOXEL_ML)
    assert value["total_muscle", "lean_volume"] == pytest.approx((lean_part + 4 * 6 * 4) * VOXEL_ML)
    assert value["muscle", "fat_fraction_of_sums"] == pytest.approx(
        (0.25 * lean_part + fat_part) / (lean_part + fat_part)
    )


def test_values_are_null_exactly_where_there_is_a_reason_and_never_nan(measured):
    rows = measured.measurements
    assert rows["value"].isna().equals(rows["missing_reason"].notna())
    assert graded(measured, MODEL)["grade"].isna().sum() == rows["value"].isna().sum()
    assert np.isfinite(rows["value"].dropna().to_numpy(float)).all()
    thin = rows[rows["missing_reason"] == "too_thin"]
    assert set(thin["structure"]) == {"subcutaneous_fat"}, "its layer is one voxel"
    assert set(rows["missing_reason"].dropna()) == {"not_applicable", "too_thin", "no_landmark"}
    unplaced = rows[rows["missing_reason"] == "no_landmark"]
    assert set(unplaced["structure"]) == {each.name for each in compartments_of(MODEL)}, "the model has no skeleton"
    lacking = rows[rows["missing_reason"] == "not_applicable"]
    assert set(lacking["measure"]) == {"lean_volume", "intramuscular_fat_volume"}
    assert not set(lacking["structure"]) & {"muscle", "iliopsoas_left", "total_muscle"}


def test_a_structure_that_is_not_there_has_no_value_and_its_composite_is_incomplete():
    labels, contrasts = body()
    labels[labels == 3] = 66
    found = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL)
    rows = found.measurements
    gone = rows[rows["structure"] == "kidney_left"]
    assert gone["value"].isna().all()
    applicable = ~gone["measure"].isin(["lean_volume", "intramuscular_fat_volume"])
    assert set(gone.loc[applicable, "missing_reason"]) == {MissingReason.NOT_FOUND.value}
    assert row(rows, "kidneys", "volume")["missing_reason"] == MissingReason.INCOMPLETE
    right = row(graded(found, MODEL), "kidney_right", "volume")
    assert (right["grade"], right["decided_by"]) == (Grade.FAIL, "lower_cutoff"), "24 mL are under the cut-off of 50"
    assert pd.isna(right["value"])
    assert right["value_before_grade"] == pytest.approx(24)
    chosen = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, graded_if_incomplete=True)
    assert row(chosen.measurements, "kidneys", "volume")["value"] == pytest.approx(24)
    both = row(graded(chosen, MODEL), "kidneys", "volume")
    assert (both["grade"], both["decided_by"]) == (Grade.FAIL, "lower_cutoff"), "the worst of its parts"
    parts = chosen.quality[chosen.quality["check"].eq("parts_found")].set_index("structure")
    assert (parts.at["kidneys", "value"], parts.at["kidneys", "grade"]) == (0.5, Grade.REVIEW)


def test_labels_outside_all_stations_are_not_measured():
    labels, contrasts = body()
    labels[1:3, 1:3, 1:3] = 3  # a second piece, outside the box
    x, y, z = 22.5, 50.0, 200.0
    box = StationBox(0, (-77.5, -70.0, 12.0), (x + 60, y, z))
    inside = measure(labels, contrasts, AFFINE, [box], MODEL)
    assert values(inside.measurements)["kidney_left", "volume"] == pytest.approx(5 * 6 * 4 * VOXEL_ML)
    check = inside.quality.set_index("check").loc["labels_outside_field_of_view"]
    assert check["value"] > 0.001
    assert check["grade"] == Grade.REVIEW
    far = StationBox(0, (-100.0, -80.0, 180.0), (x, y, 250.0))
    rows = measure(labels, contrasts, AFFINE, [far], MODEL).measurements
    assert row(rows, "liver", "volume")["missing_reason"] == MissingReason.OUTSIDE_FIELD_OF_VIEW
    assert row(rows, "liver", "lean_volume")["missing_reason"] == MissingReason.NOT_APPLICABLE


def test_cut_structures_say_so():
    labels, contrasts = body()
    low, high = whole(SHAPE)[0].low_mm, whole(SHAPE)[0].high_mm
    cut = StationBox(0, low, (high[0], high[1], 7 - 5 + 14 * 10.0))  # ends inside the liver and the muscle
    found = measure(labels, contrasts, AFFINE, [cut], MODEL)
    rows = graded(found, MODEL)
    liver = row(rows, "liver", "coverage_fraction")["value"]
    # 10 x 14 x 4 voxels of 5 x 4 x 10 mm are left; one face of 10 x 14 is cut
    end, side, front = 10 * 14 * 20, 14 * 4 * 40, 10 * 4 * 50
    assert liver == pytest.approx(1 - end / (2 * end + 2 * side + 2 * front))
    for measure_ in ("volume", "fat_fraction"):
        assert row(rows, "liver", measure_)["grade"] == Grade.REVIEW
        assert row(rows, "liver", measure_)["decided_by"] == "cut_by_field_of_view"
    assert row(rows, "liver", "coverage_fraction")["grade"] == Grade.PASS, "it describes the structure"
    assert row(rows, "muscle", "coverage_fraction")["value"] < 1
    checks = found.quality.set_index(["check", "structure"])
    assert checks.at[("cut_by_field_of_view", "muscle"), "value"] == 0, "its end leaves every scan by design"
    ball_mm2 = (36 * np.pi) ** (1 / 3) * (10 * 14 * 4 * 5 * 4 * 10) ** (2 / 3)
    assert checks.at[("cut_by_field_of_view", "liver"), "value"] == pytest.approx(end / ball_mm2)
    assert checks.at[("scan_ends_early", ""), "value"] == 2, "liver and spleen"
    assert row(rows, "muscle", "volume")["decided_by"] == "scan_ends_early", "but not through the liver"
    kidney = row(rows, "kidney_left", "volume")
    assert kidney["value"] == pytest.approx(24), "it ends below the cut"
    assert kidney["decided_by"] == "labels_outside_field_of_view", "which no label map of these images has"


def test_noise_floor_leaves_out_voxels_without_signal():
    rng = np.random.default_rng(3)
    labels, clean = body()
    noise = [np.hypot(*rng.normal(0, 20, (2, *SHAPE))) for _ in range(2)]
    water = np.where(labels > 0, clean[Contrast.WATER], noise[0]).astype(np.int16)
    fat = np.where(labels > 0, clean[Contrast.FAT], 0).astype(np.int16)
    dark = (labels == 5) & (np.arange(SHAPE[2]) < 12)
    water[dark], fat[dark] = 0, 50  # under five times the noise
    result = measure(labels, images(water, fat), AFFINE, whole(SHAPE), MODEL)
    check = result.quality.set_index("check").loc["noise_level"]
    assert check["value"] == pytest.approx(20, rel=0.05)
    value = values(result.measurements)
    assert value["liver", "signal_voxel_fraction"] == pytest.approx(1 - 2 / 8)
    assert value["liver", "fat_fraction_mean"] == pytest.approx(0.1)
    assert value["liver", "fat_fraction_of_sums"] > 0.1, "the ratio of sums takes all voxels"
    water[labels == 2], fat[labels == 2] = 20, 20
    rows = measure(labels, images(water, fat), AFFINE, whole(SHAPE), MODEL).measurements
    assert row(rows, "kidney_right", "fat_fraction_mean")["missing_reason"] == MissingReason.BELOW_NOISE_FLOOR
    assert row(rows, "kidney_right", "fat_fraction_of_sums")["value"] == pytest.approx(0.5)
    water[labels == 2], fat[labels == 2] = 0, 0
    rows = measure(labels, images(water, fat), AFFINE, whole(SHAPE), MODEL).measurements
    assert row(rows, "kidney_right", "fat_fraction_of_sums")["missing_reason"] == MissingReason.NO_SIGNAL


def test_a_structure_one_voxel_thin_has_no_eroded_value():
    labels, contrasts = body()
    labels[labels == 3] = 66
    labels[12, 9:15, 4:8] = 3
    rows = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL).measurements
    assert row(rows, "kidney_left", "fat_fraction")["missing_reason"] == MissingReason.TOO_THIN
    assert row(rows, "kidney_left", "fat_fraction_median")["value"] == 0


def test_memory_layout_and_number_type_change_nothing():
    labels, contrasts = body()
    plain = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL)
    turned = {contrast: np.asfortranarray(image) for contrast, image in contrasts.items()}
    pd.testing.assert_frame_equal(
        plain.measurements, measure(np.asfortranarray(labels), turned, AFFINE, whole(SHAPE), MODEL).measurements
    )
    real = {contrast: image.astype(np.float64) for contrast, image in contrasts.items()}
    other = measure(labels.astype(np.uint16), real, AFFINE, whole(SHAPE), MODEL)
    pd.testing.assert_frame_equal(plain.measurements, other.measurements)
    pd.testing.assert_frame_equal(plain.quality, other.quality)


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.uint8, (5, 4, 6), elements=st.sampled_from([0, 1, 5, 66])),
    arrays(np.int16, (4, 5, 4, 6), elements=st.integers(0, 3000)),
)
def test_signal_statistics_are_those_of_numpy(labels, stack):
    contrasts = dict(zip(DIXON, stack, strict=True))
    rows = measure(labels, contrasts, AFFINE, whole(labels.shape), MODEL).measurements
    assert np.isfinite(rows["value"].dropna().to_numpy(float)).all()
    value = values(rows)
    for label, name in ((1, "spleen"), (66, "muscle")):
        mask = labels == label
        if not mask.any():
            assert value[name].isna().all()
            continue
        for contrast, image in contrasts.items():
            direct = image[mask].astype(float)
            assert value[name, f"{contrast}_mean"] == pytest.approx(direct.mean())
            assert value[name, f"{contrast}_sd"] == pytest.approx(direct.std(), abs=1e-6)
            for fraction, words in ((0.05, "p5"), (0.5, "median"), (0.95, "p95")):
                assert value[name, f"{contrast}_{words}"] == pytest.approx(np.quantile(direct, fraction))
        w, f = (contrasts[each][mask].astype(float) for each in (Contrast.WATER, Contrast.FAT))
        if (w + f).sum() > 0:
            assert value[name, "fat_fraction_of_sums"] == pytest.approx(f.sum() / (w + f).sum())


def test_an_empty_label_map_is_measured_as_nothing():
    _, contrasts = body()
    result = measure(np.zeros(SHAPE, np.uint8), contrasts, AFFINE, whole(SHAPE), MODEL)
    assert result.measurements["value"].isna().all()
    checks = result.quality.set_index("check")
    assert checks.at["structures_found", "value"] == 0
    assert checks.at["liver_right_of_spleen", "grade"] == Grade.REVIEW


def test_a_model_without_the_structures_of_a_check_passes_it():
    model = small_model({5: rule("liver", "organ")})
    labels, contrasts = body()
    labels[labels != 5] = 0
    checks = measure(labels, contrasts, AFFINE, whole(SHAPE), model).quality.set_index("check")
    assert pd.isna(checks.at["kidney_sides", "value"])
    assert checks.at["kidney_sides", "grade"] == Grade.PASS


def test_wrong_inputs_are_refused():
    labels, contrasts = body()
    some = {Contrast.WATER: contrasts[Contrast.WATER]}
    with pytest.raises(ValueError, match="does not take the images water"):
        measure(labels, some, AFFINE, whole(SHAPE), MODEL)
    with pytest.raises(ValueError, match="the water image is"):
        measure(labels[1:], contrasts, AFFINE, whole(SHAPE), MODEL)
    with pytest.raises(ValueError, match="RAS"):
        measure(labels, contrasts, np.diag([-5.0, 4, 10, 1]), whole(SHAPE), MODEL)
    labels[0, 0, 0] = 99
    with pytest.raises(ValueError, match="labels that the model does not have"):
        measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL)


def test_the_data_file_is_read():
    assert {"subcutaneous_fat", "muscle", "femur_left"} <= cut_by_design()
    assert "liver" not in cut_by_design()


def test_volumes_and_means_are_those_that_totalsegmentator_reports(shared_data):
    folder = shared_data / "totalsegmentator"
    segmentation = nibabel.load(folder / "example_seg_fast.nii.gz")
    image = nibabel.load(folder / "example_ct_sm.nii.gz")
    expected = json.loads((folder / "example_seg_fast_statistics.json").read_text())
    labels, ct = np.asarray(segmentation.dataobj), np.asarray(image.dataobj)
    # the statistics name the structures of task `total` in the order of their labels
    model = small_model({label: rule(name, "organ") for label, name in enumerate(expected, start=1)})
    rows = measure(
        labels, dict.fromkeys(DIXON, ct), segmentation.affine, whole(labels.shape, segmentation.affine), model
    )
    value = values(rows.measurements)
    present = {name for name, theirs in expected.items() if theirs["volume"] > 0}
    assert len(present) > 20
    for name, theirs in expected.items():
        if name not in present:
            assert row(rows.measurements, name, "volume")["missing_reason"] == MissingReason.NOT_FOUND
            continue
        assert value[name, "volume"] == theirs["volume"] / 1000  # exactly
        assert value[name, "water_mean"] == pytest.approx(theirs["intensity"], abs=5.1e-6)  # they round to 5 places
