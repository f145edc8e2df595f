from collections.abc import Callable

import numpy as np
import pytest
from known_stations import cut, on_grid, ukb_stations

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import Contrast, Reason


def _without_fat(stations: list[Station]) -> None:
    del stations[1].images[Contrast.FAT]  # type: ignore[attr-defined]


def _odd_matrix(stations: list[Station]) -> None:
    stations[1].images[Contrast.FAT] = stations[1].images[Contrast.FAT][:, 1:]  # type: ignore[index]


def _constant(stations: list[Station]) -> None:
    stations[1].images[Contrast.FAT][:] = 7  # type: ignore[index]


def _not_finite(stations: list[Station]) -> None:
    image = stations[1].images[Contrast.FAT].astype(np.float32)
    image[3, 3, 3] = np.nan
    stations[1].images[Contrast.FAT] = image  # type: ignore[index]


def _missing(stations: list[Station]) -> None:
    del stations[1]


def _oblique(stations: list[Station]) -> None:
    stations[1].affine[0, 1] = 0.2


def _flipped(stations: list[Station]) -> None:
    stations[1].affine[0, 0] *= -1


def _far_away(stations: list[Station]) -> None:
    stations[1].affine[1, 3] += 5000


def _same_place(stations: list[Station]) -> None:
    stations[2] = Station(2, stations[1].images, stations[1].affine)


def _huge(stations: list[Station]) -> None:
    for station in stations:
        station.affine[0, 3] -= 1e6 * station.index


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_fat, Reason.MISSING_CONTRAST),
        (_odd_matrix, Reason.SPACING_MISMATCH),
        (_constant, Reason.EMPTY_IMAGE),
        (_not_finite, Reason.EMPTY_IMAGE),
        (_missing, Reason.STATION_GAP),
        (_oblique, Reason.SPACING_MISMATCH),
        (_flipped, Reason.UNEXPECTED_GEOMETRY),
        (_far_away, Reason.UNEXPECTED_GEOMETRY),
        (_same_place, Reason.UNEXPECTED_GEOMETRY),
        (_huge, Reason.UNEXPECTED_GEOMETRY),
    ],
)
def test_stations_that_cannot_be_stitched_are_excluded(damage: Callable[[list[Station]], None], reason: Reason) -> None:
    images, affine = on_grid((30, 20, 40), (2.0, 2.0, 3.0), (-30.0, -20.0, -60.0))
    stations = cut(images, affine, [(0, 16), (12, 28), (24, 40)])
    damage(stations)
    with pytest.raises(ScanExcluded) as caught:
        stitch(stations)
    assert caught.value.reason is reason


def test_no_station_and_wrong_numbers() -> None:
    with pytest.raises(ScanExcluded) as caught:
        stitch([])
    assert caught.value.reason is Reason.MISSING_STATION
    stations = ukb_stations()
    stations[0], stations[5] = (
        Station(5, stations[0].images, stations[0].affine),
        Station(0, stations[5].images, stations[5].affine),
    )
    with pytest.raises(ValueError, match="numbered"):
        stitch(stations)
