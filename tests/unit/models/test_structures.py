"""The vocabulary of structures: sides, groups, codes, and what composes what."""

import re
from collections import Counter
from typing import get_args

import pytest

from dixonflow.models.anatomy import (
    AnatomicalStructure,
    Group,
    Side,
    is_muscle,
    known_structures,
    makes_up,
    parts,
    structures,
)
from dixonflow.models.load import MODELS

SIDED = {name: each for name, each in structures().items() if each.side != "none"}


def test_every_structure_is_there_once():
    rows = (MODELS.parent / "structures.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "structure,side,group,part_of,division,vertebra,snomed_ct,snomed_ct_meaning"
    assert len(rows) - 1 == len(structures()) == len(known_structures())
    for each in structures().values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", each.name)
        assert each.side in get_args(Side)
        assert each.group in get_args(Group)


def test_the_side_is_what_the_name_says():
    for each in structures().values():
        named = {"left", "right"} & set(each.name.split("_"))
        assert named == ({each.side} - {"none"}), each.name


def test_sided_structures_come_in_pairs_of_one_group_and_code():
    alone = {"lung_middle_lobe_right", "atrial_appendage_left"}  # the other side has none, or nobody labels it
    other = {"left": "right", "right": "left"}
    for name, each in SIDED.items():
        partner = structures().get(name.replace(each.side, other[each.side]))
        if partner is None:
            assert name in alone
            continue
        assert (partner.side, partner.group) == (other[each.side], each.group)
        assert partner.division == each.division
        if _sides_named(each):  # the chambers of the heart have a code each
            assert (_sides_named(each), _sides_named(partner)) == ({each.side}, {partner.side})
        else:
            assert partner.snomed_ct == each.snomed_ct


def test_a_part_lies_on_the_side_of_its_whole():
    for each in structures().values():
        if each.part_of:
            whole = structures()[each.part_of]
            assert whole.side in (each.side, "none")
            assert each.group == whole.group


def test_codes_are_snomed_ct_identifiers():
    assert not _verhoeff_is_zero("10200005")
    meanings = {}
    for each in structures().values():
        assert bool(each.snomed_ct) == bool(each.snomed_ct_meaning)
        if each.snomed_ct:
            assert _verhoeff_is_zero(each.snomed_ct), f"{each.name}: the check digit of {each.snomed_ct} is wrong"
            assert meanings.setdefault(each.snomed_ct, each.snomed_ct_meaning) == each.snomed_ct_meaning
    assert structures()["liver"].snomed_ct == "10200004"


def test_one_code_is_one_structure_or_its_sides_and_their_whole():
    by_code = Counter()
    for each in structures().values():
        if each.snomed_ct and not each.part_of.startswith(("lung_", "ribs")):
            stem = re.sub("_(left|right)", "", each.name).rstrip("s")
            by_code[each.snomed_ct, stem] += 1
    assert max(Counter(code for code, _ in by_code).values()) == 1


@pytest.mark.parametrize(
    ("members", "whole", "expected"),
    [
        ({"lung_upper_lobe_left", "lung_lower_lobe_left"}, "lung_left", True),
        ({"lung_upper_lobe_left"}, "lung_left", False),
        ({"lung_left", "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"}, "lungs", True),
        ({"lung_left", "lung_right", "liver"}, "lungs", False),
        ({"vertebra_body", "vertebra_posterior_elements"}, "vertebrae", True),
        ({"vertebra_body"}, "vertebrae", False),
        ({"vertebra_body", "vertebra_posterior_elements", "IVD", "sacrum"}, "spine", True),
        ({"vertebrae", "sacrum"}, "spine", False),
        ({"subcutaneous_fat_other", "abdominal_subcutaneous_fat", "gluteofemoral_fat"}, "subcutaneous_fat", True),
    ],
)
def test_a_whole_needs_all_parts_of_one_division_and_nothing_else(members, whole, expected):
    assert makes_up(members, whole) is expected


def test_vertebrae_divide_into_24_levels_or_two_tissues():
    division = parts("vertebrae")
    levels = [
        f"{letter}{number}" for letter, count in (("C", 7), ("T", 12), ("L", 5)) for number in range(1, count + 1)
    ]
    assert set(division["level"]) == {f"vertebrae_{level}" for level in levels}
    assert makes_up(division["level"], "vertebrae")
    assert not makes_up(division["level"][1:], "vertebrae")
    assert set(division["tissue"]) == {"vertebra_body", "vertebra_posterior_elements"}
    assert len(parts("ribs")[""]) == 24


def test_muscles_are_told_from_the_rest():
    assert is_muscle("total_muscle")
    assert is_muscle("quadratus_lumborum_left")
    assert not is_muscle("heart")
    assert not is_muscle("no_structure")


def _sides_named(structure: AnatomicalStructure) -> set[str]:
    return {"left", "right"} & set(structure.snomed_ct_meaning.lower().split())


def _verhoeff_is_zero(number: str) -> bool:
    """Check digit of SNOMED CT identifiers (SNOMED CT RF2 guide, Verhoeff's dihedral check)."""
    rotate = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    permutation = list(range(10))
    check = 0
    for digit in reversed(number):
        check = _dihedral(check, permutation[int(digit)])
        permutation = [rotate[each] for each in permutation]
    return check == 0


def _dihedral(a: int, b: int) -> int:
    """Product in the dihedral group of order 10: 0 to 4 turn, 5 to 9 mirror."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5
