"""The final label map: surplus components of the merged map are dropped, and it is said which."""

from collections.abc import Sequence
from dataclasses import dataclass

from dixonflow.component_rules import ComponentLimit, drop_surplus
from dixonflow.components import Labels
from dixonflow.model import Model


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
class Postprocessed:
    """The final label map and what was removed to get there.

    Attributes
    ----------
    labels
        Label map (x, y, z), of the type that went in.
    report
        Structures that lost components, by label.
    """

    labels: Labels
    report: Sequence[Removal]


def postprocess(labels: Labels, model: Model, voxel_mm3: float) -> Postprocessed:
    """Drop surplus components of a merged label map.

    Where a structure has fewer or more components (26 neighbours) than the model allows, all its components of at most
    `drop_mm3` are deleted, as published for VIBESegmentator. The published rule can so delete the last and largest
    component of a small structure (an adrenal gland lies under its threshold); with `model.keep_largest` the largest
    always stays.

    Parameters
    ----------
    labels
        Merged label map (x, y, z), uint8 or uint16; it is not changed.
    model
        Component counts and thresholds of the structures.
    voxel_mm3
        Volume of a voxel.
    """
    limits = {
        label: ComponentLimit(rule.min_components, rule.max_components, rule.drop_mm3)
        for label, rule in model.labels.items()
    }
    cleaned, dropped = drop_surplus(labels, limits, voxel_mm3, spare_largest=model.keep_largest)
    report = tuple(
        Removal(model.labels[item.label].name, item.found, item.components, item.voxels * voxel_mm3 / 1000)
        for item in dropped
    )
    return Postprocessed(cleaned, report)
