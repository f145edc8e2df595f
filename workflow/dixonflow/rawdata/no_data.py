"""Voxels without data: NaN, as programs that mask or resample leave it around the body."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.pixels import AIR_HU
from dixonflow.vocabulary import Contrast, Reason

SIGNAL_FRACTION = 0.15
"""A voxel shows the body above this fraction of an image's 99th percentile."""

MAX_SHARE_IN_BODY = 0.001
"""Part of the voxels with signal that may lack data in another contrast: rounding at the edge of a mask, no more."""


def no_data_value(contrast: Contrast | None) -> int:
    """Value that stands for no data: air in a CT, else 0."""
    return AIR_HU if contrast is Contrast.CT else 0


def without_missing(images: Mapping[Contrast, NDArray[Any]], name: str) -> dict[Contrast, NDArray[Any]]:
    """Replace NaN by 0, which stands for no data as where no station reaches; in a CT by the value of air.

    Parameters
    ----------
    images
        Contrasts of one station, (x, y, z).
    name
        How messages call the station.

    Raises
    ------
    ScanExcluded
        `implausible_values` where a contrast has no data inside the body, as another one shows it; `empty_image` where
        it has none at all.
    """
    missing = {
        contrast: np.isnan(image)
        for contrast, image in images.items()
        if image.dtype.kind == "f" and np.isnan(image.min())
    }
    if not missing:
        return dict(images)
    filled = {
        contrast: np.where(missing[contrast], image.dtype.type(no_data_value(contrast)), image)
        if contrast in missing
        else image
        for contrast, image in images.items()
    }
    for contrast, mask in missing.items():
        if mask.all():
            raise ScanExcluded(Reason.EMPTY_IMAGE, f"{name}: the {contrast} image holds no data")
        for other, image in filled.items():
            bright = float(np.percentile(image[::2, ::2, ::2].astype(np.float64), 99))
            signal = np.greater(image, SIGNAL_FRACTION * bright)
            lost = float(np.mean(mask[signal])) if np.any(signal) else 0.0
            if bright > 0 and lost > MAX_SHARE_IN_BODY:
                message = f"{name}: {contrast} has no data in {lost:.1%} of the voxels in which {other} has signal"
                raise ScanExcluded(Reason.IMPLAUSIBLE_VALUES, message)
    return filled
