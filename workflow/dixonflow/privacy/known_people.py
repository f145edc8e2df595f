"""What must not leave with a release: the ids of a cohort's participants, in any usual writing, and their values."""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from html import unescape
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dixonflow.analyse.covariates import COVARIATE_TABLE, PROBLEM_TABLE
from dixonflow.cohort.shards import read_shards
from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.tables.parquet import read_whole
from dixonflow.tables.wide import WIDE_NAMES

FEWEST_CHARACTERS, _FEWEST_MIXED = 5, 3
"""Shorter ids are also counts, sessions and usual words: they count as `sub-<id>` alone. Letters and digits together
are seldom something else: such ids count from three characters on."""

_FEWEST_DIGITS, _COMPARED_DIGITS = 9, 12
"""A value of a participant is known again from so many significant digits on, and compared to so many: programs write
15 digits and more. With fewer, numbers of others would be taken for it."""

_DECIMAL = re.compile(r"(?<![\w.])[+-]?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)(?![\w.])")
_GROUPED = re.compile(r"(?<![0-9])[0-9]{1,3}(?:([,.' \u00a0\u2009\u202f])[0-9]{3})(?:\1[0-9]{3})*(?![0-9])")
_WORD = re.compile(r"[A-Za-z0-9]+")
_DIGITS = re.compile(r"[0-9]{5,}")
_CODE = re.compile(r"[A-Za-z0-9+/]{6,}")
_DIGEST = re.compile(r"[a-z]?(?=(?:[0-9]*[a-f]){2})[0-9a-f]{10,}")
"""Ids of parts of drawings, checksums: what digits stand in them says nothing."""
_SUBJECT = re.compile(r"sub[-_]?([a-z0-9]+)")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})")
_PARTICIPANT = "participant_id"


