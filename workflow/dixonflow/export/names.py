"""Short names of columns for programs that allow no longer ones.

Stata allows 32 characters and has reserved words; SPSS 64 bytes, without regard to case. A name that is allowed stays.
A longer one has its words shortened, each always in the same way; one that is still too long, or would be another
column's of the table, keeps its beginning and ends in six digits of the hash of the full name.
"""

import hashlib
import re
from collections.abc import Iterable

STATA_LENGTH, SPSS_LENGTH = 32, 64

_SHORT = {
    "missing_reason": "why",
    "coverage_fraction": "cov",
    "fat_fraction_eroded_mean": "ffem",
    "fat_fraction_mean": "ffm",
    "fat_fraction": "ff",
    "intramuscular_fat_volume": "imatvol",
    "subcutaneous_fat": "sat",
    "abdominal": "abd",
    "visceral_fat": "vat",
    "total_muscle": "muscle",
    "uncut_slices": "uncut",
    "fat_volume": "fatvol",
    "lean_volume": "leanvol",
    "volume": "vol",
    "area": "area",
    "gluteus_maximus": "glutmax",
    "gluteus_medius": "glutmed",
    "gluteus_minimus": "glutmin",
    "gluteal_muscles": "glut",
    "vertebra_posterior_elements": "vertpost",
    "vertebra_body": "vertbody",
    "vertebrae": "vert",
    "lung_upper_lobe": "lungup",
    "lung_middle_lobe": "lungmid",
    "lung_lower_lobe": "lunglow",
    "inferior_vena_cava": "ivc",
    "superior_vena_cava": "svc",
    "portal_vein_and_splenic_vein": "portsplen",
    "iliac_artery": "iliart",
    "iliac_vena": "ilivein",
    "common_carotid_artery": "cca",
    "subclavian_artery": "subclart",
    "brachiocephalic": "brceph",
    "autochthon": "autoch",
    "iliopsoas": "iliops",
    "adrenal_gland": "adren",
    "urinary_bladder": "bladder",
    "spinal_channel": "spcanal",
    "costal_cartilages": "costcart",
    "hounsfield": "hu",
    "_left": "_l",
    "_right": "_r",
    "_grade": "_gr",
}
"""Shorter forms, tried in this order."""

_STATA_RESERVED = frozenset(
    {
        *("_all", "_b", "byte", "_coef", "_cons", "double", "float", "if", "in", "int", "long", "_n", "_N", "_pi"),
        *("_pred", "_rc", "_skip", "strL", "using", "with"),
    }
)
"""Stata's User's Guide 11.3, as WizardMac/ReadStat src/stata/readstat_dta_write.c lists them."""

_SPSS_RESERVED = frozenset(["ALL", "AND", "BY", "EQ", "GE", "GT", "LE", "LT", "NE", "NOT", "OR", "TO", "WITH"])
"""IBM SPSS Statistics command syntax reference, variable names."""


def short_names(names: Iterable[str], length: int) -> dict[str, str]:
    """Give every column a name that a program with names of at most `length` characters reads.

    Raises
    ------
    ValueError
        If two columns would have one name, which six digits of a hash make unlikely.
    """
    names = list(names)
    candidates = {name: _shortened(name, length) for name in names}
    taken: dict[str, int] = {}
    for candidate in candidates.values():
        taken[candidate.lower()] = taken.get(candidate.lower(), 0) + 1
    found = {
        name: candidate if _is_sure(candidate, length, taken) else _hashed(name, length)
        for name, candidate in candidates.items()
    }
    if len({each.lower() for each in found.values()}) < len(names):
        raise ValueError("two columns would have one name")
    return found


def _is_sure(candidate: str, length: int, taken: dict[str, int]) -> bool:
    return len(candidate) <= length and taken[candidate.lower()] == 1


def _shortened(name: str, length: int) -> str:
    """The name itself where it is allowed; else with shorter words, from the most specific to the least."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not re.match(r"[A-Za-z]", plain) or _is_reserved(plain):
        plain = f"v_{plain}"
    for long, short in _SHORT.items():
        if len(plain) <= length:
            break
        plain = plain.replace(long, short)
    return plain if len(plain) <= length else _hashed(name, length)


def _hashed(name: str, length: int) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not re.match(r"[A-Za-z]", plain):
        plain = f"v_{plain}"
    return f"{plain[: length - 7]}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _is_reserved(name: str) -> bool:
    stata = name in _STATA_RESERVED or re.fullmatch(r"str[0-9]+", name) is not None
    return stata or name.upper() in _SPSS_RESERVED
