"""How the borders of structures fit the image: whether it changes where a label ends."""

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.models.anatomy import outermost
from dixonflow.models.model import Model

LEAST_CHANGE = 0.15
"""Change of water and fat across a border, over the signal, from which the image shows the border."""


def seen_borders(
    labels: Labels,
    water: NDArray[np.integer | np.floating],
    fat: NDArray[np.integer | np.floating],
    model: Model,
) -> dict[str, float]:
    """Share of the surface of each structure, 0 to 1, at which the image changes, too.

    At each face between two labels, the voxels one further in and one further out are compared: a border that is drawn
    a voxel off is still seen. Between parts of one structure, such as the lobes of a lung, there is no border to see.
    Structures without other faces have no value.

    Parameters
    ----------
    labels, water, fat
        Shape (x, y, z), of the part of the scan that holds all labels.
    """
    size = max(model.labels) + 1
    wholes = _wholes(model, size)
    faces, seen = np.zeros(size), np.zeros(size)
    for axis in range(3):
        label, first, second = (np.moveaxis(image, axis, 0) for image in (labels, water, fat))
        near, far = label[1:-2], label[2:-1]
        x, y, z = np.nonzero(near != far)
        between = wholes[near[x, y, z]] != wholes[far[x, y, z]]
        x, y, z = x[between], y[between], z[between]
        sides = [[image[x + step, y, z].astype(np.float32) for image in (first, second)] for step in (0, 3)]
        change = sum(abs(one - other) for one, other in zip(*sides, strict=True))
        signal = np.maximum(*(values[0] + values[1] for values in sides))
        changes = change > LEAST_CHANGE * signal
        for of_voxels in (near[x, y, z], far[x, y, z]):
            faces += np.bincount(of_voxels, minlength=size)
            seen += np.bincount(of_voxels[changes], minlength=size)
    return {name: float(seen[label] / faces[label]) for name, label in model.structures.items() if faces[label]}


def _wholes(model: Model, size: int) -> NDArray[np.unsignedinteger]:
    """A number for each label, the same for parts of one structure; 0 for none."""
    wholes = {outermost(name): number for number, name in enumerate(model.structures, 1)}
    table = np.zeros(size, np.uint16)
    for name, label in model.structures.items():
        table[label] = wholes[outermost(name)]
    return table
