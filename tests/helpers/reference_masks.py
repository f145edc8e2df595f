"""Small label maps in the form of other programs, for tests of what compares them."""

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

SPACING_MM = (2.0, 2.0, 3.0)
SHAPE = (24, 20, 16)

BOXES = {
    "liver": np.s_[13:21, 4:14, 8:14],  # right of the middle, where RAS+ has large x
    "spleen": np.s_[2:6, 4:9, 9:13],
    "kidney_left": np.s_[4:8, 11:16, 3:8],
    "kidney_right": np.s_[16:20, 15:19, 3:8],
    "pancreas": np.s_[8:13, 8:11, 6:8],
}
"""Structures of a participant who lies as RAS+ says: the patient's right has large x."""


def affine_of(spacing: tuple[float, float, float] = SPACING_MM, origin: ArrayLike = (-24.0, -20.0, -30.0)) -> NDArray:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return affine


def label_map(numbers: Mapping[str, int], shift: tuple[int, int, int] = (0, 0, 0)) -> NDArray[np.uint8]:
    """A map of the structures that `numbers` names, moved by whole voxels."""
    labels = np.zeros(SHAPE, np.uint8)
    for name, number in numbers.items():
        labels[BOXES[name]] = number
    return np.roll(labels, shift, (0, 1, 2))


def write(path: Path, data: NDArray, affine: NDArray | None = None, *, orientation: str = "RAS") -> Path:
    """Write an array that is RAS+ as a file whose axes point in `orientation`, with NIfTI's own code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine_of() if affine is None else affine, dtype=data.dtype)
    wanted = nib.orientations.axcodes2ornt(orientation)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    nib.save(image, path)
    return path
