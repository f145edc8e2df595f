"""How the borders of structures fit the image: whether it changes where a label ends, and what they touch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.models.anatomy import outermost
from dixonflow.models.model import Model

LEAST_CHANGE = 0.15
"""Change of water and fat across a border, over the signal, from which the image shows the border."""

LEAST_END = 0.05
"""Part of a structure's surface that must face the head, or the feet, for that end to be looked at."""

LEAST_TOUCHED = 0.05
"""Part of its surface from which a structure counts as touched by another one."""


@dataclass(frozen=True)
class Borders:
    """The borders of each structure that is there.

    Attributes
    ----------
    seen, seen_top, seen_bottom
        Share of its surface, 0 to 1, at which the image changes, too: of all of it, of what faces the head, and of what
        faces the feet. Surfaces between parts of one structure, such as the lobes of a lung, do not count: there is no
        border to see. Structures without surface, or with less than `LEAST_END` of it at that end, have no value.
    touched
        Structures that have `LEAST_TOUCHED` of their surface, or more, in common with it.
    """

    seen: dict[str, float]
    seen_top: dict[str, float]
    seen_bottom: dict[str, float]
    touched: dict[str, list[str]]


def borders_of(
    labels: Labels,
    water: NDArray[np.integer | np.floating],
    fat: NDArray[np.integer | np.floating],
    model: Model,
) -> Borders:
    """Compare the borders of labels with the images.

    At each face between two labels, the voxels one further in and one further out are compared: a border that is drawn
    a voxel off is still seen.

    Parameters
    ----------
    labels, water, fat
        Shape (x, y, z), RAS+, of the part of the scan that holds all labels.
    """
    size = max(model.labels) + 1
    wholes = _wholes(model, size)
    # of each label, by the axis of RAS+ that a face lies across, and by whether it faces the axis' end or its start
    faces, seen = np.zeros((2, 3, 2, size))
    common = np.zeros((size, size))
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
        pair = near[x, y, z].astype(np.intp), far[x, y, z].astype(np.intp)
        for end, of_voxels in enumerate(pair):
            faces[axis, end] += np.bincount(of_voxels, minlength=size)
            seen[axis, end] += np.bincount(of_voxels[changes], minlength=size)
        common += np.bincount(pair[0] * size + pair[1], minlength=size**2).reshape(size, size)
    common += common.T
    surface = faces.sum(axis=(0, 1))
    there = {name: label for name, label in model.structures.items() if surface[label]}
    tops, bottoms = (
        {
            name: float(seen[2, end, label] / faces[2, end, label])
            for name, label in there.items()
            if faces[2, end, label] >= LEAST_END * surface[label]
        }
        for end in (0, 1)
    )
    return Borders(
        {name: float(seen[:, :, label].sum() / surface[label]) for name, label in there.items()},
        tops,
        bottoms,
        {
            name: [other for other, theirs in there.items() if common[own, theirs] >= LEAST_TOUCHED * surface[theirs]]
            for name, own in there.items()
        },
    )


def _wholes(model: Model, size: int) -> NDArray[np.unsignedinteger]:
    """A number for each label, the same for parts of one structure; 0 for none."""
    wholes = {outermost(name): number for number, name in enumerate(model.structures, 1)}
    table = np.zeros(size, np.uint16)
    for name, label in model.structures.items():
        table[label] = wholes[outermost(name)]
    return table
