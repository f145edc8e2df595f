"""Corrections of training label maps that annotators leave out: holes, gaps between neighbours, labels in the air.

All are off by default and recorded with the data set that they were applied to. Label maps of test participants are
never changed: they are what the annotators said.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import ndimage
from skimage.filters import threshold_otsu

from dixonflow.config.fields import Section
from dixonflow.imaging.types import Box, Labels, Mask, Spacing

_SMALLEST_PART = 0.01
"""Of the largest piece of the body: smaller bright pieces, such as a coil, are no part of it; an arm is."""


class HarmoniseSettings(Section):
    """Which corrections are made, in the order of the fields.

    Attributes
    ----------
    fill_holes
        Structures whose enclosed cavities are filled.
    close_gaps
        Pairs of neighbouring structures whose gaps are closed.
    max_gap_mm
        Widest gap, between the centres of the voxels on both sides.
    drop_outside_body
        Whether labels outside the body are removed.
    """

    fill_holes: tuple[str, ...] = ()
    close_gaps: tuple[tuple[str, str], ...] = ()
    max_gap_mm: Annotated[float, Field(gt=0, le=50)] = 6.0
    drop_outside_body: bool = False

    @model_validator(mode="after")
    def _two_structures(self) -> Self:
        if any(one == other for one, other in self.close_gaps):
            raise ValueError("a gap is closed between two structures: the same one is named twice")
        return self

    @property
    def structures(self) -> frozenset[str]:
        """Structures that are named."""
        return frozenset(self.fill_holes) | {name for pair in self.close_gaps for name in pair}


def harmonised(
    labels: Labels,
    images: Iterable[NDArray[np.generic]],
    spacing_mm: Spacing,
    settings: HarmoniseSettings,
    numbers: Mapping[str, int],
) -> tuple[Labels, dict[str, int]]:
    """Correct a label map.

    Parameters
    ----------
    labels
        Shape (x, y, z).
    images
        Of the scan, on the same grid; read where the body is looked for.
    spacing_mm
        Voxel size (x, y, z).
    numbers
        Label of each structure.

    Returns
    -------
    The corrected label map, and the number of voxels that each correction has changed.
    """
    found, changed = labels, {}
    if settings.fill_holes:
        found = fill_holes(found, [numbers[name] for name in settings.fill_holes])
        changed["fill_holes"] = int(np.count_nonzero(found != labels))
    if settings.close_gaps:
        before = found
        for one, other in settings.close_gaps:
            found = close_gaps(found, numbers[one], numbers[other], spacing_mm, settings.max_gap_mm)
        changed["close_gaps"] = int(np.count_nonzero(found != before))
    if settings.drop_outside_body:
        before, found = found, drop_outside(found, body_mask(images))
        changed["drop_outside_body"] = int(np.count_nonzero(found != before))
    return found, changed


def fill_holes(labels: Labels, structures: Sequence[int]) -> Labels:
    """Give background that a structure encloses on all sides to it; other structures inside it stay.

    Parameters
    ----------
    labels
        Shape (x, y, z).
    structures
        Labels to fill, in this order.
    """
    filled = labels.copy()
    boxes = ndimage.find_objects(labels)
    for label in structures:
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is None:
            continue
        part = filled[box]
        part[ndimage.binary_fill_holes(part == label) & (part == 0)] = label
    return filled


def close_gaps(labels: Labels, one: int, other: int, spacing_mm: Spacing, max_gap_mm: float) -> Labels:
    """Give background between two structures to the nearer one, to the first where both are as near.

    A voxel lies between them where its distances to both add up to `max_gap_mm` at most, centre to centre: a gap of two
    voxels of 2 mm has a width of 6 mm.

    Parameters
    ----------
    labels
        Shape (x, y, z).
    one, other
        Labels of the two structures.
    spacing_mm
        Voxel size (x, y, z).
    max_gap_mm
        Widest gap that is closed.
    """
    boxes = ndimage.find_objects(labels)
    both = [boxes[label - 1] if label <= len(boxes) else None for label in (one, other)]
    closed = labels.copy()
    if both[0] is None or both[1] is None:
        return closed
    box = _shared(both[0], both[1], labels.shape, [int(max_gap_mm // spacing) + 1 for spacing in spacing_mm])
    part = closed[box]
    if not part.size or not (part == one).any() or not (part == other).any():
        return closed
    to_one = ndimage.distance_transform_edt(part != one, sampling=spacing_mm)
    to_other = ndimage.distance_transform_edt(part != other, sampling=spacing_mm)
    between = (part == 0) & (to_one + to_other <= max_gap_mm * (1 + 1e-6))
    part[between] = np.where(to_one[between] <= to_other[between], one, other)
    return closed


def drop_outside(labels: Labels, body: Mask) -> Labels:
    """Labels inside the body alone. Both have the shape (x, y, z)."""
    return np.where(body, labels, labels.dtype.type(0))


def body_mask(images: Iterable[NDArray[np.generic]]) -> Mask:
    """Where the body is: bright in the sum of the images, cavities of each axial plane filled, one voxel of margin.

    Parameters
    ----------
    images
        Shape (x, y, z) each. Their sum is divided into air and body by Otsu's threshold (IEEE Trans Syst Man Cybern
        1979, 9:62); bright is what lies a quarter or more of the way from the mean of air to that of the body, because
        the signal of bone and far from the coil is weaker.
    """
    total = np.sum([np.asarray(image, np.float32) for image in images], axis=0)
    if not total.any():
        return np.zeros(total.shape, bool)
    is_body = total > threshold_otsu(total)  # type: ignore[no-untyped-call]
    air, tissue = total[~is_body].mean(), total[is_body].mean()
    pieces, count = ndimage.label(total >= air + (tissue - air) / 4)
    if not count:
        return np.zeros(total.shape, bool)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = (sizes >= _SMALLEST_PART * sizes.max())[pieces]
    for plane in range(body.shape[2]):
        body[:, :, plane] = ndimage.binary_fill_holes(body[:, :, plane])
    grown: Mask = ndimage.binary_dilation(body)
    return grown


def _shared(one: tuple[slice, ...], other: tuple[slice, ...], shape: Sequence[int], margin: Sequence[int]) -> Box:
    """Box of all voxels that are within a margin of both boxes."""
    sides = [
        slice(
            max(0, first.start - extra, second.start - extra),
            max(0, min(size, first.stop + extra, second.stop + extra)),
        )
        for first, second, size, extra in zip(one, other, shape, margin, strict=True)
    ]
    return sides[0], sides[1], sides[2]
