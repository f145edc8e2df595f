"""The vocabulary of structures: every structure of every model once, under one name (`workflow/structures.csv`).

Names follow TotalSegmentator where it has the structure. `part_of` says what composes what: lobes a lung, lungs the
lungs. A structure can be divided in more than one way (vertebrae into levels, or into bodies and posterior elements);
then `division` tells the ways apart.

SNOMED CT codes are those of the TotalSegmentator project's own mapping (wasserth/TotalSegmentator
totalsegmentator/resources/totalsegmentator_snomed_mapping.csv, 2e3ac0cc), and 421060004 for the spine (hhaentze/
MRSegmentator src/dicom_helper/class_codes.py, 2f5abd78). As there, a code names the structure without its side, which
is a modifier of its own: 7771000 left, 24028007 right. No code where the project has none, where its code names a
finding instead of a structure (cysts), or a region instead of the bone (hip).
"""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

FILE = Path(__file__).resolve().parent.parent / "structures.csv"

Side = Literal["left", "right", "none"]
Group = Literal["organ", "nervous", "vessel", "spine", "bone", "muscle", "fat", "body"]


@dataclass(frozen=True)
class AnatomicalStructure:
    """One row of the vocabulary.

    Attributes
    ----------
    name
        As in label tables and result tables.
    side
        Side of the body; `none` where it lies in the middle or on both.
    group
        Kind of structure.
    part_of
        The structure that it is a part of, if any is in the vocabulary.
    division
        Which of the ways to divide that structure it belongs to; empty where there is one.
    snomed_ct
        SNOMED CT code, without the side; empty where none is known.
    snomed_ct_meaning
        What the code says.
    """

    name: str
    side: Side
    group: Group
    part_of: str
    division: str
    snomed_ct: str
    snomed_ct_meaning: str


@cache
def structures() -> dict[str, AnatomicalStructure]:
    """All structures by name, in the order of the file."""
    rows = csv.reader(FILE.read_text(encoding="utf-8").splitlines())
    next(rows)  # names of the columns
    return {row[0]: AnatomicalStructure(*row) for row in rows}  # type: ignore[arg-type]  # a test checks the sets


def known_structures() -> frozenset[str]:
    """Names of all structures."""
    return frozenset(structures())


def is_muscle(name: str) -> bool:
    """Whether a structure is a muscle or a union of muscles; not for a name outside the vocabulary."""
    return name in structures() and structures()[name].group == "muscle"


def parts(name: str) -> dict[str, tuple[str, ...]]:
    """Direct parts of a structure, by division; empty where it has none."""
    found: dict[str, tuple[str, ...]] = {}
    for each in structures().values():
        if each.part_of == name:
            found[each.division] = (*found.get(each.division, ()), each.name)
    return found


def makes_up(members: Collection[str], whole: str) -> bool:
    """Whether structures together are all of `whole`, by any of its divisions, and nothing beside it."""
    return all(_is_within(each, whole) for each in members) and _is_complete(set(members), whole)


def _is_complete(members: set[str], whole: str) -> bool:
    return whole in members or any(
        all(_is_complete(members, part) for part in division) for division in parts(whole).values()
    )


def _is_within(name: str, whole: str) -> bool:
    while name and name != whole:
        name = structures()[name].part_of
    return name == whole
