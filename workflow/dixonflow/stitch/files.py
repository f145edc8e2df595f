"""Stitched images as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.imaging.types import Affine
from dixonflow.stitch.report import StitchedImages
from dixonflow.vocabulary import Contrast, Reason


def write_stitched(stitched: StitchedImages, paths: Mapping[Contrast, Path]) -> None:
    """Write the images, each whole or not at all."""
    for contrast, image in stitched.images.items():
        write_nifti(paths[contrast], image, stitched.affine)


def read_stitched(paths: Mapping[Contrast, Path]) -> tuple[dict[Contrast, NDArray[Any]], Affine]:
    """Read stitched images and check that they share one grid.

    Raises
    ------
    ScanExcluded
        `unreadable_file` or `truncated_pixels` for a broken file, `spacing_mismatch` where grids differ.
    """
    images, affines = {}, []
    for contrast, path in paths.items():
        image = read_nifti(path)
        images[contrast] = image.data
        affines.append(image.affine)
    if len({image.shape for image in images.values()}) > 1 or not np.allclose(affines, affines[0], atol=1e-3):
        raise ScanExcluded(Reason.SPACING_MISMATCH, "the stitched images of the contrasts are not on one grid")
    return images, affines[0]
