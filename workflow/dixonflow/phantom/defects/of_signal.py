"""Defects of the signal in the images of stations: swaps, scales, noise and artefacts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.station import Station
from dixonflow.phantom.defects.defect import ABDOMEN, Defect, Expected, Layer, in_stations
from dixonflow.stitch.swap_evidence import swap_evidence
from dixonflow.stitch.swaps import Swap, swapped_back
from dixonflow.vocabulary import Contrast


def swap_stations(stations: Sequence[Station], count: float) -> list[Station]:
    """Swap water and fat in the last stations."""
    chosen = [station.index for station in stations][-int(count) :]
    return [swapped_back(each, [Swap(index, "whole", 0.0) for index in chosen]) for each in stations]


def swap_half(stations: Sequence[Station], number: float) -> list[Station]:
    """Swap water and fat in the left half of one station."""
    station = stations[int(number) - 1]
    swap = Swap(station.index, "left", swap_evidence(station.images, station).split_mm)
    return [swapped_back(each, [swap]) for each in stations]


def swap_patch(stations: Sequence[Station], ml: float) -> list[Station]:
    """Swap water and fat in a ball around a place in the liver, with the muscle and fat there."""
    return swap_ball(stations, ml, _place_in_liver(stations))


def swap_ball(stations: Sequence[Station], ml: float, centre: Sequence[float]) -> list[Station]:
    """Swap water and fat in a ball around a place (mm, RAS)."""
    return _in_ball(stations, ml, centre, lambda own, other, ball: np.where(ball, other, own), swap=True)


def ball_in(station: Station, ml: float, centre: Sequence[float]) -> NDArray[np.bool_]:
    """Voxels (x, y, z) of a station inside a ball of a volume around a place (mm, RAS)."""
    radius = (3 * ml * 1000 / (4 * np.pi)) ** (1 / 3)
    axes = [station.affine[a, 3] + station.affine[a, a] * np.arange(n) for a, n in enumerate(station.shape)]
    squares = [(places - middle) ** 2 for places, middle in zip(axes, centre, strict=True)]
    ball: NDArray[np.bool_] = squares[0][:, None, None] + squares[1][:, None] + squares[2] <= radius**2
    return ball


def void(stations: Sequence[Station], ml: float) -> list[Station]:
    """Lose all signal in a ball, as around a metal implant."""
    return _in_ball(stations, ml, _place_in_liver(stations), lambda own, _other, ball: np.where(ball, 0, own))


def _place_in_liver(stations: Sequence[Station]) -> tuple[float, float, float]:
    return 75.0, 0.0, _middle_mm(stations[ABDOMEN])


def _in_ball(
    stations: Sequence[Station], ml: float, centre: Sequence[float], change: Any, *, swap: bool = False
) -> list[Station]:
    partner = {Contrast.WATER: Contrast.FAT, Contrast.FAT: Contrast.WATER}
    changed = []
    for station in stations:
        ball = ball_in(station, ml, centre)
        images = {
            contrast: change(image, station.images[partner.get(contrast, contrast) if swap else contrast], ball)
            for contrast, image in station.images.items()
        }
        changed.append(Station(station.index, images, station.affine))
    return changed


def _middle_mm(station: Station) -> float:
    return float(station.affine[2, 3] + station.affine[2, 2] * station.shape[2] / 2)


def scale_fat(stations: Sequence[Station], factor: float) -> list[Station]:
    """Scale the fat image of one station by another factor than its other images."""
    return in_stations(stations, [ABDOMEN], lambda contrast, image: image * (factor if contrast == "fat" else 1.0))


def scale_all_fat(stations: Sequence[Station], factor: float) -> list[Station]:
    """Scale the fat image of all stations."""
    every = range(len(stations))
    return in_stations(stations, every, lambda contrast, image: image * (factor if contrast == "fat" else 1.0))


def copy_in_phase(stations: Sequence[Station], number: float) -> list[Station]:
    """Deliver in phase twice in one station, once under the name of opposed phase."""
    station = stations[int(number) - 1]
    images = {**station.images, Contrast.OPPOSED_PHASE: station.images[Contrast.IN_PHASE]}
    return _with_station(stations, Station(station.index, images, station.affine))


def name_phases_wrong(stations: Sequence[Station], number: float) -> list[Station]:
    """Name in phase and opposed phase of one station for each other."""
    return _renamed(stations, number, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)


def name_water_in_phase(stations: Sequence[Station], number: float) -> list[Station]:
    """Name water and in phase of one station for each other."""
    return _renamed(stations, number, Contrast.WATER, Contrast.IN_PHASE)


def _renamed(stations: Sequence[Station], number: float, one: Contrast, other: Contrast) -> list[Station]:
    station = stations[int(number) - 1]
    images = {**station.images, one: station.images[other], other: station.images[one]}
    return _with_station(stations, Station(station.index, images, station.affine))


def _with_station(stations: Sequence[Station], station: Station) -> list[Station]:
    return [station if each.index == station.index else each for each in stations]


def gain(stations: Sequence[Station], factor: float) -> list[Station]:
    """Scale all images of one station."""
    return in_stations(stations, [ABDOMEN], lambda _, image: image * factor)


def add_noise(stations: Sequence[Station], sd: float) -> list[Station]:
    """Add noise to the magnitude images of all stations."""
    rng = np.random.default_rng(5)
    return in_stations(stations, range(len(stations)), lambda _, image: np.abs(image + rng.normal(0, sd, image.shape)))


def shade(stations: Sequence[Station], depth: float) -> list[Station]:
    """Darken all images from right to left, as a coil element that is off does."""
    return in_stations(
        stations, range(len(stations)), lambda _, image: image * np.linspace(1 - depth, 1, len(image))[:, None, None]
    )


def fold(stations: Sequence[Station], share: float) -> list[Station]:
    """Fold what lies in front of the field of view over its back, in one station."""

    def folded(_contrast: Contrast, image: NDArray[Any]) -> NDArray[Any]:
        rows = int(image.shape[1] * share)
        wrapped = image.astype(float)
        wrapped[:, :rows] += image[:, -rows:]
        wrapped[:, -rows:] = 0
        return wrapped

    return in_stations(stations, [ABDOMEN], folded)


def ghost(stations: Sequence[Station], share: float) -> list[Station]:
    """Add a ghost of the body, moved by half the field of view, in one station."""
    return in_stations(
        stations, [ABDOMEN], lambda _, image: image + share * np.roll(image, image.shape[1] // 2, axis=1)
    )


def spikes(stations: Sequence[Station], count: float) -> list[Station]:
    """Set single voxels of one station to the highest value."""

    def spiked(_contrast: Contrast, image: NDArray[Any]) -> NDArray[Any]:
        changed = image.astype(float)
        places = np.random.default_rng(6).choice(image.size, int(count), replace=False)
        changed.flat[places] = np.iinfo(np.int16).max
        return changed

    return in_stations(stations, [ABDOMEN], spiked)


def blur(stations: Sequence[Station], sigma: float) -> list[Station]:
    """Blur one station from back to front, as breathing does."""
    return in_stations(
        stations, [ABDOMEN], lambda _, image: ndimage.gaussian_filter1d(image.astype(float), sigma, axis=1)
    )


def saturate(stations: Sequence[Station], level: float) -> list[Station]:
    """Cut all values at a level below the brightest tissue."""

    def cut(_contrast: Contrast, image: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.minimum(image, level * np.percentile(image, 99)))

    return in_stations(stations, range(len(stations)), cut)


def quantise(stations: Sequence[Station], levels: float) -> list[Station]:
    """Leave so few grey levels."""

    def rounded(_contrast: Contrast, image: NDArray[Any]) -> NDArray[Any]:
        step = np.percentile(image, 99) / levels
        return np.asarray(np.rint(image / step) * step)

    return in_stations(stations, range(len(stations)), rounded)


def offset(stations: Sequence[Station], share: float) -> list[Station]:
    """Add a constant to all images: the scanner's zero is not zero."""
    return in_stations(stations, range(len(stations)), lambda _, image: image + share * np.percentile(image, 99))


