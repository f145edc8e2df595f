"""Checks of a label map that came back: it is of this case, on its grid, and holds the structures of the project."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import NiftiImage, read_foreign_labels
from dixonflow.imaging.types import Affine, Labels
from dixonflow.retraining.project import RetrainingError

SAME_GRID_MM = 1e-3
"""Furthest that a corner of the grid may lie from that of the image: programs write affines in single precision."""
_CLEARLY_OWN = 0.95
"""Agreement with its own proposal from which on a label map is not compared with those of other cases."""
_SHOWN = 5


class ReturnRefusedError(RetrainingError):
    """A label map that came back cannot be accepted. The message says why, without ids."""


@dataclass(frozen=True)
class Proposal:
    """The label map that an annotator was given.

    Attributes
    ----------
    case
        Name of its case.
    labels, affine
        Shape (x, y, z), RAS+; 4x4, voxel index (centre) to RAS mm.
    """

    case: str
    labels: Labels
    affine: Affine


def read_returned(path: Path, proposal: Proposal, numbers: Collection[int]) -> Labels:
    """Read a label map that came back, turned to RAS+ without interpolation.

    Parameters
    ----------
    path
        NIfTI file of any type and orientation.
    proposal
        What was exported for the case.
    numbers
        Labels that the project knows.

    Returns
    -------
    Labels on the grid of the proposal, uint8 or, above 255 labels, uint16.

    Raises
    ------
    ReturnRefusedError
        If it cannot be read, is on another grid, empty, or holds something else than whole numbers that are known.
    """
    try:
        image = read_foreign_labels(path)
    except ScanExcluded as error:
        raise ReturnRefusedError(f"no readable label map: {error.message}") from error
    except OSError as error:
        raise ReturnRefusedError(f"cannot be read: {error.strerror}") from error
    _check_grid(image, proposal)
    labels = _whole_numbers(image.data)
    present = np.flatnonzero(np.bincount(labels.ravel()))
    if unknown := sorted(set(present.tolist()) - {0, *numbers}):
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise ReturnRefusedError(f"unknown labels {', '.join(map(str, unknown[:_SHOWN]))}{more}")
    if not present.any():
        raise ReturnRefusedError("empty: no voxel has a label")
    return labels.astype(np.uint8 if present[-1] <= np.iinfo(np.uint8).max else np.uint16)


def check_own(labels: Labels, proposal: Proposal, others: Iterator[Proposal]) -> None:
    """Check that a label map resembles the proposal of its own case more than that of any other on the same grid.

    Parameters
    ----------
    others
        Proposals of other cases; read only where there is doubt.

    Raises
    ------
    ReturnRefusedError
        If it resembles another one more: files were probably swapped.
    """
    own = agreement(labels, proposal.labels)
    if own is None or own >= _CLEARLY_OWN:
        return
    for other in others:
        if not is_same_grid(proposal.affine, proposal.labels.shape, other.affine, other.labels.shape):
            continue
        theirs = agreement(labels, other.labels)
        if theirs is not None and theirs > own:
            raise ReturnRefusedError(
                f"resembles the proposal of {other.case} (Dice {theirs:.2f}) more than its own ({own:.2f}): the files "
                "of two cases were probably swapped; if they were not, name the case with --own"
            )


def agreement(labels: Labels, proposal: Labels) -> float | None:
    """Twice the voxels with the same label over the voxels with any label in either; None without a proposal."""
    if not proposal.any():
        return None
    same = np.count_nonzero((labels == proposal) & (proposal > 0))
    return 2 * same / (np.count_nonzero(labels) + np.count_nonzero(proposal))


def is_same_grid(one: Affine, shape: Sequence[int], other: Affine, other_shape: Sequence[int]) -> bool:
    """Whether two grids have the same voxels, to within `SAME_GRID_MM` at every corner."""
    if tuple(shape) != tuple(other_shape):
        return False
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])], float)
    return bool(np.abs(corners @ (one - other)[:3].T).max() <= SAME_GRID_MM)


def _check_grid(image: NiftiImage, proposal: Proposal) -> None:
    if image.data.shape != proposal.labels.shape:
        raise ReturnRefusedError(
            f"another grid: {_by(image.data.shape)} voxels, the image has {_by(proposal.labels.shape)}"
        )
    if not is_same_grid(image.affine, image.data.shape, proposal.affine, proposal.labels.shape):
        raise ReturnRefusedError(
            "another grid: its voxels lie elsewhere, or have another size, than those of the image"
        )


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _whole_numbers(data: NDArray[np.generic]) -> NDArray[np.uint16]:
    if data.dtype.kind not in "uif":
        raise ReturnRefusedError(f"no readable label map: its values are of type {data.dtype}")
    with np.errstate(invalid="ignore"):
        labels = data.astype(np.uint16)
    if not np.array_equal(labels, data):  # NaN, fractions, negative and too large numbers
        raise ReturnRefusedError("no readable label map: a value is no whole number from 0 to 65535")
    return labels
