"""What is done to label maps before they are compared: one grid, and the options that papers use."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from dixonflow.evaluation.masks.label_files import StructureMap, same_grid
from dixonflow.evaluation.masks.mapping import structure_ids
from dixonflow.evaluation.masks.problem import CaseProblem
from dixonflow.imaging.types import Affine, Box, Mask
from dixonflow.labelmap.components import bounding_box
from dixonflow.measure.compartments.without_arms import without_arms
from dixonflow.resample.label_maps import labels_by_headers

HIPS = ("hip_left", "hip_right")
FEMURS = ("femur_left", "femur_right")
HUMERI = ("humerus_left", "humerus_right")

OUTLINE = "subcutaneous_fat"
"""A label map that has it covers the body to the skin, which tells arms from the trunk."""


@dataclass(frozen=True)
class Options:
    """How label maps are compared.

    Attributes
    ----------
    tolerance_mm
        Of the normalised surface distance.
    surfaces
        Whether surface distances are computed, which take most of the time.
    erode
        Take the outermost voxels off every structure, of the reference and the prediction.
    without_arms_and_legs
        Compare within the trunk.
    crop_mm
        Compare within the box around the reference's labels and this much more on every side; None for everywhere.
    join_lobes
        Compare lungs, not their lobes.
    classes
        Structures that are compared; None for all.
    """

    tolerance_mm: float = 3.0
    surfaces: bool = True
    erode: bool = False
    without_arms_and_legs: bool = False
    crop_mm: float | None = None
    join_lobes: bool = False
    classes: frozenset[str] | None = None


@dataclass(frozen=True)
class GridChange:
    """How a prediction came onto the reference's grid.

    Attributes
    ----------
    resampled
        Whether it was on another grid.
    outside_percent
        Share of the reference's labelled voxels that lie outside the prediction's field of view: they count as missed.
    """

    resampled: bool
    outside_percent: float


def on_grid(prediction: StructureMap, reference: StructureMap) -> tuple[NDArray[np.uint8], GridChange]:
    """Bring a prediction onto the grid of the reference, by nearest neighbour where it is another one.

    Raises
    ------
    CaseProblem
        If they do not overlap.
    """
    shape = reference.ids.shape
    if same_grid(reference.affine, shape, prediction.affine, prediction.ids.shape):
        return prediction.ids, GridChange(False, 0.0)
    to_prediction = np.linalg.inv(prediction.affine) @ reference.affine
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])], float)
    corners[:, :3] -= 0.5
    reached = (corners @ to_prediction.T)[:, :3]
    if np.any(reached.max(axis=0) <= -0.5) or np.any(reached.min(axis=0) >= np.array(prediction.ids.shape) - 0.5):
        raise CaseProblem("the prediction and the reference do not overlap in space")
    ids = labels_by_headers(prediction.ids, to_prediction, shape).astype(np.uint8)
    seen = labels_by_headers(np.ones(prediction.ids.shape, np.uint8), to_prediction, shape)
    if not seen.any():
        raise CaseProblem("the prediction and the reference do not overlap in space")
    labelled = reference.ids > 0
    number = int(labelled.sum())
    outside = int((labelled & (seen == 0)).sum())
    return ids, GridChange(True, 100 * outside / number if number else 0.0)


def around(ids: NDArray[np.uint8], affine: Affine, margin_mm: float) -> Box:
    """Box around the labels of a map and `margin_mm` more on every side; everything where there is no label."""
    box = bounding_box(ids)
    if not box[0].stop:
        return slice(None), slice(None), slice(None)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    x, y, z = (
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size, margin in zip(box, ids.shape, np.floor(margin_mm / spacing + 1e-6).astype(int), strict=True)
    )
    return x, y, z


Boxes = Sequence[Sequence[tuple[slice, ...] | None]]
"""Box of each label from 1 on, of each of some label maps; None where a map lacks the label."""


def boxes_of(*maps: NDArray[np.uint8]) -> Boxes:
    """Find the box of every label of label maps on one grid, in one pass of each."""
    return [find_objects(ids) for ids in maps]


def joint_box(boxes: Boxes, labels: Collection[int], margin: tuple[int, int, int]) -> Box:
    """Box around labels of all maps and some voxels more, within the image; one voxel where no map has them."""
    known = [box for each in boxes for label in labels if label <= len(each) and (box := each[label - 1]) is not None]
    if not known:
        return slice(0, 1), slice(0, 1), slice(0, 1)
    x, y, z = (
        slice(max(0, min(box[axis].start for box in known) - more), max(box[axis].stop for box in known) + more)
        for axis, more in enumerate(margin)
    )
    return x, y, z


def covers_body(structures: Collection[str]) -> bool:
    """Whether a label map of these structures says where arms and legs begin."""
    return OUTLINE in structures and all(hip in structures for hip in HIPS)


def trunk(ids: NDArray[np.uint8], affine: Affine) -> Mask:
    """Mark the body without arms and without what lies below the hip bones.

    Parameters
    ----------
    ids
        Label map that `covers_body`.
    affine
        4x4, voxel index (centre) to RAS mm.

    Raises
    ------
    CaseProblem
        If it has no hip bones.
    """
    number = structure_ids()
    hips = [number[name] for name in HIPS]
    planes = np.flatnonzero(np.isin(ids, hips).any(axis=(0, 1)))
    if not len(planes):
        raise CaseProblem("there are no hip bones, which say where the legs begin")
    straight = np.diag([*np.linalg.norm(affine[:3, :3], axis=0), 1.0])
    legs = [*hips, *(number[name] for name in FEMURS)]
    kept = without_arms(ids, straight, [number[name] for name in HUMERI], legs).mask
    kept[:, :, : planes[0]] = False
    return kept
