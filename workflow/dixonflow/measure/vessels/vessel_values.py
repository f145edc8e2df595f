"""Values of vessels: pieces, gaps, and of those that are single tubes length, tortuosity and diameter."""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import cKDTree

from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.components import find_components
from dixonflow.measure.definitions import PIECES_OF
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.vessels.centreline import find_centreline
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast

MOST_PIECES = 40
"""A vessel in more pieces has no gap: this is noise, of which a label map may have thousands of pieces."""

LARGEST_REST = 0.05
"""A vessel in several pieces has a centreline where all but the largest hold at most this share of its voxels."""


def vessel_values(
    labels: Labels, affine: Affine, label: int, removed: int, uncut_share: float, *, is_tube: bool
) -> Iterator[tuple[str, float | MissingReason]]:
    """Give every measure of a vessel.

    Parameters
    ----------
    labels
        Final label map (x, y, z).
    affine
        4x4, voxel index (centre) to RAS mm, diagonal and positive.
    label
        Of the vessel, which was found.
    removed
        Pieces that postprocessing took away.
    uncut_share
        Share of its surface inside the field of view.
    is_tube
        Whether it is one tube, without branches.
    """
    places = np.nonzero(labels == label)
    low = [int(each.min()) for each in places]
    window = tuple(slice(start, int(each.max()) + 1) for start, each in zip(low, places, strict=True))
    mask = labels[window] == label
    components = find_components(np.asarray(mask, np.uint8), 26)
    numbers = components.of(1).tolist()
    yield "components", float(len(numbers) + removed)
    x, y, z = np.diag(affine)[:3].tolist()
    pieces = [np.stack(np.unravel_index(components.positions_of(number), mask.shape, order=components.order), axis=1)
              for number in numbers]  # fmt: skip
    countable = len(pieces) <= MOST_PIECES
    yield "largest_gap", _gap_mm([piece * [x, y, z] for piece in pieces]) if countable else MissingReason.IN_PIECES
    if not is_tube:
        return
    largest = max(pieces, key=len)
    reason: MissingReason | None = None
    if len(largest) < (1 - LARGEST_REST) * sum(map(len, pieces)):
        reason = MissingReason.IN_PIECES
    elif uncut_share < 1:
        reason = MissingReason.CUT_BY_FIELD_OF_VIEW
    own = np.zeros(mask.shape, bool)
    own[tuple(largest.T)] = True
    found = None if reason is MissingReason.IN_PIECES else find_centreline(own, (x, y, z))
    nothing = reason or MissingReason.TOO_THIN
    yield "centreline_length", nothing if found is None or reason else found.length_mm
    yield "tortuosity", nothing if found is None or reason else found.tortuosity
    yield "diameter", nothing if found is None else found.diameter_mm


def pieces_of_contrasts(
    of_contrasts: Mapping[Contrast, Labels], vessels: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """Count the pieces of every vessel in what the network gives for each contrast.

    Parameters
    ----------
    of_contrasts
        Label map (x, y, z) of each contrast, on any grid.
    vessels
        Label of each vessel, by name.

    Returns
    -------
    By contrast and vessel; 0 where it was not found.
    """
    found: dict[str, dict[str, int]] = {}
    for contrast, labels in of_contrasts.items():
        alone = np.where(np.isin(labels, list(vessels.values())), labels, 0).astype(labels.dtype)
        components = find_components(alone, 26)
        found[contrast.value] = {name: len(components.of(label)) for name, label in vessels.items()}
    return found


def pieces_by_contrast(
    vessel: str, model: Model, recorded: Mapping[str, Mapping[str, int]] | None
) -> Iterator[tuple[str, float | MissingReason]]:
    """Give the pieces of a vessel in each contrast as measures.

    Parameters
    ----------
    recorded
        From `pieces_of_contrasts`; None where the label map has no such record.
    """
    for contrast in PIECES_OF:
        name = f"{contrast}_components"
        if len(model.input_contrasts) < 2 or contrast not in model.input_contrasts:
            yield name, MissingReason.NOT_APPLICABLE
        elif recorded is None:
            yield name, MissingReason.NOT_RECORDED
        else:
            yield name, float(recorded[contrast.value][vessel])


def _gap_mm(pieces: list[np.ndarray]) -> float:
    """Largest distance, between voxel centres, that has to be bridged to join all pieces; 0 for one."""
    if len(pieces) < 2:
        return 0.0
    trees = [cKDTree(piece) for piece in pieces]
    distances = np.zeros((len(pieces), len(pieces)))
    for first in range(len(pieces)):
        for second in range(first + 1, len(pieces)):
            small, large = sorted((first, second), key=lambda number: len(pieces[number]))
            near, _ = trees[large].query(pieces[small])
            distances[first, second] = float(np.min(near))
    return float(minimum_spanning_tree(distances).max())
