"""Defects of place: what lies where in the images of stations, and what their headers say of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.phantom.defects.defect import ABDOMEN, Defect, Expected, Layer, in_stations
from dixonflow.vocabulary import Contrast


def _every(stations: Sequence[Station], count: float) -> range:
    return range(min(int(count), len(stations)))


def mirror(stations: Sequence[Station], count: float) -> list[Station]:
    """Mirror left and right in so many stations from the head."""
    return in_stations(stations, _every(stations, count), lambda _, image: image[::-1])


def turn_upside_down(stations: Sequence[Station], count: float) -> list[Station]:
    """Reverse the order of slices in so many stations from the head."""
    return in_stations(stations, _every(stations, count), lambda _, image: image[:, :, ::-1])


def mirror_front(stations: Sequence[Station], count: float) -> list[Station]:
    """Mirror front and back in so many stations from the head."""
    return in_stations(stations, _every(stations, count), lambda _, image: image[:, ::-1])


def reverse_scan(stations: Sequence[Station], count: float) -> list[Station]:
    """Take the scan for one that goes from feet to head, in as many of three axes as the count says."""
    flips = tuple(slice(None, None, -1) if axis in (2, 1, 0)[: int(count)] else slice(None) for axis in range(3))
    turned = [in_stations([station], [station.index], lambda _, image: image[flips])[0] for station in stations]
    images = [station.images for station in turned]
    return [Station(each.index, image, each.affine) for each, image in zip(stations, images[::-1], strict=True)]


def move_across(stations: Sequence[Station], voxels: float) -> list[Station]:
    """Move the body sideways in one station."""
    return in_stations(stations, [ABDOMEN], lambda _, image: np.roll(image, int(voxels), axis=0))


def move_along(stations: Sequence[Station], slices: float) -> list[Station]:
    """Move the body towards the head in one station."""
    return in_stations(stations, [ABDOMEN], lambda _, image: np.roll(image, int(slices), axis=2))


def cut_top(stations: Sequence[Station], share: float) -> list[Station]:
    """Lose the upper slices of the first station."""
    first = stations[0]
    kept = first.shape[2] - int(share * first.shape[2])
    images = {contrast: image[:, :, :kept] for contrast, image in first.images.items()}
    return [Station(0, images, first.affine), *stations[1:]]


def cut_bottom(stations: Sequence[Station], share: float) -> list[Station]:
    """Lose the lower slices of the last station."""
    last = stations[-1]
    lost = int(share * last.shape[2])
    images = {contrast: image[:, :, lost:] for contrast, image in last.images.items()}
    return [*stations[:-1], Station(last.index, images, _moved(last, 2, lost * last.spacing_mm[2]))]


def cut_side(stations: Sequence[Station], share: float) -> list[Station]:
    """Lose columns at the right of all stations."""
    cut = []
    for station in stations:
        kept = station.shape[0] - int(share * station.shape[0])
        images = {contrast: image[:kept] for contrast, image in station.images.items()}
        cut.append(Station(station.index, images, station.affine))
    return cut


def empty_slices(stations: Sequence[Station], count: float) -> list[Station]:
    """Leave so many slices in the middle of a station empty."""
    return in_stations(stations, [ABDOMEN], lambda _, image: _with_slices(image, int(count), 0 * image))


def repeat_slice(stations: Sequence[Station], count: float) -> list[Station]:
    """Deliver one slice in place of so many that follow it."""

    def repeated(_contrast: Contrast, image: NDArray[Any]) -> NDArray[Any]:
        middle = image.shape[2] // 2
        return _with_slices(image, int(count), np.repeat(image[:, :, middle - 1 : middle], image.shape[2], axis=2))

    return in_stations(stations, [ABDOMEN], repeated)


def reverse_slices(stations: Sequence[Station], count: float) -> list[Station]:
    """Reverse the order of so many slices in the middle of a station."""

    def reversed_block(_contrast: Contrast, image: NDArray[Any]) -> NDArray[Any]:
        middle, changed = image.shape[2] // 2, image.copy()
        block = slice(middle - int(count) // 2, middle - int(count) // 2 + int(count))
        changed[:, :, block] = image[:, :, block][:, :, ::-1]
        return changed

    return in_stations(stations, [ABDOMEN], reversed_block)


def empty_water(stations: Sequence[Station], count: float) -> list[Station]:
    """Leave so many slices of the water image empty."""
    return in_stations(
        stations,
        [ABDOMEN],
        lambda contrast, image: _with_slices(image, int(count), 0 * image) if contrast is Contrast.WATER else image,
    )


def _with_slices(image: NDArray[Any], count: int, source: NDArray[Any]) -> NDArray[Any]:
    middle, changed = image.shape[2] // 2, image.copy()
    changed[:, :, middle : middle + count] = source[:, :, middle : middle + count]
    return changed


def repeat_station(stations: Sequence[Station], number: float) -> list[Station]:
    """Deliver the images of a station again in place of the next one."""
    source, victim = stations[int(number) - 1], stations[int(number)]
    shape = tuple(min(a, b) for a, b in zip(source.shape, victim.shape, strict=True))
    images = {}
    for contrast, image in victim.images.items():
        images[contrast] = np.zeros_like(image)
        place = tuple(slice(size) for size in shape)
        images[contrast][place] = source.images[contrast][place]
    return [Station(each.index, images, each.affine) if each is victim else each for each in stations]


def spacing_in_plane(stations: Sequence[Station], factor: float) -> list[Station]:
    """Say wrong voxel sizes across the body in all headers."""
    return [_rescaled(station, (factor, factor, 1.0)) for station in stations]


def spacing_of_station(stations: Sequence[Station], factor: float) -> list[Station]:
    """Say wrong voxel sizes across the body in the headers of one station."""
    return [_rescaled(each, (factor, factor, 1.0)) if each.index == ABDOMEN else each for each in stations]


def spacing_along(stations: Sequence[Station], factor: float) -> list[Station]:
    """Say wrong distances of slices and stations in all headers."""
    return [_rescaled(station, (1.0, 1.0, factor)) for station in stations]


def _rescaled(station: Station, factors: tuple[float, float, float]) -> Station:
    affine = np.diag([*factors, 1.0]) @ station.affine
    return Station(station.index, station.images, affine)


def position_along(stations: Sequence[Station], mm: float) -> list[Station]:
    """Say a wrong position along the body in the headers of one station."""
    return [
        Station(each.index, each.images, _moved(each, 2, mm)) if each.index == ABDOMEN else each for each in stations
    ]


def position_across(stations: Sequence[Station], mm: float) -> list[Station]:
    """Say a wrong position across the body in the headers of one station."""
    return [
        Station(each.index, each.images, _moved(each, 0, mm)) if each.index == ABDOMEN else each for each in stations
    ]


def _moved(station: Station, axis: int, mm: float) -> NDArray[np.float64]:
    affine = station.affine.copy()
    affine[axis, 3] += mm
    return affine


_COUNTS = (1.0, 3.0, 6.0)

GEOMETRY_DEFECTS = (
    Defect("left and right mirrored", Layer.STATIONS, _COUNTS, "stations", mirror, Expected.GRADED),
    Defect("order of slices reversed", Layer.STATIONS, _COUNTS, "stations", turn_upside_down, Expected.GRADED),
    Defect("front and back mirrored", Layer.STATIONS, _COUNTS, "stations", mirror_front, Expected.GRADED),
    Defect("head and feet taken for each other", Layer.STATIONS, (1, 2, 3), "axes", reverse_scan, Expected.GRADED),
    Defect("movement across", Layer.STATIONS, (1, 2, 4), "voxels", move_across, Expected.GRADED),
    Defect("movement along", Layer.STATIONS, (1, 2, 4), "slices", move_along, Expected.GRADED),
    Defect("cut at the top", Layer.STATIONS, (0.2, 0.5, 0.8), "share", cut_top, Expected.GRADED),
    Defect("cut at the bottom", Layer.STATIONS, (0.2, 0.5, 0.8), "share", cut_bottom, Expected.GRADED),
    Defect("cut at the side", Layer.STATIONS, (0.1, 0.2, 0.35), "share", cut_side, Expected.GRADED),
    Defect("slices empty", Layer.STATIONS, (1, 3, 8), "slices", empty_slices, Expected.EXCLUDED),
    Defect("slice repeated", Layer.STATIONS, (1, 3, 8), "slices", repeat_slice, Expected.EXCLUDED),
    Defect("slices in reverse order", Layer.STATIONS, (3, 6, 14), "slices", reverse_slices, Expected.GRADED),
    Defect("slices of water empty", Layer.STATIONS, (1, 3, 8), "slices", empty_water, Expected.EXCLUDED),
    Defect("station repeated", Layer.STATIONS, (2, 3, 5), "station", repeat_station, Expected.GRADED),
    Defect("wrong voxel size across", Layer.STATIONS, (1.03, 1.1, 1.3), "factor", spacing_in_plane, Expected.GRADED),
    Defect(
        "wrong voxel size in a station", Layer.STATIONS, (1.03, 1.1, 1.3), "factor", spacing_of_station, Expected.GRADED
    ),
    Defect("wrong voxel size along", Layer.STATIONS, (1.03, 1.1, 1.3), "factor", spacing_along, Expected.GRADED),
    Defect("wrong position along", Layer.STATIONS, (5, 15, 60), "mm", position_along, Expected.GRADED),
    Defect("wrong position across", Layer.STATIONS, (5, 15, 60), "mm", position_across, Expected.GRADED),
)
