"""Which structures a reference and predictions both have: what is compared, and what is not, with the reason.

Where one side joins what the other splits (kidneys; lungs and their lobes), unions of labels are compared on both
sides.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dixonflow.evaluation.masks.mapping import structure_ids
from dixonflow.evaluation.regions import Region
from dixonflow.models.anatomy import is_within, makes_up

LUNGS = ("lung_left", "lung_right")


class NotComparedReason(StrEnum):
    """Why a structure is not compared."""

    ONLY_IN_REFERENCE = "only_in_reference"
    ONLY_IN_PREDICTION = "only_in_prediction"
    COMPARED_AS_PART = "compared_as_part"
    INCOMPLETE = "incomplete"
    NOT_IN_CLASSES = "not_in_classes"
    IN_NO_CASE = "in_no_case"


@dataclass(frozen=True)
class NotCompared:
    """A structure that is not compared.

    Attributes
    ----------
    structure
        The structure.
    system
        The prediction that has it or lacks it; empty where it is the same for all.
    reason, detail
        Why, as a word and for a person.
    """

    structure: str
    system: str
    reason: NotComparedReason
    detail: str


def shared_regions(
    reference: Collection[str],
    predictions: Mapping[str, Collection[str]],
    *,
    classes: Collection[str] | None = None,
    join_lobes: bool = False,
) -> tuple[list[Region], list[NotCompared]]:
    """Find the structures that the reference and all predictions have.

    Parameters
    ----------
    reference
        Structures that the labels of the reference name.
    predictions
        The same of each prediction, by the name of its system.
    classes
        Structures to which the comparison is restricted; None for all.
    join_lobes
        Compare lungs, not their lobes.

    Returns
    -------
    regions
        In the order of the vocabulary; the labels are those of `structure_ids`, of both sides. A region is composite
        if parts of it are regions too, so that no voxel counts twice in a mean over structures.
    not_compared
        Every other structure of the reference, the predictions and `classes`.
    """
    sides = [reference, *predictions.values()]
    every = set().union(*sides)
    possible = [name for name in structure_ids() if all(_has(side, name) for side in sides)]
    wanted = [name for name in possible if classes is None or name in classes]
    if join_lobes:
        wanted = [name for name in wanted if not any(is_within(name, lung) and name != lung for lung in LUNGS)]
    regions = [
        Region(
            name,
            tuple(sorted(structure_ids()[each] for each in every if is_within(each, name))),
            any(other != name and is_within(other, name) for other in wanted),
        )
        for name in wanted
    ]
    left = [_why_not(name, reference, predictions, possible, wanted) for name in structure_ids() if name in every]
    asked = [name for name in structure_ids() if name in (classes or ()) and name not in every and name not in wanted]
    detail = "neither the reference nor a prediction names it"
    nowhere = [NotCompared(name, "", NotComparedReason.IN_NO_CASE, detail) for name in asked]
    return regions, [*(each for each in left if each is not None), *nowhere]


def _why_not(
    name: str,
    reference: Collection[str],
    predictions: Mapping[str, Collection[str]],
    possible: Collection[str],
    wanted: Collection[str],
) -> NotCompared | None:
    if name in wanted:
        return None
    larger = [each for each in wanted if is_within(name, each)]
    if larger:
        return NotCompared(name, "", NotComparedReason.COMPARED_AS_PART, f"compared as a part of {larger[-1]}")
    if name in possible or any(is_within(name, each) for each in possible):
        return NotCompared(name, "", NotComparedReason.NOT_IN_CLASSES, "left out by --classes")
    of = {"": reference, **predictions}
    lacking = [system for system, side in of.items() if not any(_related(each, name) for each in side)]
    if "" in lacking:
        having = ", ".join(system for system, side in predictions.items() if name in side)
        return NotCompared(name, having, NotComparedReason.ONLY_IN_PREDICTION, "the reference does not have it")
    if lacking:
        system = ", ".join(lacking)
        return NotCompared(name, system, NotComparedReason.ONLY_IN_REFERENCE, f"{system} does not have it")
    having = ", ".join(system or "the reference" for system, side in of.items() if not _has(side, name))
    return NotCompared(name, "", NotComparedReason.INCOMPLETE, f"{having} has only a part of it, or something larger")


def _has(side: Collection[str], name: str) -> bool:
    """Whether labels of a side make up a structure."""
    return name in side or makes_up([each for each in side if is_within(each, name)], name)


def _related(one: str, other: str) -> bool:
    return is_within(one, other) or is_within(other, one)
