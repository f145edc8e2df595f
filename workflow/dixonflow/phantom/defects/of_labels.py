"""Defects of the label map: what a network that fails makes of a scan."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from dixonflow.imaging.types import Affine, Labels
from dixonflow.phantom.defects.defect import Defect, Expected, Layer

Ids = Mapping[str, int]


def lose_kidney(labels: Labels, _affine: Affine, ids: Ids, share: float) -> Labels:
    """Lose the upper part of the right kidney."""
    return _lose(labels, ids["kidney_right"], share)


def lose_liver(labels: Labels, _affine: Affine, ids: Ids, share: float) -> Labels:
    """Lose the upper part of the liver."""
    return _lose(labels, ids["liver"], share)


def lose_muscle(labels: Labels, _affine: Affine, ids: Ids, share: float) -> Labels:
    """Lose the upper part of what is labelled muscle."""
    return _lose(labels, ids["muscle"], share)


def _lose(labels: Labels, label: int, share: float) -> Labels:
    place = np.nonzero(labels == label)
    limit = np.quantile(place[2], 1 - share)
    changed = labels.copy(order="K")
    lost = place[2] >= limit
    changed[tuple(axis[lost] for axis in place)] = 0
    return changed


def swap_kidneys(labels: Labels, _affine: Affine, ids: Ids, share: float) -> Labels:
    """Give the upper part of the right kidney the label of the left one, and with 1 also the other way round."""
    right, left = ids["kidney_right"], ids["kidney_left"]
    changed = labels.copy(order="K")
    place = np.nonzero(labels == right)
    taken = place[2] >= np.quantile(place[2], 1 - share)
    changed[tuple(axis[taken] for axis in place)] = left
    if share >= 1:
        changed[labels == left] = right
    return changed


def grow_liver(labels: Labels, _affine: Affine, ids: Ids, voxels: float) -> Labels:
    """Let the liver grow into everything around it."""
    grown = ndimage.binary_dilation(labels == ids["liver"], iterations=int(voxels))
    return np.where(grown, ids["liver"], labels).astype(labels.dtype)


def shrink_all(labels: Labels, _affine: Affine, _ids: Ids, voxels: float) -> Labels:
    """Take the outermost voxels from every structure."""
    size = (2 * int(voxels) + 1,) * 3
    values = labels.astype(np.int32)
    inner = ndimage.minimum_filter(values, size) == ndimage.maximum_filter(values, size)
    return np.where(inner, labels, 0).astype(labels.dtype)


def move_all(labels: Labels, _affine: Affine, _ids: Ids, voxels: float) -> Labels:
    """Move the label map against the image."""
    return np.roll(labels, int(voxels), axis=0)


def lose_side(labels: Labels, _affine: Affine, _ids: Ids, share: float) -> Labels:
    """Lose all labels in the left part of the image."""
    changed = labels.copy(order="K")
    changed[: int(share * len(labels))] = 0
    return changed


def mirror_all(labels: Labels, _affine: Affine, _ids: Ids, part: float) -> Labels:
    """Mirror the label map from the feet up to this part of its height."""
    changed = labels.copy(order="K")
    planes = int(part * labels.shape[2])
    changed[:, :, :planes] = labels[::-1, :, :planes]
    return changed


def swap_liver_and_spleen(labels: Labels, _affine: Affine, ids: Ids, share: float) -> Labels:
    """Give the upper part of the spleen the label of the liver."""
    changed = labels.copy(order="K")
    place = np.nonzero(labels == ids["spleen"])
    taken = place[2] >= np.quantile(place[2], 1 - share)
    changed[tuple(axis[taken] for axis in place)] = ids["liver"]
    return changed


LABEL_DEFECTS = (
    Defect("kidney lost", Layer.LABELS, (0.1, 0.4, 1), "share", lose_kidney, Expected.GRADED),
    Defect("part of the liver lost", Layer.LABELS, (0.1, 0.3, 0.8), "share", lose_liver, Expected.GRADED),
    Defect("part of the muscle lost", Layer.LABELS, (0.1, 0.3, 0.8), "share", lose_muscle, Expected.GRADED),
    Defect("kidneys swapped", Layer.LABELS, (0.1, 0.4, 1), "share", swap_kidneys, Expected.GRADED),
    Defect("liver overgrown", Layer.LABELS, (1, 2, 4), "voxels", grow_liver, Expected.GRADED),
    Defect("structures too small", Layer.LABELS, (1, 2, 3), "voxels", shrink_all, Expected.GRADED),
    Defect("label map moved", Layer.LABELS, (1, 2, 6), "voxels", move_all, Expected.GRADED),
    Defect("labels of one side lost", Layer.LABELS, (0.2, 0.35, 0.5), "share", lose_side, Expected.GRADED),
    Defect("label map mirrored", Layer.LABELS, (0.3, 0.6, 1), "share", mirror_all, Expected.GRADED),
    Defect("spleen taken for liver", Layer.LABELS, (0.1, 0.4, 1), "share", swap_liver_and_spleen, Expected.GRADED),
)
