"""Values that no magnitude image has, and contrasts that are not what they are named."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_stations import ukb_stations
from scipy.ndimage import shift
from small_scans import nako_stations, trunk_stations

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import DIXON, Contrast, Reason

PLAIN = ukb_stations()[:3]
FEW = settings(max_examples=6)


def changed(stations: list[Station], index: int, images: dict[Contrast, np.ndarray]) -> list[Station]:
    return [
        replace(station, images={**station.images, **images}) if station.index == index else station
        for station in stations
    ]


def as_float(stations: list[Station], factor: float = 1.0) -> list[Station]:
    return [
        replace(station, images={c: (image * factor).astype(np.float32) for c, image in station.images.items()})
        for station in stations
    ]


class TestOutliers:
    @FEW
    @given(
        value=st.floats(1e5, 1e30),
        count=st.integers(1, 10),
        station=st.integers(0, 2),
        contrast=st.sampled_from(list(DIXON)),
        seed=st.integers(0, 99),
    )
    def test_a_few_voxels_change_nothing_but_themselves(self, value, count, station, contrast, seed) -> None:
        plain = as_float(PLAIN)
        wanted = stitch(plain)
        image = plain[station].images[contrast].copy()
        rng = np.random.default_rng(seed)
        places = tuple(rng.integers(0, size, count) for size in image.shape)
        image[places] = value
        found = stitch(changed(plain, station, {contrast: image}))
        assert found.report.intensity_scale == wanted.report.intensity_scale
        assert found.report.outlier_voxels == len({tuple(place) for place in np.stack(places, axis=1).tolist()})
        for each in DIXON:
            different = np.abs(found.images[each].astype(int) - wanted.images[each]) > 2
            # interpolation spreads a voxel to its neighbours
            assert np.count_nonzero(different) <= (1500 * count if each is contrast else 0)

    def test_an_image_without_outliers_keeps_its_values(self) -> None:
        found = stitch(PLAIN)
        assert found.report.outlier_voxels == 0
        assert found.report.intensity_scale == 1

    def test_many_of_them_leave_no_grey_levels(self) -> None:
        plain = as_float(PLAIN)
        image = plain[2].images[Contrast.WATER].copy()
        image[:10, :10, :5] = 1e9
        with pytest.raises(ScanExcluded) as excluded:
            stitch(changed(plain, 2, {Contrast.WATER: image}), StitchOptions(check_contrasts=False))
        assert excluded.value.reason is Reason.IMPLAUSIBLE_VALUES


class TestNegative:
    @FEW
    @given(value=st.integers(-20000, -500), rows=st.integers(1, 20), contrast=st.sampled_from(list(DIXON)))
    def test_padding_that_nobody_named_is_refused(self, value, rows, contrast) -> None:
        image = PLAIN[1].images[contrast].copy()
        image[:, :rows] = value
        with pytest.raises(ScanExcluded) as excluded:
            stitch(changed(PLAIN, 1, {contrast: image}))
        assert excluded.value.reason is Reason.IMPLAUSIBLE_VALUES
        assert "station 2" in excluded.value.message

    @pytest.mark.parametrize("stations", [trunk_stations(0, 3.0), nako_stations()])
    def test_what_cubic_splines_leave_below_zero_is_no_padding(self, stations) -> None:
        moved = [
            replace(
                station,
                images={
                    contrast: shift(image.astype(np.float32), (0.5, 0.25, 0.5), order=3)
                    for contrast, image in station.images.items()
                },
            )
            for station in stations
        ]
        assert min(float(image.min()) for station in moved for image in station.images.values()) < -10
        stitch(moved)

    def test_of_an_image_that_is_mostly_zero_the_signal_counts(self) -> None:
        image = np.where(PLAIN[1].images[Contrast.FAT] > 400, PLAIN[1].images[Contrast.FAT], 0).astype(np.float32)
        image[0, 0, 0] = -0.5
        stitch(changed(PLAIN, 1, {Contrast.FAT: image}), StitchOptions(check_contrasts=False))


class TestContrasts:
    @FEW
    @given(station=st.integers(0, 2), other=st.sampled_from([Contrast.OPPOSED_PHASE, Contrast.WATER]))
    def test_in_phase_that_is_another_image_is_seen_in_any_station(self, station, other) -> None:
        image = PLAIN[station].images[other]
        with pytest.raises(ScanExcluded) as excluded:
            stitch(changed(PLAIN, station, {Contrast.IN_PHASE: image}))
        assert excluded.value.reason is Reason.CONTRAST_MISMATCH
        assert f"station {station + 1}" in excluded.value.message

    @FEW
    @given(
        factor=st.just(0.0) | st.floats(0.1, 0.7) | st.floats(1.4, 5),
        every=st.integers(1, 30),
        start=st.integers(4, 12),
    )
    def test_slices_that_are_scaled_differently_are_seen(self, factor, every, start) -> None:
        image = PLAIN[1].images[Contrast.IN_PHASE].astype(np.float32)
        image[:, :, start::every] *= factor
        with pytest.raises(ScanExcluded) as excluded:
            stitch(changed(PLAIN, 1, {Contrast.IN_PHASE: image}))
        assert excluded.value.reason is Reason.CONTRAST_MISMATCH

    @FEW
    @given(pair=st.sampled_from(list(combinations(DIXON, 2))), station=st.integers(0, 2))
    def test_no_two_contrasts_are_one_image(self, pair, station) -> None:
        copied = changed(PLAIN, station, {pair[0]: PLAIN[station].images[pair[1]]})
        with pytest.raises(ScanExcluded) as excluded:
            stitch(copied)
        assert excluded.value.reason is Reason.CONTRAST_MISMATCH

    def test_the_switch_lets_scanners_in_whose_images_do_not_add_up(self) -> None:
        image = (PLAIN[0].images[Contrast.IN_PHASE] * 0.7).astype(np.int16)
        stations = changed(PLAIN, 0, {Contrast.IN_PHASE: image})
        with pytest.raises(ScanExcluded):
            stitch(stations)
        assert stitch(stations, StitchOptions(check_contrasts=False)).report.in_phase_ratios == (None,) * 3

    def test_the_ratios_are_reported(self) -> None:
        ratios = stitch(PLAIN).report.in_phase_ratios
        assert len(ratios) == 3
        assert ratios == pytest.approx((1.0,) * 3, abs=0.01)
