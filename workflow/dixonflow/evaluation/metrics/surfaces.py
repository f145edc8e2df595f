"""Distances between the surfaces of two masks: normalised surface distance and the 95th percentile of distances.

The surface is that of Nikolov et al. (J Med Internet Res 2021, 23:e26151) and their package surface-distance: an
element lies at every corner of the voxel grid whose eight voxels are not all alike, and has the area that marching
cubes gives to this pattern in millimetres. So voxels of any shape weigh as much as the surface they make. What lies
outside the array is background.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from surface_distance.lookup_tables import create_table_neighbour_code_to_surface_area

from dixonflow.imaging.types import Floats64, Mask, Spacing

SLACK_MM = 1e-4
"""Distances so little above the tolerance are within it: a header stores 3 mm as 3.0000002."""

FULL = 255
"""Code of a corner whose eight voxels are all in the mask."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance of each surface element of two masks to the surface of the other one.

    Attributes
    ----------
    predicted_mm, reference_mm
        Distances of the elements of each mask, shape (elements,).
    predicted_mm2, reference_mm2
        Areas of the elements, shape (elements,).
    """

    predicted_mm: Floats64
    reference_mm: Floats64
    predicted_mm2: Floats64
    reference_mm2: Floats64

    def within(self, tolerance_mm: float) -> float:
        """Normalised surface distance: the part of both surfaces' area that lies within a tolerance of the other."""
        limit = tolerance_mm + SLACK_MM
        near = (
            self.predicted_mm2[self.predicted_mm <= limit].sum() + self.reference_mm2[self.reference_mm <= limit].sum()
        )
        return float(near / (self.predicted_mm2.sum() + self.reference_mm2.sum()))

    def percentile(self, percent: float) -> float:
        """Distance (mm) within which so much of the area of either surface lies: the larger of both directions."""
        return max(
            _weighted_percentile(self.predicted_mm, self.predicted_mm2, percent),
            _weighted_percentile(self.reference_mm, self.reference_mm2, percent),
        )


def surface_distances(predicted: Mask, reference: Mask, spacing_mm: Spacing) -> SurfaceDistances:
    """Find the surface elements of two masks and how far each is from the other surface.

    Parameters
    ----------
    predicted, reference
        Masks of shape (x, y, z) on one grid. Both have voxels.
    spacing_mm
        Voxel size.
    """
    areas = np.asarray(create_table_neighbour_code_to_surface_area(spacing_mm), np.float64)
    one, other = _corner_codes(predicted), _corner_codes(reference)
    on_one, on_other = _on_surface(one), _on_surface(other)
    return SurfaceDistances(
        _distances(on_one, on_other, spacing_mm),
        _distances(on_other, on_one, spacing_mm),
        areas[one[on_one]],
        areas[other[on_other]],
    )


def _corner_codes(mask: Mask) -> NDArray[np.uint8]:
    """Which of the eight voxels around each corner are in the mask, a bit each, shape (x + 1, y + 1, z + 1)."""
    codes: NDArray[np.uint8] = np.pad(mask.view(np.uint8), 1)
    codes = codes[:, :, 1:] + 2 * codes[:, :, :-1]
    codes = codes[:, 1:] + 4 * codes[:, :-1]
    return codes[1:] + 16 * codes[:-1]


def _on_surface(codes: NDArray[np.uint8]) -> Mask:
    surface: Mask = (codes != 0) & (codes != FULL)
    return surface


def _distances(elements: Mask, others: Mask, spacing_mm: Spacing) -> Floats64:
    """Distance of each element to the nearest of the others, in C order of the elements."""
    apart = ~others[elements]
    result = np.zeros(len(apart))
    if apart.any():
        targets = np.argwhere(others)
        wanted = np.argwhere(elements)[apart]
        nearest = KDTree(targets * np.asarray(spacing_mm)).query(wanted * np.asarray(spacing_mm))[1]
        # From whole numbers of voxels, so that equal distances are equal.
        result[apart] = np.sqrt((((wanted - targets[nearest]) * np.asarray(spacing_mm)) ** 2).sum(axis=1))
    return result


def _weighted_percentile(values: Floats64, weights: Floats64, percent: float) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    position = int(np.searchsorted(share, percent / 100))
    return float(values[order[min(position, len(order) - 1)]])
