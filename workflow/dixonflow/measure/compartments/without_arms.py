"""The body without its arms, slice by slice.

Arms lie next to trunk and thighs, and their fat and muscle are not those of the trunk.

A cross-section is the labelled part of an axial slice, holes filled. Trunk and thighs are its largest pieces, arms and
hands its small ones. Where an arm touches the trunk, the bridge between them is narrower than the arm: without the
outermost millimetres of the cross-section the arm is a piece of its own. Towards the shoulder it grows out of the
trunk: there it is what lies around the humerus, as far from it as the skin is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.types import Affine, Labels, Mask

LIMB_SHARE = 0.4
"""A piece belongs to the trunk or the thighs from this share of the area of the slice's largest one on. Two thighs are
alike; an arm has a tenth of the area of the trunk, and a forearm or a hand a quarter of that of a thigh."""

BRIDGES_MM = (4.0, 8.0, 14.0, 20.0, 26.0, 32.0, 38.0)
"""Depths up to which the outermost part of a cross-section is taken off to part an arm from it, the least first."""

SMALLEST_ARM_MM2 = 300.0
"""What is parted from the trunk is an arm, and no fold of skin, from this area on."""

ARM_RADII = 1.0
"""How far an arm reaches from the middle of its humerus, in distances of the nearest skin: an arm is nearly round."""

LARGEST_RADIUS_MM = 90.0
"""Distance from the middle of a humerus to the skin above which it lies in the shoulder, and no arm is taken off."""


@dataclass(frozen=True)
class BodyWithoutArms:
    """The body without arms and hands.

    Attributes
    ----------
    mask
        Boolean, shape of the label map, Fortran order; voxels without a label inside a cross-section count as its own.
    joined
        Slices in which an arm grows out of the trunk and was parted by its humerus, shape (z,): there is no border.
    """

    mask: Mask
    joined: NDArray[np.bool_]


def without_arms(
    labels: Labels,
    affine: Affine,
    humeri: Sequence[int] = (),
    legs: Sequence[int] = (),
    tissue: Mask | None = None,
) -> BodyWithoutArms:
    """Mark the body without arms and hands.

    Parameters
    ----------
    labels
        Label map (x, y, z).
    affine
        4x4, voxel index (centre) to RAS mm, diagonal and positive.
    humeri
        Labels of the upper arm's bones, where the model has them.
    legs
        Labels of femurs and hip bones: a piece that holds one is no arm, however small.
    tissue
        Voxels with signal, for models that do not label the whole body: without them a cross-section can be open.
    """
    kept = np.zeros(labels.shape, bool, order="F")
    joined = np.zeros(labels.shape[2], bool)
    spacing = (float(affine[0, 0]), float(affine[1, 1]))
    for plane in range(labels.shape[2]):
        section = np.asarray(labels[:, :, plane] > 0)
        if section.any():
            axial = np.isin(labels[:, :, plane], list(legs)) if legs else None
            body = _largest(section if tissue is None else section | tissue[:, :, plane], axial, spacing)
            for label in humeri:
                bone = body & (labels[:, :, plane] == label)
                if bone.any() and _is_beside(bone, body):
                    joined[plane] = True
                    body = _large_pieces(body & ~_around(bone, body, spacing), axial)
            kept[:, :, plane] = body
    return BodyWithoutArms(kept, joined)


def _largest(section: Mask, axial: Mask | None, spacing: tuple[float, float]) -> Mask:
    """Trunk or thighs of a slice."""
    rows, columns = (np.flatnonzero(section.any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    filled = _filled(section[window])
    result = np.zeros(section.shape, bool)
    inside = None if axial is None else axial[window]
    result[window] = _parted(_large_pieces(filled, inside), inside, spacing)
    return result


def _large_pieces(section: Mask, axial: Mask | None) -> Mask:
    """Pieces of a size like that of the largest one, and those that hold a bone of a leg."""
    pieces, number = ndimage.label(section)
    if number < 2:
        return section
    areas = np.bincount(pieces.ravel(), minlength=number + 1)[1:]
    large = 1 + np.flatnonzero(areas >= LIMB_SHARE * areas.max())
    of_legs = np.unique(pieces[axial & section]) if axial is not None else np.empty(0, int)
    return np.isin(pieces, np.union1d(large, of_legs[of_legs > 0]))


def _is_beside(bone: Mask, section: Mask) -> bool:
    """Whether the middle of a humerus lies beyond the middle half of the cross-section: else it is a stray."""
    rows = np.flatnonzero(section.any(axis=1))
    quarter = (rows[-1] - rows[0]) / 4
    middle = float(np.flatnonzero(bone.any(axis=1)).mean())
    return not rows[0] + quarter <= middle <= rows[-1] - quarter


def _around(bone: Mask, section: Mask, spacing: tuple[float, float]) -> Mask:
    """The arm around a humerus; nothing where that lies too deep."""
    x, y = (float(place.mean()) for place in np.nonzero(bone))
    across = spacing[0] * (np.arange(section.shape[0]) - x)[:, None]
    along = spacing[1] * (np.arange(section.shape[1]) - y)[None, :]
    distance = np.sqrt(across**2 + along**2)
    radius = float(distance[~section].min(initial=np.inf))
    if radius > LARGEST_RADIUS_MM:
        return np.zeros_like(section)
    return np.asarray(distance <= ARM_RADII * radius)


def _filled(section: Mask) -> Mask:
    outside, _ = ndimage.label(np.pad(~section, 1, constant_values=True))
    return np.asarray(outside != outside[0, 0])[1:-1, 1:-1]


def _parted(section: Mask, axial: Mask | None, spacing: tuple[float, float]) -> Mask:
    """Take off arms that touch the rest: small pieces that appear when the outermost part is removed."""
    while True:  # a wider bridge than the first may hold the other arm
        rest = _less_narrowest(section, axial, spacing)
        if rest is section or not (section & ~rest).any():
            return section
        section = rest


def _less_narrowest(section: Mask, axial: Mask | None, spacing: tuple[float, float]) -> Mask:
    """Without the arms at the narrowest bridges; the section itself where there is none."""
    depth = ndimage.distance_transform_edt(np.pad(section, 1), sampling=spacing)[1:-1, 1:-1]
    voxel_mm2 = spacing[0] * spacing[1]
    for bridge in BRIDGES_MM:
        cores, number = ndimage.label(depth > bridge)
        if number < 2:
            continue
        areas = np.bincount(cores.ravel(), minlength=number + 1)[1:] * voxel_mm2
        # the removed rim counts: of round pieces the core has lost as much of its radius
        whole = np.pi * (np.sqrt(areas / np.pi) + bridge) ** 2
        is_arm = (whole < LIMB_SHARE * whole.max()) & (whole >= SMALLEST_ARM_MM2)
        lateral = _is_lateral(cores, number, int(whole.argmax()) + 1)
        arms = 1 + np.flatnonzero(is_arm & lateral)
        if axial is not None:
            arms = np.setdiff1d(arms, np.unique(cores[axial]))
        if not len(arms):
            continue
        nearest = ndimage.distance_transform_edt(
            cores == 0, sampling=spacing, return_distances=False, return_indices=True
        )
        owner = cores[tuple(nearest)]
        return section & ~np.isin(owner, arms)
    return section


def _is_lateral(cores: NDArray[np.integer], number: int, largest: int) -> Mask:
    """Whether the middle of each core lies beyond the sides of the largest one's middle half (x is the first axis)."""
    middles = np.array([place[0] for place in ndimage.center_of_mass(cores > 0, cores, range(1, number + 1))])
    rows = np.flatnonzero((cores == largest).any(axis=1))
    quarter = (rows[-1] - rows[0]) / 4
    return np.asarray((middles < rows[0] + quarter) | (middles > rows[-1] - quarter))
