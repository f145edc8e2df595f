"""The connected pieces of structures, and what the small ones touch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.components import find_components
from dixonflow.models.model import Model


@dataclass(frozen=True)
class Pieces:
    """The connected pieces of each structure that is there.

    Attributes
    ----------
    largest
        Share of its voxels in its largest piece, 0 to 1.
    touched
        Structures that a twentieth, or more, of the surface of its other pieces touches.
    """

    largest: dict[str, float]
    touched: dict[str, list[str]]


def pieces_of(labels: Labels, model: Model) -> Pieces:
    """Find the connected pieces (26 neighbours) of all structures.

    Parameters
    ----------
    labels
        Shape (x, y, z), of the part of the scan that holds all labels.
    """
    if not labels.size:
        return Pieces({}, {})
    found = find_components(labels, 26)
    size = max(model.labels) + 1
    largest_last = np.lexsort((found.voxels[1:], found.label[1:])) + 1
    own = found.label[largest_last]
    largest = np.zeros(size, np.intp)
    largest[own] = largest_last  # of each label, the last one stays
    all_voxels = np.bincount(found.label[1:], weights=found.voxels[1:], minlength=size)
    there = {name: label for name, label in model.structures.items() if all_voxels[label]}
    touched = {}
    for name, label in there.items():
        small = (found.label == label) & (np.arange(len(found.label)) != largest[label])
        if small.any():
            met = _met(labels, np.unravel_index(found.positions(small), found.shape, order=found.order), size)
            met[label] = 0
            touched[name] = [other for other, theirs in there.items() if met[theirs] >= max(0.05 * met.sum(), 1)]
    return Pieces(
        {name: float(found.voxels[largest[label]] / all_voxels[label]) for name, label in there.items()}, touched
    )


def _met(labels: Labels, place: tuple[NDArray[np.intp], ...], size: int) -> NDArray[np.intp]:
    """How many voxels of each label lie across the faces of the voxels at `place`."""
    met = np.zeros(size, np.intp)
    for axis, length in enumerate(labels.shape):
        for step in (-1, 1):
            beyond = list(place)
            beyond[axis] = np.clip(place[axis] + step, 0, length - 1)
            met += np.bincount(labels[tuple(beyond)], minlength=size)
    return met
