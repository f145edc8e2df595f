"""What a planted defect is. The next one is a function and a line of a list in one of the modules of this package."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.imaging.types import Affine, Labels
from dixonflow.vocabulary import Contrast

ABDOMEN = 2
"""Station, 0 nearest to the head, that shows liver and kidneys in UK Biobank's protocol."""


class Layer(StrEnum):
    """Where a defect is planted."""

    STATIONS = "images of the stations"
    MIXED = "images of two participants"
    FILES = "raw files"
    LABELS = "label map"


class Expected(StrEnum):
    """What the workflow has to make of a defect."""

    CORRECTED = "corrected"
    GRADED = "graded"
    EXCLUDED = "excluded"


Images = Mapping[Contrast, NDArray[Any]]
PlantInStations = Callable[[Sequence[Station], float], list[Station]]
PlantOfTwo = Callable[[Sequence[Station], Sequence[Station], float], list[Station]]
PlantInFiles = Callable[[Path, float], None]
PlantInLabels = Callable[[Labels, Affine, Mapping[str, int], float], Labels]


@dataclass(frozen=True)
class Defect:
    """One kind of defect.

    Attributes
    ----------
    name
        In the table of defects.
    layer
        Where it is planted.
    strengths
        Three, from slight to gross, in `unit`.
    unit
        What a strength is.
    plant
        Plants it: takes what the layer has, and the strength.
    expected
        For the gross form; a slight one may change nothing, which is as good.
    """

    name: str
    layer: Layer
    strengths: tuple[float, float, float]
    unit: str
    plant: PlantInStations | PlantOfTwo | PlantInFiles | PlantInLabels
    expected: Expected


def with_images(station: Station, change: Callable[[Contrast, NDArray[Any]], NDArray[Any]]) -> Station:
    """Change each image of a station; values are rounded to what an int16 image of a scanner can hold."""
    limits = np.iinfo(np.int16)
    images = {}
    for contrast, image in station.images.items():
        changed = change(contrast, image)
        images[contrast] = np.clip(np.rint(changed), limits.min, limits.max).astype(np.int16)
    return Station(station.index, images, station.affine)


def in_stations(
    stations: Sequence[Station],
    chosen: Sequence[int],
    change: Callable[[Contrast, NDArray[Any]], NDArray[Any]],
) -> list[Station]:
    """Change the images of the chosen stations (0 nearest to the head), and leave the others as they are."""
    return [with_images(station, change) if station.index in chosen else station for station in stations]
