"""The structures that are measured: every label of the model and every composite of labels."""

from dataclasses import dataclass
from functools import cache

from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.measure_definition import MeasureDefinition
from dixonflow.models.anatomy import is_muscle
from dixonflow.models.anatomy import structures as vocabulary
from dixonflow.models.comparison import vertebrae_of
from dixonflow.models.model import Model
from dixonflow.system.package_table import package_table
from dixonflow.vocabulary import ScanSequence


@dataclass(frozen=True)
class Structure:
    """A label or a union of labels.

    Attributes
    ----------
    name
        As in the column `structure`.
    regions
        Its labels, as places (from 1) in the ascending list of the model's labels.
    is_muscle
        Whether all its labels are muscles.
    cut_by_design
        Whether the field of view of a whole-body scan always cuts it.
    lower_cutoff_ml
        Volume under which its segmentation counts as failed, where one is published.
    vertebra
        Id of the vertebra whose level it has; none where it is no single vertebra, or the model labels none.
    vessel
        `tubes` for a vessel that is one tube without branches, `all` for another one, empty for what is none.
    sequence
        Of the scans that the model is used on.
    """

    name: str
    regions: tuple[int, ...]
    is_muscle: bool
    cut_by_design: bool
    lower_cutoff_ml: float | None
    vertebra: int | None
    vessel: str
    sequence: ScanSequence

    @property
    def measures(self) -> tuple[MeasureDefinition, ...]:
        """What is measured of it, in the order of the tables."""
        return tuple(
            each
            for each in MEASURES.values()
            if not each.of_compartments
            and (each.of_vessels in ("", self.vessel) or (each.of_vessels == "all" and self.vessel))
            and (not each.sequences or self.sequence in each.sequences)
            and (not each.of_vertebrae or self.vertebra is not None)
        )


def structures_of(model: Model) -> list[Structure]:
    """List the structures of a model: its labels in ascending order, then its composites as the model has them."""
    place = {model.labels[label].name: number for number, label in enumerate(sorted(model.labels), start=1)}
    cutoffs = {rule.name: rule.lower_cutoff_ml for rule in model.labels.values()}
    parts = {name: (name,) for name in place} | dict(model.composites)
    vertebrae = {number: vertebra for vertebra, numbers in vertebrae_of(model).items() for number in numbers}
    return [
        Structure(
            name,
            tuple(place[part] for part in members),
            all(map(is_muscle, members)),
            name in cut_by_design(),
            cutoffs.get(name),
            vertebrae.get(model.structures.get(name, 0)),
            _vessel(name) if name in place else "",
            model.sequence,
        )
        for name, members in parts.items()
    ]


TUBES = ("aorta", "iliac_artery_left", "iliac_artery_right")
"""Vessels that are one tube without branches, as models label them."""


def _vessel(name: str) -> str:
    known = vocabulary().get(name)
    return "" if known is None or known.group != "vessel" else "tubes" if name in TUBES else "all"


def vessels_of(model: Model) -> dict[str, int]:
    """Label of each vessel of a model, by name."""
    return {each.name: model.structures[each.name] for each in structures_of(model) if each.vessel}


@cache
def cut_by_design() -> frozenset[str]:
    """Names of structures that leave the field of view in every scan (why: in the file)."""
    return frozenset(row["structure"] for row in package_table(__package__, "cut_by_design.csv"))
