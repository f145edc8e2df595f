"""Left and right of a label map, checked against the body's own geometry.

A network can swap a pair of structures or give a part of one the label of the other; the authors of MRSegmentator name
this as open. The body says which side is which: the midline follows the spine and, below it, the middle of the pelvis
and the thighs. A component entirely beyond it is relabelled as its partner; unclear cases are only counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from dixonflow.imaging.types import Floats64, Labels
from dixonflow.labelmap.components import Components
from dixonflow.models.anatomy import structures
from dixonflow.models.model import Model

FAR_MM = 20.0
"""So far beyond the midline nothing of the other side's muscles and bones is found. Organs may lie across by as much: a
lung in front of the heart, a kidney next to a curved spine."""
WHOLLY = 0.9
"""Share of a component beyond the midline from which it lies on that side."""
KNOWN_MM = 50.0
"""Length of the body over which the midline must be seen."""
SMOOTH_MM = 60.0
"""Length over which the midline is averaged: several vertebrae, well under a curve of the spine."""


@dataclass(frozen=True)
class Pair:
    """A structure of both sides.

    Attributes
    ----------
    left, right
        Labels.
    stays
        Neither crosses the midline in any person, so that a part that lies far across is mislabelled: muscles and
        bones of the trunk, not organs.
    """

    left: int
    right: int
    stays: bool


@dataclass(frozen=True)
class Landmarks:
    """Labels that show where the midline is.

    Attributes
    ----------
    midline
        Structures that the midline goes through: vertebrae, discs, spinal canal, sacrum.
    symmetric
        Pairs that lie alike on both sides: hips, femora, glutei. Only where they are is asked, not which is which.
    right, left
        Single organs by which a body that is mirrored as a whole is known: liver, spleen.
    """

    midline: Sequence[int]
    symmetric: Sequence[Pair]
    right: int | None = None
    left: int | None = None


@dataclass(frozen=True)
class Relabelling:
    """Voxels of one label that belong to its partner.

    Attributes
    ----------
    label, partner
        What they are labelled, and what they are.
    positions
        The voxels, in memory order of the label map.
    whole
        Whether they are whole components; otherwise the far end of one that reaches across.
    """

    label: int
    partner: int
    positions: NDArray[np.intp]
    whole: bool


@dataclass(frozen=True)
class Laterality:
    """What was found.

    Attributes
    ----------
    moves
        What is certain.
    unclear_voxels
        Voxels beyond `FAR_MM` with a left-right error that are not moved.
    mirrored
        Whether liver and spleen lie on each other's side: the image is mirrored, or the person's organs are. Nothing is
        moved then: the labels cannot tell which.
    known
        Whether the midline was found; without it nothing is said.
    """

    moves: Sequence[Relabelling]
    unclear_voxels: int
    mirrored: bool
    known: bool


def find_laterality_errors(
    components: Components, spacing_mm: Sequence[float], pairs: Sequence[Pair], marks: Landmarks
) -> Laterality:
    """Find left-right errors.

    Parameters
    ----------
    components
        Components (26 neighbours) of a label map in RAS+, in Fortran order: runs lie along x, which grows to the right.
    spacing_mm
        Voxel size along x, y, z.
    pairs
        Structures to check.
    marks
        Where the midline is seen.

    Raises
    ------
    ValueError
        If the label map lies in C order.
    """
    if components.order != "F":
        raise ValueError("the label map must be in Fortran order")
    runs = _Runs.of(components)
    middle = _midline(runs, components.shape[2], spacing_mm, marks)
    if middle is None:
        return Laterality((), 0, mirrored=False, known=False)
    if _is_mirrored(runs, middle, marks):
        return Laterality((), 0, mirrored=True, known=True)
    far = FAR_MM / spacing_mm[0]
    moves, unclear = [], 0
    for pair in pairs:
        for label, partner, sign in ((pair.left, pair.right, 1), (pair.right, pair.left, -1)):
            chosen = runs.label == label
            component = components.run_component[chosen]
            wrong, count = (
                np.bincount(component, weights=runs.beyond(chosen, middle, sign, by), minlength=len(components.label))
                for by in (0.0, far)
            )
            whole = (wrong >= WHOLLY * components.voxels) & (count > 0) & (components.label == label)
            if whole.any():
                moves.append(Relabelling(label, partner, components.positions(whole), whole=True))
            reaching = (count > 0) & ~whole
            reaching[0] = False
            if pair.stays and reaching.any():
                part = runs.positions(chosen & reaching[components.run_component], middle, sign, far)
                moves.append(Relabelling(label, partner, part, whole=False))
            else:
                unclear += int(count[reaching].sum())
    return Laterality(tuple(moves), unclear, mirrored=False, known=True)


def moved(labels: Labels, moves: Sequence[Relabelling]) -> Labels:
    """Give what was found to its partner; a new label map in Fortran order."""
    result = labels.copy(order="F")
    for move in moves:
        result.ravel(order="F")[move.positions] = move.partner  # a view: the copy is contiguous in this order
    return result


@dataclass(frozen=True)
class _Runs:
    """Label of each run, its first and last x and its z in voxels, and where it starts in memory."""

    label: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    z: NDArray[np.intp]
    start: NDArray[np.intp]

    @classmethod
    def of(cls, components: Components) -> "_Runs":
        nx, ny, _ = components.shape
        first = components.run_start % nx
        return cls(
            components.label[components.run_component],
            first,
            first + components.run_length - 1,
            components.run_start // (nx * ny),
            components.run_start,
        )

    def beyond(self, chosen: NDArray[np.bool_], middle: Floats64, sign: int, by: float) -> NDArray[np.intp]:
        """Voxels of the chosen runs that lie more than `by` to the right (sign 1) or left (-1) of the midline."""
        first, last, at = self.first[chosen], self.last[chosen], middle[self.z[chosen]]
        beyond = last - np.floor(at + by) if sign > 0 else np.ceil(at - by) - first
        return np.clip(beyond, 0, last - first + 1).astype(np.intp)

    def positions(self, chosen: NDArray[np.bool_], middle: Floats64, sign: int, by: float) -> NDArray[np.intp]:
        """Those voxels, in memory order."""
        count = self.beyond(chosen, middle, sign, by)
        begin = self.start[chosen]
        if sign > 0:
            begin = begin + self.last[chosen] - self.first[chosen] + 1 - count
        before = np.cumsum(count) - count
        result: NDArray[np.intp] = np.repeat(begin - before, count) + np.arange(count.sum())
        return result


def _midline(runs: _Runs, depth: int, spacing_mm: Sequence[float], marks: Landmarks) -> Floats64 | None:
    """Index x of the midline in every slice; None where too little of it is seen."""
    spine = np.isin(runs.label, list(marks.midline))
    z, length = runs.z[spine], runs.last[spine] - runs.first[spine] + 1
    voxels = np.bincount(z, weights=length, minlength=depth)
    sums = np.bincount(z, weights=length * (runs.first[spine] + runs.last[spine]) / 2, minlength=depth)
    seen: list[list[float]] = [[total / count] if count else [] for total, count in zip(sums, voxels, strict=True)]
    for pair in marks.symmetric:
        edges = []
        for side in (pair.left, pair.right):
            own = runs.label == side
            low, high = np.full(depth, np.inf), np.full(depth, -np.inf)
            np.minimum.at(low, runs.z[own], runs.first[own])
            np.maximum.at(high, runs.z[own], runs.last[own])
            edges.append((low, high))
        (low, high), (other_low, other_high) = edges
        both = np.isfinite(low) & np.isfinite(other_low) & (voxels == 0)
        for k in np.flatnonzero(both):
            seen[k].append((min(low[k], other_low[k]) + max(high[k], other_high[k])) / 2)
    known = np.array([k for k, values in enumerate(seen) if values])
    if len(known) * spacing_mm[2] < KNOWN_MM:
        return None
    line = np.interp(np.arange(depth), known, [float(np.mean(seen[k])) for k in known])
    smooth: Floats64 = uniform_filter1d(line, max(1, round(SMOOTH_MM / spacing_mm[2])), mode="nearest")
    return smooth


def _is_mirrored(runs: _Runs, middle: Floats64, marks: Landmarks) -> bool:
    """Whether the right organ lies left of the midline and the left one right of it."""
    offsets = []
    for organ in (marks.right, marks.left):
        own = runs.label == organ
        if organ is None or not own.any():
            return False
        distance = (runs.first[own] + runs.last[own]) / 2 - middle[runs.z[own]]
        offsets.append(float(np.average(distance, weights=runs.last[own] - runs.first[own] + 1)))
    return offsets[0] < 0 < offsets[1]


def pairs_of(model: Model) -> list[Pair]:
    """Pairs of a model; vessels are left out, because a vein of the left leg ends on the right."""
    pairs = []
    for name, left in model.structures.items():
        structure = structures()[name]
        right = model.structures.get(name.replace("_left", "_right"))
        if structure.side == "left" and structure.group != "vessel" and right is not None:
            pairs.append(Pair(left, right, stays=structure.group in {"bone", "muscle"}))
    return pairs


def landmarks_of(model: Model) -> Landmarks:
    """Landmarks that a model has."""
    labels = model.structures
    midline = [
        label
        for name, label in labels.items()
        if structures()[name].group == "spine" or name in {"spinal_channel", "spinal_cord"}
    ]
    symmetric = [
        Pair(labels[f"{name}_left"], labels[f"{name}_right"], stays=True)
        for name in ("hip", "femur", "gluteus_maximus")
        if {f"{name}_left", f"{name}_right"} <= labels.keys()
    ]
    return Landmarks(midline, symmetric, labels.get("liver"), labels.get("spleen"))
