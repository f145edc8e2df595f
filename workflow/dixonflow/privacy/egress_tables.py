"""Whether a table holds groups of people alone: no id, no row of one participant, no small count."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dixonflow.privacy.egress_counts import holds_small_count, small_differences
from dixonflow.privacy.known_people import KnownPeople

HOLDS_ID = "it holds an id of a participant"

ID_COLUMN = re.compile(
    r"(participant|subject|person|patient|proband)(_?(ids?|nr|number|no|key))?|f?e?iid|[ef]id|ids?|sub|session(_?id)?"
    r"|raw_key|content_key|scan_?id|birth.*|date_of_birth|dob",
    re.IGNORECASE,
)
"""Names of columns that say whose a row is."""

PEOPLE = re.compile(
    r"n|count|counts|size|participants|people|persons|subjects|scans|pairs|images|cases|observations|obs|freq(uency)?"
    r"|(n|number_of|count_of)_(people|persons|participants|subjects|scans|pairs|images|cases|obs|first|second|\w*male)"
    r"|obs_ct|(people|persons|participants|subjects|scans|pairs|images|cases)_(n|count)",
    re.IGNORECASE,
)
"""Names of columns that say how many people or scans a row stands for."""

CODES = re.compile(
    r"|__index_level_\d+__|unnamed:_\d+|.*levels|degrees_of_freedom|(.*_)?(df|dof)(_.*)?|ukb_field|position|year|month|wave|visit|quartile"
    r"|quintile|decile|centile|label|index|station|sex|male|.*_group|group|rank|term|model|stage|n_(models|knots|levels)"
    r"|(.*_)?(mean|sd|se|median|beta|estimate|difference|slope)(_.*)?|(.*_)?(p|q|share|fraction|proportion|percent|rate|ratio|rho|r|z|coverage|consistency)(_.*)?",
    re.IGNORECASE,
)
"""Columns of whole numbers that count nobody."""

_ORDER_STATISTIC = re.compile(
    r"(.*_)?(median|(lower_|upper_)?quartile|centile|percentile|q\d+|p\d+)(_.*)?", re.IGNORECASE
)
"""Columns that may hold the value of one participant, as the middle of a group's may be."""

_NOTHING = {"", "na", "nan", "null", "none", "not shown", ".", "-", "suppressed"}
NUMBER = re.compile(r"^[\s'\"]*([+-]?\d[\d,. '\u00a0\u2009\u202f]*(?:[eE][+-]?\d+)?)")
_LONE_NUMBER = re.compile(r"\s*[+-]?[0-9][0-9.,]*\s*")
_SUPPRESSED = re.compile(r"^\s*(<|≤|under\s)\s*\d+\s*$")
_EMBEDDED = re.compile(
    r"data:(?:[a-z]+/[a-z0-9.+-]+|;base64)(?:;[a-z0-9=_-]+)*,|[A-Za-z0-9+/_-]{200,}"
    r"|(?:[A-Za-z0-9+/_-]{40,}={0,2}(?:\s|\\[nr])+){4,}[A-Za-z0-9+/_-]{9,}",
    re.IGNORECASE,
)
"""Something else written in letters: a picture in a page, or bytes in base 64, in one line or many."""

Column = tuple[str, pd.Series]