_STATIONS = (1.0, 3.0, 6.0)

SIGNAL_DEFECTS = (
    Defect(
        "water and fat of stations swapped", Layer.STATIONS, (1, 2, 4), "stations", swap_stations, Expected.CORRECTED
    ),
    Defect(
        "water and fat of the scan swapped",
        Layer.STATIONS,
        (6, 6, 6),
        "stations",
        swap_stations,
        Expected.CORRECTED,
    ),
    Defect("half of a station swapped", Layer.STATIONS, (3, 5, 6), "station", swap_half, Expected.CORRECTED),
    Defect("patch swapped", Layer.STATIONS, (20, 100, 500), "mL", swap_patch, Expected.GRADED),
    Defect("signal lost in a ball", Layer.STATIONS, (50, 200, 800), "mL", void, Expected.GRADED),
    Defect("fat of a station scaled", Layer.STATIONS, (1.04, 1.15, 1.6), "factor", scale_fat, Expected.EXCLUDED),
    Defect("fat of all stations scaled", Layer.STATIONS, (1.04, 1.15, 1.6), "factor", scale_all_fat, Expected.EXCLUDED),
    Defect("in phase delivered twice", Layer.STATIONS, _STATIONS, "station", copy_in_phase, Expected.EXCLUDED),
    Defect("phases named for each other", Layer.STATIONS, _STATIONS, "station", name_phases_wrong, Expected.EXCLUDED),
    Defect("water named in phase", Layer.STATIONS, _STATIONS, "station", name_water_in_phase, Expected.EXCLUDED),
    Defect("station of another brightness", Layer.STATIONS, (0.7, 0.4, 0.15), "factor", gain, Expected.CORRECTED),
    Defect("noise", Layer.STATIONS, (10, 40, 120), "SD", add_noise, Expected.GRADED),
    Defect("shading from side to side", Layer.STATIONS, (0.2, 0.5, 0.9), "depth", shade, Expected.GRADED),
    Defect("folded from front to back", Layer.STATIONS, (0.1, 0.2, 0.35), "share", fold, Expected.GRADED),
    Defect("ghost", Layer.STATIONS, (0.05, 0.2, 0.5), "share", ghost, Expected.GRADED),
    Defect("single voxels of any brightness", Layer.STATIONS, (1, 4, 8), "voxels", spikes, Expected.CORRECTED),
    Defect("station blurred by breathing", Layer.STATIONS, (0.7, 1.5, 4), "voxels", blur, Expected.GRADED),
    Defect("values cut off", Layer.STATIONS, (0.9, 0.6, 0.3), "level", saturate, Expected.GRADED),
    Defect("few grey levels", Layer.STATIONS, (64, 16, 5), "levels", quantise, Expected.GRADED),
    Defect("constant added", Layer.STATIONS, (0.02, 0.1, 0.3), "share", offset, Expected.EXCLUDED),
)
