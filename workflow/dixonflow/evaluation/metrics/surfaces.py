"""Distances between two surfaces: the part of them within a tolerance, and percentiles."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial import KDTree
from surface_distance.lookup_tables import create_table_neighbour_code_to_surface_area

from dixonflow.evaluation.metrics.surface_elements import Surface
from dixonflow.imaging.types import Floats64, Spacing

SLACK_MM = 1e-4
"""Distances so little above the tolerance are within it: a header stores 3 mm as 3.0000002."""


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


def surface_distances(predicted: Surface, reference: Surface, spacing_mm: Spacing) -> SurfaceDistances:
    """Distance of each element of two surfaces to the other surface.

    Parameters
    ----------
    predicted, reference
        Surfaces on one grid. Both have elements.
    spacing_mm
        Voxel size (x, y, z).
    """
    areas = _areas_mm2(spacing_mm)
    return SurfaceDistances(
        _distances(predicted, reference, spacing_mm),
        _distances(reference, predicted, spacing_mm),
        areas[predicted.codes],
        areas[reference.codes],
    )


@cache
def _areas_mm2(spacing_mm: Spacing) -> Floats64:
    """Area of an element by its code, shape (256,)."""
    return np.asarray(create_table_neighbour_code_to_surface_area(spacing_mm), np.float64)


def _distances(own: Surface, other: Surface, spacing_mm: Spacing) -> Floats64:
    """Distance of each of the own elements to the nearest of the other ones."""
    place = np.searchsorted(other.corners, own.corners).clip(max=len(other.corners) - 1)
    apart = other.corners[place] != own.corners
    result = np.zeros(len(apart))
    if apart.any():
        wanted, targets = own.positions(apart), other.positions()
        nearest = KDTree(targets * np.asarray(spacing_mm), balanced_tree=False).query(wanted * np.asarray(spacing_mm))[
            1
        ]
        # From whole numbers of voxels, so that equal distances are equal.
        result[apart] = np.sqrt((((wanted - targets[nearest]) * np.asarray(spacing_mm)) ** 2).sum(axis=1))
    return result


def _weighted_percentile(values: Floats64, weights: Floats64, percent: float) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    position = int(np.searchsorted(share, percent / 100))
    return float(values[order[min(position, len(order) - 1)]])
