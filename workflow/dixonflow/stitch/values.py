"""Values that a magnitude image cannot have: clearly negative ones, and single voxels of any brightness."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import MAP_SCALE, Station
from dixonflow.vocabulary import Contrast, Reason

CLEARLY_NEGATIVE = -0.5
SLIGHTLY_NEGATIVE = -0.1
SLIGHTLY_NEGATIVE_SHARE = 0.02
"""Magnitude images that were interpolated ring below zero at sharp edges. Phantoms moved by half a voxel with cubic
splines reach a fifth of the signal (the 99th percentile of what is above zero), and a hundredth of their voxels lies
below a twentieth. No voxel may be as low as the first of these bounds, and a fiftieth at most lower than the second."""

PERCENT = (2.0, 200.0)
"""The 99th percentile of a map of fat fractions in percent lies here: skin and marrow reach about 95, noise somewhat
more than 100. Fractions from 0 to 1 lie below, tenths of a percent above."""

MAP_LIMIT = float(np.iinfo(np.int16).max // MAP_SCALE)
"""Largest value of a map that its stitched image can hold: noise in air may exceed it, no tissue does."""

OUTLIER_FACTOR = 8
MAX_OUTLIERS = 10
OUTLIER_SHARE = 1e-5
"""At most so many voxels of an image, or this share of them, that are so far above the others are no signal."""


def without_outliers(station: Station) -> tuple[Station, int]:
    """Check the values of a station, and bring single voxels of any brightness down to the brightest of the others.

    One voxel would set the scale of all images, and leave no grey levels to the rest. Values of maps are limited to
    what their images can hold. An image without outliers is
    given as it is.

    Returns
    -------
    The station, and how many voxels were changed.

    Raises
    ------
    ScanExcluded
        `implausible_values` where an image is clearly negative, or a map of fat fractions is not in percent.
    """
    images = dict(station.images)
    changed = 0
    for contrast, image in station.images.items():
        if contrast.is_map:
            if contrast is Contrast.FAT_FRACTION:
                check_percent(image, f"station {station.index + 1}: the {contrast} image")
            values = image.astype(np.float64)
            beyond = int(np.count_nonzero(np.abs(values) > MAP_LIMIT))
            if beyond:
                images[contrast] = np.clip(values, -MAP_LIMIT, MAP_LIMIT).astype(image.dtype)
                changed += beyond
            continue
        check_negative(image, f"station {station.index + 1}: the {contrast} image")
        outliers = _outliers(image)
        if outliers is not None:
            bright, highest = outliers
            images[contrast] = np.where(bright, image.dtype.type(highest), image)
            changed += int(np.count_nonzero(bright))
    return replace(station, images=images) if changed else station, changed


def check_percent(image: NDArray[Any], name: str) -> None:
    """Check that a map of fat fractions is in percent; parameters and errors as of `check_negative`."""
    low, high = np.percentile(image.astype(np.float64), (1, 99)).tolist()
    if low < -PERCENT[1] or not PERCENT[0] <= high <= PERCENT[1]:
        raise ScanExcluded(
            Reason.IMPLAUSIBLE_VALUES,
            f"{name} holds values from {low:g} to {high:g}, which are no fat fractions in percent",
        )


def check_negative(image: NDArray[Any], name: str) -> None:
    """Check that an image is one of magnitudes, apart from what interpolation leaves below zero.

    Parameters
    ----------
    name
        How the message calls it.

    Raises
    ------
    ScanExcluded
        `implausible_values`.
    """
    low = float(image.min())
    if low >= 0:
        return
    above = image[image > 0]
    signal = float(np.percentile(above.astype(np.float64), 99)) if above.size else 0.0
    share = np.count_nonzero(image < SLIGHTLY_NEGATIVE * signal) / image.size
    if low < CLEARLY_NEGATIVE * signal or share > SLIGHTLY_NEGATIVE_SHARE:
        raise ScanExcluded(
            Reason.IMPLAUSIBLE_VALUES,
            f"{name} holds values down to {low:g}, which a magnitude image cannot have: padding, or phase",
        )


def _outliers(image: NDArray[Any]) -> tuple[NDArray[np.bool_], float] | None:
    """Give the voxels that stand out and the brightest of the others; None where there are none."""
    allowed = max(MAX_OUTLIERS, int(OUTLIER_SHARE * image.size))
    high = float(image.max())
    if np.count_nonzero(image > high / OUTLIER_FACTOR) > allowed:
        return None
    ranked = np.partition(image, image.size - allowed - 1, axis=None)
    highest = float(ranked[image.size - allowed - 1])
    if highest <= 0 or high <= OUTLIER_FACTOR * highest:
        return None
    return np.asarray(image > OUTLIER_FACTOR * highest), highest
