"""The final label map: laterality is corrected, surplus components are dropped, and both are reported."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.component_rules import COUNTING, ComponentLimit, drop_surplus
from dixonflow.labelmap.components import find_components
from dixonflow.labelmap.laterality import Laterality, find_laterality_errors, landmarks_of, moved, pairs_of
from dixonflow.models.model import Model


@dataclass(frozen=True)
class Removal:
    """What was removed from one structure.

    Attributes
    ----------
    structure
        Name of the structure.
    found
        Number of components in the merged map.
    components
        Number of components removed.
    volume_ml
        Their volume.
    """

    structure: str
    found: int
    components: int
    volume_ml: float


@dataclass(frozen=True)
class LateralityCorrection:
    """The left-right errors of a label map.

    Attributes
    ----------
    structure, partner
        What it was labelled, and what it is.
    volume_ml
        How much of it.
    whole
        Whether it was whole components; otherwise the far end of one.
    """

    structure: str
    partner: str
    volume_ml: float
    whole: bool


@dataclass(frozen=True)
class LateralityReport:
    """Result of the laterality check.

    Attributes
    ----------
    changes
        What was relabelled as its partner, or would be without `repair_sides: false`.
    unclear_ml
        Volume far beyond the midline that was not relabelled.
    mirrored
        Whether liver and spleen lie on each other's side.
    known
        Whether the midline was found.
    """

    changes: Sequence[LateralityCorrection]
    unclear_ml: float
    mirrored: bool
    known: bool

    @property
    def wrong_side_ml(self) -> float | None:
        """Volume of all left-right errors, corrected or not; None if unknown: no midline, or mirrored."""
        if self.mirrored or not self.known:
            return None
        return self.unclear_ml + sum(change.volume_ml for change in self.changes)


@dataclass(frozen=True)
class PostprocessedLabels:
    """The final label map and what was changed to get there.

    Attributes
    ----------
    labels
        Label map (x, y, z), of the type that went in.
    removed
        Structures that lost components, by label.
    sides
        The left-right errors.
    """

    labels: Labels
    removed: Sequence[Removal]
    sides: LateralityReport


def postprocess(
    labels: Labels, model: Model, spacing_mm: Sequence[float], *, repair_sides: bool = True
) -> PostprocessedLabels:
    """Correct the laterality of a merged label map, then drop surplus components.

    Sides: see `dixonflow.labelmap.laterality`. Components: where a structure has fewer or more (26 neighbours) than the
    model allows, all of at most `drop_mm3` are deleted, as published for VIBESegmentator. The published rule can so
    delete the last and largest component of a small structure (an adrenal gland lies under its threshold); with
    `model.keep_largest` the largest always stays.

    Parameters
    ----------
    labels
        Merged label map (x, y, z) in RAS+, uint8 or uint16; it is not changed.
    model
        Component counts and thresholds of the structures.
    spacing_mm
        Voxel size along x, y, z.
    repair_sides
        Correct left-right errors; otherwise they are only reported.
    """
    labels = np.asfortranarray(labels)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    components = find_components(labels, COUNTING)
    sides = find_laterality_errors(components, spacing_mm, pairs_of(model), landmarks_of(model))
    if repair_sides and sides.moves:
        labels = moved(labels, sides.moves)
        components = find_components(labels, COUNTING)
    limits = {
        label: ComponentLimit(rule.min_components, rule.max_components, rule.drop_mm3)
        for label, rule in model.labels.items()
    }
    cleaned, dropped = drop_surplus(labels, components, limits, 1000 * voxel_ml, spare_largest=model.keep_largest)
    removed = tuple(
        Removal(model.labels[item.label].name, item.found, item.components, item.voxels * voxel_ml) for item in dropped
    )
    return PostprocessedLabels(cleaned, removed, _report(sides, model, voxel_ml))


def _report(sides: Laterality, model: Model, voxel_ml: float) -> LateralityReport:
    changes = [
        LateralityCorrection(
            model.labels[move.label].name,
            model.labels[move.partner].name,
            len(move.positions) * voxel_ml,
            move.whole,
        )
        for move in sides.moves
    ]
    return LateralityReport(changes, sides.unclear_voxels * voxel_ml, sides.mirrored, sides.known)
