"""What must not leave with a release: the ids of a cohort's participants, in any writing, and their values."""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dixonflow.analyse.covariates import COVARIATE_TABLE, PROBLEM_TABLE
from dixonflow.cohort.shards import read_shards
from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.tables.schema import TableError
from dixonflow.tables.wide import WIDE_NAMES

FEWEST_CHARACTERS = 5
"""Shorter ids are also counts and sessions: they count as `sub-<id>` and in columns of ids alone."""

FEWEST_DIGITS = 7
"""A value of a participant is known again from this many significant digits on."""

# not the digits after a decimal point, which may be any
_WORD = re.compile(r"(?<![0-9]\.)(?<![A-Za-z0-9])[A-Za-z0-9]+")
_AFFIXED = re.compile(r"[a-z]*?([0-9]{5,})[a-z]*")
_SUBJECT = re.compile(r"sub[-_]?([a-z0-9]+)")
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
        self.ids = frozenset(plain)
        self._words = frozenset(
            long | {each.lstrip("0") for each in long if len(each.lstrip("0")) >= FEWEST_CHARACTERS}
        )
        self._coded = frozenset(code for each in ids if each.casefold() in long for code in _codes(each))
        numbers = sorted({int(each) for each in self._words if each.isdigit() and len(each) < 19})
        self._numbers = np.array(numbers, np.int64)
        parts = [each[np.isfinite(each)] for each in values]
        self._values = np.unique(_in_detail(np.concatenate(parts))) if parts else np.empty(0)

    def in_text(self, text: str) -> bool:
        """Whether a text or a name holds an id: as it is, without leading zeros, escaped, hashed or in base 64."""
        forms = {text, unescape(text), unquote(text)}
        return any(self._in_words(form) for form in forms)

    def _in_words(self, text: str) -> bool:
        words = set(_WORD.findall(text))
        if not self._coded.isdisjoint(words) or not self._coded.isdisjoint(word.lower() for word in words):
            return True
        lower = {word.casefold() for word in words}
        bare = {word.lstrip("0") for word in lower}
        inner = {found[1].lstrip("0") for word in lower if (found := _AFFIXED.fullmatch(word))}
        subjects = set(_SUBJECT.findall(text.casefold()))
        return not (self._words.isdisjoint(lower | bare | inner) and self.ids.isdisjoint(subjects))

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes hold an id, as text of one or of two bytes a character."""
        texts = [data.decode("latin-1")]
        if b"\0" in data:
            texts += [data.replace(b"\0", b"").decode("latin-1")]
        return any(self.in_text(text) for text in texts)

    def in_numbers(self, numbers: NDArray[np.floating[Any]]) -> bool:
        """Whether a number is an id."""
        whole = numbers[np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2**62)]
        return bool(np.isin(whole.astype(np.int64), self._numbers).any())

    def own_values(self, numbers: NDArray[np.floating[Any]]) -> int:
        """How many of these numbers are values of single participants, to the last digit."""
        return int(np.isin(_in_detail(numbers[np.isfinite(numbers)]), self._values).sum())


def _in_detail(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Values that have so many digits that two people hardly share one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (FEWEST_DIGITS - 2 - np.floor(np.log10(np.abs(values))))
        coarse = np.round(values * scale) / scale
    detailed = np.isfinite(coarse) & (np.abs(coarse - values) > np.abs(values) * 1e-12)
    chosen: NDArray[np.floating[Any]] = values[detailed]
    return chosen


def _codes(participant: str) -> list[str]:
    data = participant.encode()
    hashes = [hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")]
    return [*hashes, base64.b64encode(data).decode().rstrip("="), data.hex()]


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
            ids |= {str(each) for each in _columns(path, (_PARTICIPANT,)).get(_PARTICIPANT, []) if each is not None}
        if path.stem.startswith((*WIDE_NAMES, COVARIATE_TABLE.name)):
            values += [each for each in _columns(path).values() if each.dtype.kind == "f"]
    if not ids:
        raise ConfigError(f"no participant is known from {results.root}: nothing could be found in a release")
    return KnownPeople(ids, values)


def _columns(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    try:
        file = pq.ParquetFile(path)
        there = [field.name for field in file.schema_arrow if names is None or field.name in names]
        there = [name for name in there if names or pa.types.is_floating(file.schema_arrow.field(name).type)]
        table = file.read(columns=there)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} cannot be read: {type(error).__name__}") from error
    return {name: table[name].to_numpy() for name in there}
