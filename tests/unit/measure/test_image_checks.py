"""Checks of the images and of how they fit the labels: swaps, movement, orientation."""

import numpy as np
import pandas as pd
import pytest
from graded_rows import graded
from known_stations import ukb_stations
from measured_body import AFFINE, MODEL, SHAPE, VOXEL_ML, body, whole
from small_models import rule, small_model

from dixonflow.labelmap.swap_witness import SwappedPatches, swapped_patches
from dixonflow.labelmap.tissue_fit import MIN_PATCH_ML, opened, patches
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.checks.signal_fit import signal_fit
from dixonflow.measure.checks.stitch_findings import CheckValue, stitch_findings, unrepaired_swaps
from dixonflow.measure.scan import measure
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.swaps import Swap, swapped_back
from dixonflow.vocabulary import Contrast, Grade

BALL = small_model({1: rule("muscle", "a"), 2: rule("subcutaneous_fat", "a"), 3: rule("hip_left", "a")})


def cylinder(*, spacing: float = 3.0):
    """Muscle in a shell of fat, with a bone in it."""
    x, y = np.meshgrid(*(np.arange(60) * spacing - 90,) * 2, indexing="ij")
    radius = np.hypot(x, y)[..., None] * np.ones(30)
    labels = np.select([radius < 12, radius < 60, radius < 80], [3, 1, 2], 0).astype(np.uint8)
    labels[:, :, [0, 1, -2, -1]] = 0
    fraction = np.select([labels == 3, labels == 1, labels == 2], [0.5, 0.1, 0.9], 0.5)
    total = np.where(labels > 0, 300.0, 4.0)
    return labels, np.rint(total * (1 - fraction)).astype(np.int16), np.rint(total * fraction).astype(np.int16)


def with_patch(water, fat, centre, radius):
    places = np.indices(water.shape)
    ball = sum((axis - middle) ** 2 for axis, middle in zip(places, centre, strict=True)) <= radius**2
    return np.where(ball, fat, water), np.where(ball, water, fat), ball


def test_a_patch_is_found_in_all_structures_that_it_touches() -> None:
    labels, water, fat = cylinder()
    assert set(signal_fit(labels, water, fat, (3.0, 3.0, 3.0), BALL).swapped_shares.values()) == {0.0}
    bad_water, bad_fat, ball = with_patch(water, fat, (45, 30, 15), 8)  # 58 mL, across muscle and fat
    shares = signal_fit(labels, bad_water, bad_fat, (3.0, 3.0, 3.0), BALL).swapped_shares
    for name, label in BALL.structures.items():
        truth = np.count_nonzero(ball & (labels == label)) / np.count_nonzero(labels == label)
        assert shares[name] == pytest.approx(truth, abs=0.02)
    assert shares["muscle"] > CHECKS["swapped_signal"].threshold
    bad_water, bad_fat, _ = with_patch(water, fat, (40, 30, 15), 1.5)  # under 1 mL: nothing to be told
    assert set(signal_fit(labels, bad_water, bad_fat, (3.0, 3.0, 3.0), BALL).swapped_shares.values()) == {0.0}


def test_a_patch_grades_what_it_touches_and_nothing_else() -> None:
    labels, water, fat = cylinder()
    bad_water, bad_fat, _ = with_patch(water, fat, (39, 30, 15), 6)  # in the muscle
    images = {Contrast.WATER: bad_water, Contrast.FAT: bad_fat, Contrast.IN_PHASE: water + fat}
    images[Contrast.OPPOSED_PHASE] = np.abs(water - fat)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    rows = graded(measure(labels, images, affine, whole(labels.shape, affine), BALL), BALL)
    by = rows.set_index(["structure", "measure"])
    for measure_name in ("fat_fraction", "volume"):
        assert by.at[("muscle", measure_name), "grade"] == "review"
        assert by.at[("muscle", measure_name), "decided_by"] == "swapped_signal"
        assert by.at[("subcutaneous_fat", measure_name), "grade"] == "pass"