def in_parquet(data: bytes, people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    """Check a Parquet file: rows, names, metadata, texts that no row shows, and that it is nothing else as well.

    Parameters
    ----------
    known
        Whether a study wrote it, or somebody has looked at it: its rows need no number of people then.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    schema, footer = file.schema_arrow, int.from_bytes(data[-8:-4], "little")
    if people.in_bytes(data[-8 - footer : -8]) or not _is_covered(file, len(data) - 8 - footer):
        yield "its metadata hold an id of a participant, or there is something between its parts"
    pieces = [
        pair for each in (schema.metadata, *(field.metadata for field in schema)) for pair in (each or {}).items()
    ]
    if any(people.in_bytes(each) for pair in pieces for each in pair):
        yield "its metadata hold an id of a participant"
    if any(pa.types.is_nested(each.type) or pa.types.is_binary(each.type) for each in schema):
        yield "it has columns of lists or bytes"
        return
    coded = [field.name for field in schema if _is_text(field.type)]
    table = pq.read_table(io.BytesIO(data), read_dictionary=coded)
    columns: list[Column] = []
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if pa.types.is_dictionary(column.type):  # which may hold more than the rows show
            entries = pa.chunked_array([chunk.dictionary for chunk in column.chunks], column.type.value_type)
            entries = pc.cast(entries, entries.type.value_type) if pa.types.is_dictionary(entries.type) else entries
            if people.in_text("\n".join(str(each) for each in entries.to_pylist())):
                yield HOLDS_ID
            column = pc.cast(column, column.type.value_type)
            column = pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column
        columns.append((name, _as_series(column)))
    yield from _in_columns(columns, people, limit, known)


def _is_covered(file: pq.ParquetFile, end: int) -> bool:
    """Whether the parts of a file follow each other without gaps."""
    spans = []
    for group in range(file.metadata.num_row_groups):
        for number in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(number)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            spans.append((start, start + chunk.total_compressed_size))
    place = 4
    for start, stop in sorted(spans):
        if start != place:
            return False
        place = stop
    return place == end


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _as_series(column: pa.ChunkedArray) -> pd.Series:
    """Numbers, also those of dates and decimals; texts as they are; truth values as none of both."""
    kind = column.type
    if pa.types.is_temporal(kind):
        bits = pa.int32() if kind.bit_width == 32 else pa.int64()
        column = pc.cast(column, bits)
    if pa.types.is_decimal(kind):
        column = pc.cast(column, pa.float64(), safe=False)
    if _is_text(column.type):
        return pd.Series(["" if each is None else str(each) for each in column.to_pylist()], dtype=object)
    if pa.types.is_null(column.type):
        return pd.Series(np.full(len(column), np.nan))
    return pd.Series(column.to_pandas())


def in_delimited(data: bytes, people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    """Check a file of separated values with a heading."""
    text = data.decode("utf-8-sig")
    if people.in_text(text):
        yield HOLDS_ID
    if "\0" in text:
        yield "it is no plain text"
    if not known:
        yield from in_embedded(text)
    separator = max(",\t;|", key=text.partition("\n")[0].count)
    yield from in_rows(list(csv.reader(io.StringIO(text), delimiter=separator)), people, limit, known)


def in_rows(rows: Sequence[Sequence[str]], people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    """Check rows of text, the first of which names the columns."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return
    if any(NUMBER.match(cell) and cell.strip()[0] not in "'\"" for cell in rows[0]):
        yield "its first line is no heading: the names of its columns are not known"
    if any(len(row) > len(rows[0]) for row in rows[1:]):
        yield "its rows are longer than its heading"
        return
    columns = [
        (name, pd.Series([row[place] if place < len(row) else "" for row in rows[1:]], dtype=object))
        for place, name in enumerate(rows[0])
    ]
    yield from _in_columns(columns, people, limit, known)


def _typed(cells: Sequence[str]) -> pd.Series:
    """Numbers where all cells that hold something begin with one, `3 (0.8 %)` too; else text."""
    numbers: list[float] = []
    for cell in cells:
        if cell.strip().casefold() in _NOTHING or _SUPPRESSED.match(cell):
            numbers.append(np.nan)
            continue
        found = NUMBER.match(cell)
        if found is None:
            return pd.Series(list(cells), dtype=object)
        numbers.append(_number(found[1]))
    return pd.Series(numbers, dtype=float)


def _number(text: str) -> float:
    plain = re.sub("[' \u00a0\u2009\u202f]", "", text).rstrip(",.")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", plain):
        plain = plain.replace(",", "")
    elif plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        return float(plain)
    except ValueError:  # a version, a date: no number
        return np.nan


def in_embedded(text: str) -> Iterator[str]:
    """Search a text for pictures and other bytes that are written in letters: what they show is not looked at."""
    if any(found[0].startswith("data:") or len(set(found[0])) > 9 for found in _EMBEDDED.finditer(text)):
        yield "it has a picture or other bytes written in letters (data:, base 64)"


def cleaned(name: object) -> str:
    """Return the name of a column as the patterns here write it: without quotes, `_` for blanks and dots."""
    return str(name).strip().strip("\"'").replace(" ", "_").replace(".", "_")


def _in_columns(columns: Sequence[Column], people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    named = [(cleaned(name), column) for name, column in columns]
    if people.in_text("\n".join(str(name) for name, _ in columns)):
        yield "the name of a column holds an id of a participant"
    if not known and (found := [name for name, _ in named if ID_COLUMN.fullmatch(name)]):
        yield f"column {found[0]} says whose a row is"
    sizes, filled = [], np.zeros(max((len(column) for _, column in named), default=0), bool)
    counts: dict[str, NDArray[np.floating[Any]]] = {}
    for name, cells in named:
        is_text = pd.api.types.is_object_dtype(cells.dtype)
        words = [str(each) for each in pd.unique(cells.dropna())] if is_text else []
        if is_text:
            yield from _in_words(name, words, people, limit, known)
        column = _typed(["" if each is None else str(each) for each in cells]) if is_text else cells
        if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
            if not known and any(_LONE_NUMBER.fullmatch(word) for word in words):
                yield f"column {name} has numbers among words: what they count is not known"
            continue
        numbers = column.astype("Float64").to_numpy(float, na_value=np.nan)
        yield from _in_numbers(name, numbers[np.isfinite(numbers)], people, limit)
        if _is_count(name, numbers):
            counts[name] = numbers
        if PEOPLE.fullmatch(name):
            sizes.append(np.nan_to_num(numbers) >= limit)
        else:
            filled |= np.isfinite(numbers)
    yield from small_differences(counts, [name for name in counts if PEOPLE.fullmatch(name)], limit)
    if known or not len(filled):
        return
    if not sizes:
        yield "no column says how many people a row stands for (n, count, participants): add one"
    elif (filled & ~np.logical_or.reduce(sizes)).any():
        yield "rows have values and no number of people"


def _in_words(name: str, words: Sequence[str], people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    text = "\n\n".join(words)
    if people.in_text(text):
        yield HOLDS_ID
    if not known:
        yield from in_embedded(text)
    if not CODES.fullmatch(name) and any(holds_small_count(word, limit) for word in words):
        yield f"column {name} has counts under {limit}"


def _is_count(name: str, numbers: NDArray[np.floating[Any]]) -> bool:
    """Whether a column may count people: its numbers are whole, and its name does not say that they are codes."""
    finite = numbers[np.isfinite(numbers)]
    return bool(len(finite)) and bool((finite == np.round(finite)).all()) and not CODES.fullmatch(name)


def _in_numbers(name: str, numbers: NDArray[np.floating[Any]], people: KnownPeople, limit: int) -> Iterator[str]:
    if (PEOPLE.fullmatch(name) or _is_count(name, numbers)) and (
        (np.abs(numbers) > 0) & (np.abs(numbers) < limit)
    ).any():
        yield f"column {name} has counts under {limit}"
    if people.in_numbers(numbers):
        yield HOLDS_ID
    if not _ORDER_STATISTIC.fullmatch(name) and people.own_values(numbers):
        yield f"column {name} holds values of single participants"
