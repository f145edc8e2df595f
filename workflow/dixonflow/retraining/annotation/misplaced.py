"""Label maps that came back mirrored, moved, or with left and right swapped: their headers do not show it.

Programs that drop or misread the orientation of a file save label maps with a header that is right and voxels that are
not. The proposal shows where the body lies, and paired structures which side is left.
"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.models.anatomy import structures
from dixonflow.retraining.annotation.returned_map import Proposal, ReturnRefusedError, agreement

_AXES = ("left-right", "front-back", "head-foot")
_CLEAR_SHARE = 0.5
"""Of what is lacking to the proposal: a rough proposal may resemble a flipped label map a little more by chance."""
_SHOWN = 3
_OPEN = "open it on its image and save it again"
_REMEDY = f"{_OPEN}; if it is right, name the case with --own"


def check_place(labels: Labels, proposal: Proposal) -> None:
    """Check that a label map does not resemble its proposal far more once it is flipped or moved by whole voxels.

    Tried are all flips of the image, moves to the 26 neighbours, and the move between the centres of both. Far more is
    at least half of what the label map lacks to equal the proposal.

    Raises
    ------
    ReturnRefusedError
        If it does.
    """
    own = agreement(labels, proposal.labels)
    if own is None or own == 1:
        return
    found: list[tuple[float, str]] = []
    for axes in (axes for count in (1, 2, 3) for axes in itertools.combinations(range(3), count)):
        flipped = f"mirrored: flipped {' and '.join(_AXES[axis] for axis in axes)}"
        found.append((agreement(np.flip(labels, axes), proposal.labels) or 0.0, flipped))
    for shift in _shifts(labels, proposal.labels):
        voxels = ", ".join(f"{step:+d}" for step in shift)
        found.append((_moved_agreement(labels, proposal.labels, shift), f"misplaced: moved by ({voxels}) voxels"))
    best, how = max(found)
    if best - own >= _CLEAR_SHARE * (1 - own):
        raise ReturnRefusedError(
            f"{how} it resembles its proposal more (Dice {best:.2f}) than as it is ({own:.2f}): {_REMEDY}"
        )


def check_sides(labels: Labels, numbers: Mapping[str, int]) -> None:
    """Check that the left one of each pair of structures lies on the left of the right one.

    Parameters
    ----------
    labels
        In RAS+: the first axis grows to the right.
    numbers
        Label of each structure.

    Raises
    ------
    ReturnRefusedError
        If one does not; the message names the pairs.
    """
    columns = _voxels_by_column(labels)
    swapped = []
    for name, left in numbers.items():
        if structures()[name].side != "left" or structures()[name].group == "vessel":
            continue
        right = numbers.get(name.replace("_left", "_right"))
        places = [_centre(columns, label) for label in (left, right) if label is not None]
        if len(places) == 2 and places[0] > places[1]:
            swapped.append(name)
    if swapped:
        more = f" and {len(swapped) - _SHOWN} more" if len(swapped) > _SHOWN else ""
        raise ReturnRefusedError(
            f"left and right are swapped: {', '.join(swapped[:_SHOWN])}{more} on the right of its partner: {_OPEN}"
        )


def _voxels_by_column(labels: Labels) -> NDArray[np.int64]:
    """Voxels of each label in each plane across the first axis, shape (x, labels)."""
    size = int(labels.max(initial=0)) + 1
    return np.stack([np.bincount(plane.ravel(order="K"), minlength=size) for plane in labels])


def _centre(columns: NDArray[np.int64], label: int) -> float:
    """Mean index of a label along the first axis; NaN, which no comparison holds for, where there is none."""
    if label >= columns.shape[1] or not columns[:, label].any():
        return float("nan")
    return float(np.average(np.arange(len(columns)), weights=columns[:, label]))


def _shifts(labels: Labels, proposal: Labels) -> Iterator[tuple[int, ...]]:
    near = list(itertools.product((-1, 0, 1), repeat=3))
    x, y, z = (round(float(step)) for step in _middle(proposal) - _middle(labels))
    for shift in dict.fromkeys([(x, y, z), *near]):
        if any(shift):
            yield shift


def _middle(labels: Labels) -> NDArray[np.float64]:
    """Mean index of all voxels with a label."""
    found = labels > 0
    counts = [np.count_nonzero(found, axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    return np.array([np.average(np.arange(len(each)), weights=each) for each in counts])


def _moved_agreement(labels: Labels, proposal: Labels, shift: tuple[int, ...]) -> float:
    """Agreement with the proposal once a label map is moved; what leaves the image is lost."""
    source = tuple(slice(max(0, -step), size - max(0, step)) for step, size in zip(shift, labels.shape, strict=True))
    target = tuple(slice(max(0, step), size - max(0, -step)) for step, size in zip(shift, labels.shape, strict=True))
    there = proposal[target]
    same = np.count_nonzero((labels[source] == there) & (there > 0))
    return 2 * same / (np.count_nonzero(labels) + np.count_nonzero(proposal))