def test_a_patch_that_the_labels_follow_is_seen_by_those_of_the_other_contrasts() -> None:
    labels, water, fat = cylinder()
    bad_water, bad_fat, ball = with_patch(water, fat, (45, 30, 15), 6)
    followed = np.where(ball & (labels == 1), 2, labels).astype(np.uint8)  # the network saw the water image
    images = {Contrast.WATER: bad_water, Contrast.FAT: bad_fat, Contrast.IN_PHASE: water + fat}
    images[Contrast.OPPOSED_PHASE] = np.abs(water - fat)
    affine, spacing = np.diag([3.0, 3.0, 3.0, 1.0]), (3.0, 3.0, 3.0)
    found = swapped_patches(labels, [labels, labels], bad_water, bad_fat, spacing, BALL)
    lost_ml = np.count_nonzero(ball & (labels == 1)) * 0.027
    assert lost_ml < found.ml["muscle"] < 1.5 * lost_ml, "with the voxels around it"
    quality = measure(followed, images, affine, whole(labels.shape, affine), BALL, swapped_patches=found).quality
    rows = quality.set_index(["check", "structure"])
    assert rows.at[("swapped_signal", "muscle"), "grade"] == Grade.PASS
    assert rows.at[("swapped_patches", "muscle"), "value"] == pytest.approx(
        found.ml["muscle"] / (np.count_nonzero(followed == 1) * 0.027)
    )
    assert rows.at[("swapped_patches", "muscle"), "grade"] == Grade.REVIEW
    assert rows.at[("swapped_patches", "hip_left"), "grade"] == Grade.PASS
    assert rows.at[("swapped_share", ""), "value"] == rows.loc["swapped_patches", "value"].max()
    assert rows.at[("swapped_volume", ""), "value"] == pytest.approx(sum(found.ml.values()))
    assert rows.at[("swapped_volume", ""), "grade"] == Grade.REVIEW
    lost = np.where(labels == 1, 2, labels).astype(np.uint8)  # the final labels have no muscle at all
    quality = measure(lost, images, affine, whole(labels.shape, affine), BALL, swapped_patches=found).quality
    assert quality.set_index(["check", "structure"]).at[("swapped_patches", "muscle"), "value"] == 1
    nothing = swapped_patches(labels, [labels, labels], water, fat, spacing, BALL)
    assert nothing == SwappedPatches({}, [])
    # a network that looks for swaps is a witness of its own
    seen = swapped_patches(labels, [], bad_water, bad_fat, spacing, BALL, ball)
    assert seen.ml["muscle"] == pytest.approx(found.ml["muscle"], rel=0.1)
    assert swapped_patches(labels, [], bad_water, bad_fat, spacing, BALL) == SwappedPatches({}, [])


@pytest.mark.parametrize(("gap", "found"), [(2, True), (4, False)])
def test_two_halves_of_a_patch_are_one(gap: int, found: bool) -> None:
    """Across the border of an organ, voxels hold both tissues and contradict neither; each half is under 5 mL."""
    spacing = (3.9, 3.9, 3.9)
    mask = np.zeros((20, 12, 12), bool)
    mask[3:8, 4:9, 4:9] = mask[8 + gap : 13 + gap, 4:9, 4:9] = True
    half = opened(mask, spacing)[:8]
    assert 0.9 * MIN_PATCH_ML < np.count_nonzero(half) * np.prod(spacing) / 1000 < MIN_PATCH_ML
    assert patches(mask, spacing).any() == found


def test_where_the_other_contrasts_contradict_each_other_nothing_is_said() -> None:
    labels, water, fat = cylinder()
    bad_water, bad_fat, ball = with_patch(water, fat, (45, 30, 15), 6)
    other = np.where(ball, 3 - labels, labels).clip(0, 3).astype(np.uint8)  # muscle and fat the other way round
    for witnesses in ([labels, other], [other, labels]):
        assert swapped_patches(labels, witnesses, bad_water, bad_fat, (3.0, 3.0, 3.0), BALL).ml == {}
    assert swapped_patches(labels, [np.zeros_like(labels)], bad_water, bad_fat, (3.0, 3.0, 3.0), BALL).ml == {}


def test_where_it_was_not_looked_at_swapped_patches_has_no_value() -> None:
    labels, water, fat = cylinder()
    images = {Contrast.WATER: water, Contrast.FAT: fat, Contrast.IN_PHASE: water + fat}
    images[Contrast.OPPOSED_PHASE] = np.abs(water - fat)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    quality = measure(labels, images, affine, whole(labels.shape, affine), BALL).quality
    rows = quality[quality["check"].eq("swapped_patches")]
    assert rows["value"].isna().all()
    assert set(rows["grade"]) == {Grade.PASS}


