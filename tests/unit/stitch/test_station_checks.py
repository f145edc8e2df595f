"""Slices that are missing from the middle of a station, and grey levels."""

import numpy as np
import pytest
from known_stations import ukb_stations
from scipy import ndimage

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.station_checks import check_slices, station_statistics
from dixonflow.vocabulary import Contrast, Reason


@pytest.fixture(scope="module")
def station():
    return ukb_stations()[2]


def changed(station, change):
    images = {contrast: change(image.copy()) for contrast, image in station.images.items()}
    return Station(station.index, images, station.affine)


def emptied(image):
    image[:, :, 20] = 0
    return image


def repeated(image):
    image[:, :, 21] = image[:, :, 20]
    return image


@pytest.mark.parametrize(
    ("change", "message"), [(emptied, "slice 21 is empty"), (repeated, "slices 21 and 22 are the")]
)
def test_a_slice_that_is_missing_from_the_middle_excludes(station, change, message) -> None:
    bad = changed(station, change)
    with pytest.raises(ScanExcluded, match=f"station 3: {message}") as caught:
        check_slices(bad)
    assert caught.value.reason is Reason.MISSING_SLICE
    stations = ukb_stations()
    stations[2] = bad
    with pytest.raises(ScanExcluded, match=message):
        stitch(stations)


def test_air_above_the_head_is_no_missing_slice(station) -> None:
    def airy(image):
        image[:, :, -6:] = 0
        return image

    check_slices(changed(station, airy))
    check_slices(changed(station, lambda image: image * 0))  # nothing at all is another reason's matter


def test_a_slice_that_repeats_in_one_contrast_alone_is_left_to_the_check_of_contrasts(station) -> None:
    images = {**station.images, Contrast.WATER: repeated(station.images[Contrast.WATER].copy())}
    check_slices(Station(2, images, station.affine))


def test_grey_levels_are_counted(station) -> None:
    whole = station_statistics(station)
    assert whole is not None
    assert whole.grey_levels > 200
    assert whole.ceiling_share < 0.01
    high = float(np.percentile(station.images[Contrast.IN_PHASE], 99))
    coarse = station_statistics(changed(station, lambda image: (np.rint(image / high * 9) * high / 9).astype(np.int16)))
    assert coarse is not None
    assert coarse.grey_levels <= 12
    cut = station_statistics(changed(station, lambda image: np.minimum(image, int(0.6 * high))))
    assert cut is not None
    assert cut.ceiling_share > 0.1
    assert station_statistics(changed(station, lambda image: image * 0)) is None


def test_slices_in_another_order_are_found(station) -> None:
    x, y, z = np.indices(station.shape)
    drifting = 1000 * np.exp(-((x - 15 - 0.8 * z) ** 2 + (y - 40) ** 2) / 300)
    station = changed(station, lambda _image: np.rint(drifting).astype(np.int16))
    whole = station_statistics(station)
    assert whole is not None
    assert whole.slice_order is not None
    assert whole.slice_order < 1.1

    def turned(image):
        image[:, :, 15:25] = image[:, :, 15:25][:, :, ::-1]
        return image

    found = station_statistics(changed(station, turned))
    assert found is not None
    assert found.slice_order is not None
    assert found.slice_order > 1.5
    assert found.order_slice in (14, 15, 24)
    short = Station(0, {contrast: image[:, :, :5] for contrast, image in station.images.items()}, station.affine)
    few = station_statistics(short)
    assert few is not None
    assert few.slice_order is None


def test_a_blurred_station_is_less_sharp_than_its_neighbours() -> None:
    stations = ukb_stations()
    rng = np.random.default_rng(3)
    texture = rng.normal(1, 0.1, (36, 44, 1)).repeat(2, axis=0).repeat(2, axis=1)
    for place, each in enumerate(stations):
        size = each.shape[1]
        stations[place] = changed(each, lambda image, size=size: np.rint(image * texture[:, :size]).astype(np.int16))
    ratios = [pair.sharpness_ratio for pair in stitch(stations).report.pairs]
    assert all(ratio == pytest.approx(1, abs=0.15) for ratio in ratios if ratio)
    stations[3] = changed(stations[3], lambda image: np.rint(ndimage.gaussian_filter1d(image * 1.0, 2, axis=1)))
    blurred = [pair.sharpness_ratio for pair in stitch(stations).report.pairs]
    assert blurred[2] > 1.4
    assert blurred[3] < 0.7


def test_signal_of_scattered_voxels_has_no_sharpness() -> None:
    stations = ukb_stations()

    def thin(image):
        kept = np.zeros_like(image)
        kept[::2, ::2] = image[::2, ::2]
        return kept

    pairs = stitch([changed(station, thin) for station in stations], StitchOptions(drop_end_slices=0)).report.pairs
    with_signal = [pair for pair in pairs if pair.intensity_ratio is not None]
    assert with_signal
    assert {pair.sharpness_ratio for pair in with_signal} == {None}
