"""Model records for tests of merge, postprocess and measure: no weights, only labels and rules."""

from pathlib import Path
from typing import Any

from dixonflow.models.label_rule import LabelRule
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast

THREE = (Contrast.WATER, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)


def rule(name: str, group: str, **changes: Any) -> LabelRule:
    """Rule of a single-piece structure with no thresholds, changed as asked."""
    rules = {"max_components": 1, "single_piece": True, "drop_mm3_per_contrast": 0.0, "drop_mm3": 0.0}
    return LabelRule(name=name, group=group, **(rules | changes))


def small_model(labels: dict[int, LabelRule], **changes: Any) -> Model:
    """Model with these labels; groups are filled in the order in which they occur, from all three contrasts."""
    groups = tuple(dict.fromkeys(entry.group for entry in labels.values()))
    fields = {
        "name": "small",
        "title": "for tests",
        "description": "",
        "licence": "",
        "citation": "",
        "weights": Path("nowhere"),
        "input_contrasts": THREE,
        "resampling": "nnunet",
        "group_order": groups,
        "group_contrasts": dict.fromkeys(groups, THREE),
        "labels": labels,
        "sources": {},
    }
    return Model(**(fields | changes))


ORGANS = small_model({1: rule("liver", "a"), 2: rule("spleen", "a"), 7: rule("kidney_left", "a")}, name="organs")
SIDES = small_model(
    {3: rule("kidney_left", "a"), 4: rule("kidney_right", "a"), 5: rule("liver", "a")},
    name="sides",
    composites={"kidneys": ("kidney_left", "kidney_right")},
)
PAIRED = small_model({9: rule("kidneys", "a")}, name="paired")
FOREIGN = small_model({1: rule("heart", "a")}, name="foreign")
"""Models that share some structures, by name or as a union."""