def test_a_scan_upside_down_or_turned_around_fails_as_a_whole() -> None:
    model = small_model({1: rule("heart", "a"), 2: rule("hip_left", "a"), 3: rule("hip_right", "a"),
                         4: rule("spinal_cord", "a")})  # fmt: skip
    labels = np.zeros((12, 12, 20), np.uint8)
    labels[3:6, 7:10, 15:18], labels[2:4, 4:8, 2:5], labels[8:10, 4:8, 2:5], labels[5:7, 2:4, 2:18] = 1, 2, 3, 4
    images = {contrast: np.full(labels.shape, 100, np.int16) for contrast in body()[1]}
    affine = np.diag([5.0, 5.0, 5.0, 1.0])

    def checks(turned):
        found = measure(turned, images, affine, whole(turned.shape, affine), model)
        return found.quality.set_index("check"), graded(found, model)

    upright, rows = checks(labels)
    assert upright.at["head_up", "value"] == pytest.approx(13 * 5)
    assert upright.at["front_ahead", "value"] == pytest.approx(5.5 * 5)
    assert not rows["decided_by"].isin(["head_up", "front_ahead"]).any()
    for name, turned in (("head_up", labels[:, :, ::-1]), ("front_ahead", labels[:, ::-1])):
        quality, rows = checks(turned)
        assert quality.at[name, "grade"] == Grade.FAIL
        volumes = rows[rows["measure"].eq("volume")]
        assert volumes["value"].isna().all()
        assert set(volumes["decided_by"]) == {name}
    # a scan of the legs has no heart: nothing is turned
    without, _ = checks(np.where(labels == 1, 0, labels))
    assert without.at["head_up", "grade"] == Grade.PASS
    assert pd.isna(without.at["head_up", "value"])


@pytest.fixture(scope="module")
def stations():
    return ukb_stations()


def test_what_the_stitch_stage_found_is_said_with_its_place(stations) -> None:
    moved = [
        station if station.index != 3 else swapped_back(station, [])
        for station in (*stations[:3], _rolled(stations[3], 3), *stations[4:])
    ]
    swapped = [swapped_back(station, [Swap(1, "whole", 0.0)]) for station in moved]
    sidecar = stitch(swapped).report.as_dict()
    found = stitch_findings(sidecar)
    assert found["station_shift"].value == pytest.approx(3 * 2.232, rel=0.1)
    assert found["station_shift"].place in ("stations 3 and 4", "stations 4 and 5")
    assert found["swaps_repaired"] == CheckValue(1.0, "station 2")
    assert found["swap_margin"].value > CHECKS["swap_margin"].threshold
    assert found["intensity_match"].value < 1.05
    still = stitch_findings(stitch(stations).report.as_dict())
    assert still["station_shift"].value < 0.5
    assert still["swaps_repaired"].value == 0
    # a sidecar of an earlier version says less, and nothing is made up
    for pair in sidecar["pairs"]:
        del pair["shift_mm"], pair["half_agreements"], pair["sharpness_ratio"]
    later = ("swaps", "swap_margin", "in_phase_ratios", "statistics")
    earlier = {name: value for name, value in sidecar.items() if name not in later}
    assert set(stitch_findings(earlier)) == {"overlap_residual", "overlap_agreement", "intensity_match"}


def _rolled(station, voxels):
    images = {contrast: np.roll(image, voxels, axis=0) for contrast, image in station.images.items()}
    return type(station)(station.index, images, station.affine)


def test_scans_stitched_before_are_looked_at_for_swaps(stations) -> None:
    stitched = stitch(stations)
    sidecar = stitched.report.as_dict()
    assert unrepaired_swaps(stitched.images, stitched.affine, sidecar)["swap_margin"].value > 1
    swapped = dict(stitched.images)
    swapped[Contrast.WATER], swapped[Contrast.FAT] = swapped[Contrast.FAT], swapped[Contrast.WATER]
    found = unrepaired_swaps(swapped, stitched.affine, sidecar)["swap_margin"]
    assert found.value < -1
    assert found.place.startswith("station 1, station 2")
    labels, contrasts = body()
    rows = graded(measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, of_stitching={"swap_margin": found}), MODEL)
    by = rows.set_index(["structure", "measure"])
    assert pd.isna(by.at[("liver", "fat_fraction"), "value"])
    assert by.at[("liver", "fat_fraction"), "decided_by"] == "swap_margin"
    assert by.at[("liver", "volume"), "grade"] == "pass"


def test_labels_that_have_moved_fit_less() -> None:
    labels, water, fat = cylinder()
    fits = [signal_fit(np.roll(labels, move, axis=0), water, fat, (3.0, 3.0, 3.0), BALL).fitting for move in (0, 2, 5)]
    assert fits[0] == 1
    assert fits == sorted(fits, reverse=True)
    assert fits[2] < 0.9


