"""The vocabulary of structures: every structure of every model once, under one name (`models/structures.csv`).

Names follow TotalSegmentator where it has the structure. `part_of` says what composes what: lobes a lung, lungs the
lungs. A structure can be divided in more than one way (vertebrae into levels, or into bodies and posterior elements);
then `division` tells the ways apart.

SNOMED CT codes are those of the TotalSegmentator project's own mapping (wasserth/TotalSegmentator
totalsegmentator/resources/totalsegmentator_snomed_mapping.csv, 2e3ac0cc), and 421060004 for the spine (hhaentze/
MRSegmentator src/dicom_helper/class_codes.py, 2f5abd78). As there, a code names the structure without its side, which
is a modifier of its own: 7771000 left, 24028007 right; each chamber of the heart has a code of its own and takes none.
No code where the project has none (muscles of thigh and shoulder), where its code names a finding instead of a
structure (cysts), or a region instead of the bone (hip). Codes of bones of the limbs, the face and the heart: the same
file at commit 0e65a448.

Vertebrae have an id that rises from head to foot, whatever number a model gives them: C1 to C7 are 1 to 7, T1 to T12 8
to 19, L1 to L5 20 to 24, the sacrum 26 (VerSe: readme at osf.io/b2wxj; TPTBox: TPTBox/core/vert_constants.py, f43f7fb5,
whose 26 is S1 and the sacrum in one). There, 25 is L6 and 28 T13, which no model here labels.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from dixonflow.system.package_table import package_table

SACRUM = 26
"""Vertebra id of the sacrum, S1 included."""

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
    vertebra
        Id of the vertebra that it is or, S1, is a part of; none where it is no single vertebra.
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
    vertebra: int | None
    snomed_ct: str
    snomed_ct_meaning: str


@cache
def structures() -> dict[str, AnatomicalStructure]:
    """All structures by name, in the order of the file."""
    return {row["structure"]: _structure(**row) for row in package_table(__package__, "structures.csv")}


def _structure(
    *,
    structure: str,
    side: str,
    group: str,
    part_of: str,
    division: str,
    vertebra: str,
    snomed_ct: str,
    snomed_ct_meaning: str,
) -> AnatomicalStructure:
    number = int(vertebra) if vertebra else None
    return AnatomicalStructure(structure, side, group, part_of, division, number, snomed_ct, snomed_ct_meaning)  # type: ignore[arg-type]  # a test checks the sets


def known_structures() -> frozenset[str]:
    """Names of all structures."""
    return frozenset(structures())


def is_muscle(name: str) -> bool:
    """Whether a structure is a muscle or a union of muscles; not for a name outside the vocabulary."""
    return name in structures() and structures()[name].group == "muscle"


def vertebra_of(name: str) -> int | None:
    """Id of the vertebra that a structure is or is a part of; none for others and for a name outside the vocabulary."""
    return structures()[name].vertebra if name in structures() else None


def have_single_vertebrae(names: Iterable[str]) -> bool:
    """Whether there is a vertebra among structures; the sacrum alone is none, models that join all others have it."""
    return any(vertebra_of(name) not in (None, SACRUM) for name in names)


def parts(name: str) -> dict[str, tuple[str, ...]]:
    """Direct parts of a structure, by division; empty where it has none."""
    found: dict[str, tuple[str, ...]] = {}
    for each in structures().values():
        if each.part_of == name:
            found[each.division] = (*found.get(each.division, ()), each.name)
    return found


def makes_up(members: Collection[str], whole: str) -> bool:
    """Whether structures together are all of `whole`, by any of its divisions, and nothing else."""
    return all(is_within(each, whole) for each in members) and _is_complete(set(members), whole)


def is_within(name: str, whole: str) -> bool:
    """Whether a structure is `whole` or a part of it, however small."""
    while name in structures() and name != whole:
        name = structures()[name].part_of
    return name == whole


def outermost(name: str) -> str:
    """The largest structure that a structure is a part of, itself where it is none or outside the vocabulary."""
    while name in structures() and structures()[name].part_of:
        name = structures()[name].part_of
    return name


def _is_complete(members: set[str], whole: str) -> bool:
    return whole in members or any(
        all(_is_complete(members, part) for part in division) for division in parts(whole).values()
    )