class KnownPeople:
    """Ids of participants and values of theirs, prepared for many searches.

    Parameters
    ----------
    ids
        Letters and digits each.
    values
        Values of single participants, in any order.
    """

    def __init__(self, ids: Collection[str], values: Iterable[NDArray[np.float64]] = ()) -> None:
        plain = {each.casefold() for each in ids}
        long = {each for each in plain if len(each) >= FEWEST_CHARACTERS}
        mixed = {each for each in plain - long if len(each) >= _FEWEST_MIXED and not each.isdigit() | each.isalpha()}
        found = long | mixed
        bare = {each.lstrip("0") for each in long}
        self.ids = frozenset(plain)
        self._words = frozenset(long | {each for each in bare if len(each) >= FEWEST_CHARACTERS})
        self._short_words = frozenset(mixed)
        self._coded = frozenset(code for each in ids if each.casefold() in found for code in _codes(each))
        self._numbers = np.array(
            sorted(int(each) for each in self._words if each.isdigit() and len(each) < 19), np.int64
        )
        parts = [each[np.isfinite(each)] for each in values]
        self._values = np.unique(_in_detail(np.concatenate(parts))) if parts else np.empty(0)

    def in_text(self, text: str) -> bool:
        """Whether a text or a name holds an id: as it is, without leading zeros, with decimals or an exponent, escaped,
        in groups of three digits, hashed or in base 64.
        """
        return any(self._in_form(form, self._words | self._short_words) for form in dict.fromkeys(_forms(text)))

    def _in_form(self, text: str, sought: frozenset[str]) -> bool:
        words = set(_WORD.findall(_DECIMAL.sub(_whole, text)))
        codes = set(_CODE.findall(text)) | {word.lower() for word in words}
        if not self._coded.isdisjoint(codes):
            return True
        lower = {word.casefold() for word in words}
        runs = {run for word in lower if not _DIGEST.fullmatch(word) for run in _DIGITS.findall(word)}
        runs |= {re.sub("[^0-9]", "", found[0]) for found in _GROUPED.finditer(text)}
        bare = {word.lstrip("0") for word in lower | runs}
        if not sought.isdisjoint(lower | runs | bare):
            return True
        subjects = set(_SUBJECT.findall(text.casefold()))
        return not self.ids.isdisjoint(subjects | {each.partition("ses")[0] for each in subjects})

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes hold an id, as text of one or of two bytes a character.

        In what is no plain text three characters are found by chance: ids shorter than five count in plain text alone.
        """
        sought = self._words | self._short_words if data.isascii() and b"\0" not in data else self._words
        forms = [data, data.replace(b"\0", b"")] if b"\0" in data else [data]
        return any(self._in_form(each, sought) for form in forms for each in _forms(form.decode("latin-1")))

    def in_numbers(self, numbers: NDArray[np.floating[Any]]) -> bool:
        """Whether a number is an id, with or without a sign."""
        whole = numbers[np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2**62)]
        return bool(np.isin(np.abs(whole).astype(np.int64), self._numbers).any())

    def own_values(self, numbers: NDArray[np.floating[Any]]) -> int:
        """How many of these numbers are values of single participants."""
        return int(np.isin(_in_detail(numbers[np.isfinite(numbers)]), self._values).sum())


def _whole(found: re.Match[str]) -> str:
    """A number with decimals or an exponent as whole as it is: 1000001.0 is an id, and 0.1000001 is none."""
    number = float(found[0])
    return f" {abs(int(number))} " if np.isfinite(number) and number == int(number) else " "


def _forms(text: str) -> Iterator[str]:
    yield text
    if "%" in text or "\\u" in text:
        yield _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    if "&" in text:
        yield unescape(text)
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        yield "".join(each for each in plain if unicodedata.category(each) != "Cf")


def _in_detail(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Values that have so many digits that two people hardly share one, rounded alike."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(values)))
        coarse = np.round(values * 10.0 ** (_FEWEST_DIGITS - 2 - magnitude)) / 10.0 ** (_FEWEST_DIGITS - 2 - magnitude)
        fine = np.round(values * 10.0 ** (_COMPARED_DIGITS - 1 - magnitude)) / 10.0 ** (
            _COMPARED_DIGITS - 1 - magnitude
        )
    detailed = np.isfinite(coarse) & (np.abs(coarse - values) > np.abs(values) * 1e-12)
    chosen: NDArray[np.floating[Any]] = fine[detailed]
    return chosen


def _codes(participant: str) -> list[str]:
    found = []
    for written in (participant, f"{participant}\n", f"sub-{participant}", f"sub-{participant}\n"):
        data = written.encode()
        for name in ("md5", "sha1", "sha256", "sha512"):
            found.append(hashlib.new(name, data, usedforsecurity=False).hexdigest())
        found += [base64.b64encode(data).decode().rstrip("="), data.hex()]
    return found


def known_people(results: Results, withdrawn: Collection[str], further: Collection[str] = ()) -> KnownPeople:
    """Ids of a run and of its covariates, those who have withdrawn and further ones, and the values of its tables.

    Raises
    ------
    ConfigError
        If nobody is known: a check would find nothing.
    TableError
        If a table is damaged.
    """
    ids = {entry.scan.participant for shard in read_shards(results.shards) for entry in shard.scans}
    ids |= {*withdrawn, *further}
    values = []
    for path in sorted(results.tables.glob("*.parquet")):
        if path.stem in ("scans", COVARIATE_TABLE.name, PROBLEM_TABLE.name):
            ids |= {
                str(each) for each in read_whole(path, [_PARTICIPANT])[_PARTICIPANT].to_pylist() if each is not None
            }
        if path.stem.startswith((*WIDE_NAMES, COVARIATE_TABLE.name)):
            table = read_whole(path)
            values += [column.to_numpy() for column in table.columns if pa.types.is_floating(column.type)]
    if not ids:
        raise ConfigError(f"no participant is known from {results.root}: nothing could be found in a release")
    return KnownPeople(ids, values)
