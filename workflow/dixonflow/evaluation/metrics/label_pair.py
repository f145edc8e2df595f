"""A predicted and a reference label map, checked and cut down to what metrics need."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dixonflow.evaluation.regions import Region
from dixonflow.imaging.types import Labels, Spacing
from dixonflow.labelmap.components import bounding_box

LARGEST_LABEL = np.iinfo(np.uint8).max
"""Labels up to this one keep their ids, because renumbering takes longer than all that is counted."""


@dataclass(frozen=True)
class LabelPair:
    """Two label maps on one grid.

    The grid is that of the input without what is background in both maps, possibly with its axes in reverse order: no
    metric depends on either.

    Attributes
    ----------
    predicted, reference
        Label maps of one shape, C order, uint8 or uint16.
    spacing_mm
        Voxel size along their axes.
    regions
        The regions in the order of the caller, with the ids of these maps. Labels of no region may be in the maps.
    """

    predicted: Labels
    reference: Labels
    spacing_mm: Spacing
    regions: tuple[Region, ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def size(self) -> int:
        """One above the largest label of maps and regions."""
        largest = max(max(each.labels) for each in self.regions)
        return 1 + max(int(self.predicted.max(initial=0)), int(self.reference.max(initial=0)), largest)


def label_pair(
    predicted: NDArray[np.integer],
    reference: NDArray[np.integer],
    spacing_mm: Sequence[float],
    regions: Sequence[Region],
) -> LabelPair:
    """Check two label maps and make them small and equal in type and order.

    Parameters
    ----------
    predicted, reference
        Label maps of shape (x, y, z), 0 is background, of any integer type and memory order.
    spacing_mm
        Voxel size (x, y, z).
    regions
        What is evaluated; at least one. Voxels whose label is of no region belong to nothing.

    Raises
    ------
    ValueError
        If the maps are not integers of 0 and above on one three-dimensional grid, the spacing is not positive, or there
        are no regions or two of one name.
    """
    if predicted.shape != reference.shape or predicted.ndim != 3 or not predicted.size:
        raise ValueError(f"label maps of shape {predicted.shape} and {reference.shape} are not on one grid of voxels")
    if not (np.issubdtype(predicted.dtype, np.integer) and np.issubdtype(reference.dtype, np.integer)):
        raise ValueError(f"label maps must be integers, not {predicted.dtype} and {reference.dtype}")
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise ValueError(f"spacing must be three positive numbers, not {tuple(spacing_mm)}")
    if min(predicted.min(initial=0), reference.min(initial=0)) < 0:
        raise ValueError("label ids must not be negative")
    names = [each.name for each in regions]
    if len(set(names)) != len(names) or not names:
        raise ValueError("the regions to evaluate must be at least one, each with a name of its own")
    x, y, z = (float(each) for each in spacing_mm)
    spacing: Spacing = (x, y, z)
    if not reference.flags.c_contiguous and reference.flags.f_contiguous:
        predicted, reference, spacing = predicted.T, reference.T, (z, y, x)
    predicted, reference = _cropped(predicted, reference)
    wanted = np.unique([label for each in regions for label in each.labels])
    if max(int(each.max(initial=0)) for each in (predicted, reference, wanted)) <= LARGEST_LABEL:
        one, other = (np.ascontiguousarray(each, np.uint8) for each in (predicted, reference))
        return LabelPair(one, other, spacing, tuple(regions))
    ids = {int(label): position for position, label in enumerate(wanted, start=1)}
    renamed = tuple(replace(each, labels=tuple(ids[label] for label in each.labels)) for each in regions)
    return LabelPair(_renumbered(predicted, wanted), _renumbered(reference, wanted), spacing, renamed)


def _cropped(*maps: NDArray[np.integer]) -> tuple[NDArray[np.integer], ...]:
    """Views without the margin that is background in all; a single voxel where all is background."""
    filled = [box for box in (bounding_box(labels != 0) for labels in maps) if box[0].stop]
    if not filled:
        return tuple(labels[:1, :1, :1] for labels in maps)
    box = tuple(slice(min(each[a].start for each in filled), max(each[a].stop for each in filled)) for a in range(3))
    return tuple(labels[box] for labels in maps)


def _renumbered(labels: NDArray[np.integer], wanted: NDArray[np.integer]) -> Labels:
    """Position of each voxel's label in `wanted`, from 1; 0 for those that are not in it."""
    result = np.zeros(labels.shape, np.uint8 if len(wanted) <= LARGEST_LABEL else np.uint16)
    for plane, found in zip(result, labels, strict=True):
        position = np.searchsorted(wanted, found).clip(max=len(wanted) - 1)
        plane[:] = np.where(wanted[position] == found, position + 1, 0)
    return result