def test_a_hole_in_the_body_is_measured_and_air_in_lungs_is_none() -> None:
    labels, water, fat = cylinder()
    assert signal_fit(labels, water, fat, (3.0, 3.0, 3.0), BALL).holes_ml == 0
    places = np.indices(labels.shape)
    ball = sum((axis - middle) ** 2 for axis, middle in zip(places, (40, 30, 15), strict=True)) <= 8**2
    lost = [np.where(ball, 2, image).astype(np.int16) for image in (water, fat)]
    true_ml = np.count_nonzero(ball) * 0.027
    for unlabelled in (False, True):  # whether the network leaves it out or not
        seen = np.where(ball & unlabelled, 0, labels).astype(np.uint8)
        assert signal_fit(seen, *lost, (3.0, 3.0, 3.0), BALL).holes_ml == pytest.approx(true_ml, rel=0.15)
    lung = small_model({1: rule("muscle", "a"), 2: rule("subcutaneous_fat", "a"), 3: rule("lung_left", "a")})
    inside_lung = np.where(ball, 3, labels).astype(np.uint8)
    assert signal_fit(inside_lung, *lost, (3.0, 3.0, 3.0), lung).holes_ml == 0


def test_a_dark_side_asks_for_a_review() -> None:
    labels, water, fat = cylinder()
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    for depth, grade in ((0.0, "pass"), (0.2, "pass"), (0.9, "review")):
        dark = np.linspace(1 - depth, 1, len(labels))[:, None, None]
        bad_water, bad_fat = (np.rint(image * dark).astype(np.int16) for image in (water, fat))
        images = {Contrast.WATER: bad_water, Contrast.FAT: bad_fat, Contrast.IN_PHASE: bad_water + bad_fat}
        images[Contrast.OPPOSED_PHASE] = np.abs(bad_water - bad_fat)
        quality = measure(labels, images, affine, whole(labels.shape, affine), BALL).quality.set_index("check")
        assert quality.at["side_brightness", "grade"] == grade


def test_sizes_and_sides_are_values_for_the_cohort_to_judge() -> None:
    labels, contrasts = body()
    quality = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL).quality
    rows = {check: quality[quality["check"].eq(check)].set_index("structure")["value"] for check in
            ("side_ratio", "unusually_small", "unusually_large")}  # fmt: skip
    volumes = {name: np.count_nonzero(labels == label) for name, label in MODEL.structures.items()}
    ratio = min(volumes["kidney_left"], volumes["kidney_right"]) / max(volumes["kidney_left"], volumes["kidney_right"])
    assert rows["side_ratio"]["kidney_left"] == rows["side_ratio"]["kidney_right"] == pytest.approx(ratio)
    assert pd.isna(rows["side_ratio"]["liver"])
    liver = np.log10(volumes["liver"] * VOXEL_ML)
    assert rows["unusually_small"]["liver"] == rows["unusually_large"]["liver"] == pytest.approx(liver)


def test_slices_that_do_not_add_up_are_named(stations) -> None:
    def brighter(image):
        changed = image.astype(float)
        changed[:, :, 10:14] *= 1.12
        return np.rint(changed).astype(np.int16)

    images = {**stations[2].images, Contrast.IN_PHASE: brighter(stations[2].images[Contrast.IN_PHASE])}
    changed = [type(each)(2, images, each.affine) if each.index == 2 else each for each in stations]
    sidecar = stitch(changed).report.as_dict()
    assert sidecar["deviating_slices"] == (None, None, (10, 13), None, None, None)
    sidecar["in_phase_ratios"] = [1.0, 1.0, 1.1, 1.0, 1.0, 1.0]
    assert stitch_findings(sidecar)["contrast_sum"].place == "station 3, slices 11 to 14"


@pytest.mark.parametrize(("sigma", "grade"), [(2.0, "pass"), (12.0, "review")])
def test_noise_grades_the_fat_fraction_that_it_raises(sigma, grade) -> None:
    labels, *raw = cylinder()
    water, fat = (np.where(labels > 0, image, 0) for image in raw)
    rng = np.random.default_rng(4)
    noisy = [np.clip(image + rng.normal(0, sigma, image.shape), 0, None) for image in (water, fat)]
    in_phase = np.hypot(water + fat + rng.normal(0, sigma, water.shape), rng.normal(0, sigma, water.shape))
    images = dict(zip((Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE), (*noisy, in_phase), strict=True))
    images = {contrast: np.rint(image).astype(np.int16) for contrast, image in images.items()}
    images[Contrast.OPPOSED_PHASE] = np.abs(images[Contrast.WATER] - images[Contrast.FAT])
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    found = measure(labels, images, affine, whole(labels.shape, affine), BALL)
    quality = found.quality[found.quality["check"].eq("fat_noise")].set_index("structure")
    assert quality.at["muscle", "value"] == pytest.approx(sigma / 300, rel=0.1)
    assert quality.at["muscle", "grade"] == grade
