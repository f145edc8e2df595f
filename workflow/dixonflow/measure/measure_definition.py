"""What it takes to say what a measure is."""

from dataclasses import dataclass
from typing import Literal

from dixonflow.vocabulary import ScanSequence


@dataclass(frozen=True)
class MeasureDefinition:
    """What a measure is.

    Attributes
    ----------
    name
        As in the column `measure`.
    unit
        `mL`, `cm2`, `mm`, `HU`, `1/s`, `1` for fractions, `ratio` for what can be above 1, or empty for counts and for
        signal in the images' own arbitrary units.
    definition
        How the value comes about, for a reader of the tables.
    source
        Paper or project that the definition or its numbers come from, else `DixonFlow`.
    version
        Goes up when the definition changes.
    of_fat
        Whether it is made of water and fat, or of the scanner's map of the fat fraction.
    is_graded
        Whether it has the grade of its structure; else it describes the structure, and always passes.
    of_vertebrae
        Whether it is made of single vertebrae only, and other structures have no row of it.
    of_compartments
        Whether it is made of parts of the body between landmarks only (`dixonflow.measure.compartments.compartment`).
    of_vessels
        Whether it is made of vessels only: `all` of them, or `tubes`, those that are one tube without branches.
    sequences
        Scans that it is made of; none for all.
    """

    name: str
    unit: str
    definition: str
    source: str = "DixonFlow"
    version: int = 1
    of_fat: bool = False
    is_graded: bool = True
    of_vertebrae: bool = False
    of_compartments: bool = False
    of_vessels: Literal["", "all", "tubes"] = ""
    sequences: tuple[ScanSequence, ...] = ()

    @property
    def key(self) -> str:
        """Name with version, as in the column `definition`: `volume.v1`."""
        return f"{self.name}.v{self.version}"
