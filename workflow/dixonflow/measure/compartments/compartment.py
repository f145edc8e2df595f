"""Fat and muscle in a part of the body between landmarks: which compartments a model has.

Light: every job of a run reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dixonflow.measure.compartments.landmark import BONES, Landmark, Position, landmark_models
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.measure_definition import MeasureDefinition
from dixonflow.models.anatomy import vertebra_of
from dixonflow.models.comparison import compared_models
from dixonflow.models.model import Model
from dixonflow.vocabulary import ScanSequence

Tissue = Literal["fat", "muscle"]

THIGH_MM = 150.0
"""Length of the upper thigh that is measured, from the ischial tuberosities down: scans end at different heights above
the knee."""


@dataclass(frozen=True)
class NamedRange:
    """A part of the body that compartments are measured in.

    Attributes
    ----------
    name
        Last part of the compartments' names.
    words
        Where it lies, for a reader of the tables.
    upper, lower
        Its ends; a level where they are the same.
    """

    name: str
    words: str
    upper: Landmark
    lower: Landmark

    @property
    def is_level(self) -> bool:
        """Whether it has no length."""
        return self.upper == self.lower

    @property
    def bones(self) -> tuple[str, ...]:
        """Labels of the bones that delimit it."""
        return tuple(
            name for each in (self.upper, self.lower) if each.structure in BONES for name in BONES[each.structure][0]
        )

    @property
    def needs_vertebrae(self) -> bool:
        """Whether a vertebra delimits it."""
        return any(vertebra_of(each.structure) is not None for each in (self.upper, self.lower))


def _vertebra(name: str, place: Position) -> Landmark:
    return Landmark(f"vertebrae_{name}", place)


_T9, _L5 = _vertebra("T9", Position.SUPERIOR_ENDPLATE), _vertebra("L5", Position.INFERIOR_ENDPLATE)
_HIPS, _FEMURS = Landmark("hips", Position.INFERIOR_ENDPLATE), Landmark("femurs", Position.SUPERIOR_ENDPLATE)
_THIGH_END = Landmark("hips", Position.INFERIOR_ENDPLATE, -THIGH_MM)

_ABDOMEN = NamedRange("t9_l5", "between the superior endplate of T9 and the inferior endplate of L5", _T9, _L5)
_LUMBAR = NamedRange(
    "l1_l5",
    "between the superior endplate of L1 and the inferior endplate of L5",
    _vertebra("L1", Position.SUPERIOR_ENDPLATE),
    _L5,
)
_TO_FEMUR = NamedRange("t9_femur", "between the superior endplate of T9 and the top of the femurs", _T9, _FEMURS)
_TRUNK = NamedRange("trunk", "between the superior endplate of T9 and the lowest points of the hip bones", _T9, _HIPS)
_THIGH = NamedRange("thigh", f"in the {THIGH_MM / 10:g} cm below the lowest points of the hip bones", _HIPS, _THIGH_END)
_TO_THIGH = NamedRange(
    "t9_thigh",
    f"between the superior endplate of T9 and {THIGH_MM / 10:g} cm below the lowest points of the hip bones",
    _T9,
    _THIGH_END,
)
LEVELS = tuple(
    NamedRange(name.lower(), f"at the middle of {name}", *[_vertebra(name, Position.CENTRE)] * 2)
    for name in ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
)

RANGES: dict[str, NamedRange] = {
    each.name: each for each in (_ABDOMEN, _LUMBAR, _TO_FEMUR, _TRUNK, _THIGH, _TO_THIGH, *LEVELS)
}
"""All ranges by name."""

SOURCES: dict[str, tuple[Tissue, tuple[str, ...], tuple[NamedRange, ...]]] = {
    "visceral_fat": (
        "fat",
        ("visceral_fat", "torso_fat", "inner_fat"),
        (_ABDOMEN, _LUMBAR, _TO_FEMUR, *LEVELS),
    ),
    "subcutaneous_fat": ("fat", ("subcutaneous_fat",), tuple(RANGES.values())),
    "total_muscle": ("muscle", ("total_muscle",), (_LUMBAR, _TRUNK, _THIGH, _TO_THIGH, *LEVELS)),
}
"""Of each tissue: what it is, the structures or composites that it is made of in a model, the first that the model has,
and its ranges. Fat of the torso, or inside the muscles of its wall, is visceral where the range lies in the abdomen."""

PROFILED = {"visceral_fat": False, "subcutaneous_fat": True, "total_muscle": True}
"""Tissues that have a profile along the body, and whether arms that are joined to the trunk spoil it."""

_OF_RANGE: dict[Tissue, tuple[str, ...]] = {
    "fat": ("volume", "fat_volume", "uncut_slices"),
    "muscle": (
        *("volume", "lean_volume", "intramuscular_fat_volume"),
        *("fat_fraction_mean", "fat_fraction_eroded_mean", "uncut_slices"),
    ),
}
_OF_LEVEL: dict[Tissue, tuple[str, ...]] = {
    "fat": ("area", "uncut_slices"),
    "muscle": ("area", "fat_fraction_eroded_mean", "uncut_slices"),
}


@dataclass(frozen=True)
class Compartment:
    """A tissue of a model in a part of the body.

    Attributes
    ----------
    tissue
        Its key in `SOURCES`.
    source
        Structure or composite of the model that it is made of.
    regions
        Labels of the source, as places (from 1) in the ascending list of the model's labels.
    where
        The part of the body.
    parts
        Labels of the source by name.
    sequence
        Of the scans that the model is used on.
    """

    tissue: str
    source: str
    parts: tuple[str, ...]
    regions: tuple[int, ...]
    where: NamedRange
    sequence: ScanSequence

    @property
    def name(self) -> str:
        """As in the column `structure`."""
        return f"{self.tissue}_{self.where.name}"

    @property
    def measures(self) -> tuple[MeasureDefinition, ...]:
        """What is measured of it, in the order of the tables."""
        kind = SOURCES[self.tissue][0]
        names = (_OF_LEVEL if self.where.is_level else _OF_RANGE)[kind]
        return tuple(
            each
            for each in MEASURES.values()
            if each.name in names and (not each.sequences or self.sequence in each.sequences)
        )

    @property
    def words(self) -> str:
        """What it is, for a reader of the tables."""
        return f"{self.source} {self.where.words}, without arms and hands"


def compartments_of(model: Model) -> list[Compartment]:
    """List the compartments of a model; none for one without a label of fat."""
    place = {model.labels[label].name: number for number, label in enumerate(sorted(model.labels), start=1)}
    parts = {name: (name,) for name in place} | dict(model.composites)
    chosen = {
        tissue: next((name for name in sources if name in parts), None) for tissue, (_, sources, _) in SOURCES.items()
    }
    if chosen["visceral_fat"] is None and chosen["subcutaneous_fat"] is None:
        return []
    return [
        Compartment(tissue, source, parts[source], tuple(place[part] for part in parts[source]), where, model.sequence)
        for tissue, source in chosen.items()
        if source is not None
        for where in SOURCES[tissue][2]
    ]


def profiled(compartments: Sequence[Compartment]) -> list[Compartment]:
    """One compartment of each tissue, which grades its profile: the first that ends below L5."""
    first: dict[str, Compartment] = {}
    for each in compartments:
        if each.where.lower == _L5 and not each.where.is_level:
            first.setdefault(each.tissue, each)
    return [each for tissue, each in first.items() if tissue in PROFILED]


def consulted_models(model: Model, models: Sequence[Model]) -> list[Model]:
    """Those of `models` whose label maps are read to measure `model`, itself left out.

    They share a structure with it, or have landmarks of its compartments that it lacks.
    """
    chosen = {each.name for each in compared_models(model, models)}
    if compartments_of(model):
        ordered = [model, *(each for each in models if each.name != model.name)]
        chosen.update(each.name for each in landmark_models(ordered))
    return [each for each in models if each.name in chosen and each.name != model.name]
