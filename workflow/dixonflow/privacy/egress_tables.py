"""Whether a table holds groups of people alone: no id, no row of one participant, no small count."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.privacy.known_people import KnownPeople

HOLDS_ID = "it holds an id of a participant"

_ID_COLUMN = re.compile(
    r"(participant|subject|person|patient|proband|case)(_?(ids?|nr|number|no|key))?|f?e?iid|[ef]id|ids?|sub"
    r"|session(_?id)?|source|raw_key|content_key|scan(_?id)?|birth.*|date_of_birth|dob",
    re.IGNORECASE,
)
"""Names of columns that say whose a row is."""

_COUNTS = re.compile(
    r"(n|count|counts|number|pairs|images|participants|people|persons|scans|values|observations|freq(uency)?|total)"
    r"|(n|number|count)_.*|.*_(n|count|counts|participants|people|scans|values)|in_one_piece",
    re.IGNORECASE,
)
"""Names of columns that say how many people or scans a row stands for."""

_NO_COUNTS = re.compile(
    r"levels|degrees_of_freedom|ukb_field|position|year|quartile|quintile|decile|centile|label|index|station",
    re.IGNORECASE,
)
"""Columns of whole numbers that count nobody."""

_ORDER_STATISTIC = re.compile(
    r"(.*_)?(median|(lower_|upper_)?quartile|centile|percentile|q\d+|p\d+)(_.*)?", re.IGNORECASE
)
"""Columns that may hold the value of one participant, as the middle of a group's may be."""

DESCRIBING: tuple[frozenset[str], ...] = (
    frozenset({"sequence", "model", "structure", "measure", "unit", "sex", "age_years", "centile", "value"}),
    frozenset({"variable", "levels", "chi_squared", "degrees_of_freedom", "p"}),
    frozenset({"structure", "measure", "unit", "sd_within"}),
    frozenset({"index", "definition", "ukb_field", "ukb_title", "ukb_difference", "source"}),
    frozenset({"table", "name", "column", "unit", "description"}),
    frozenset(
        {"table_name", "position", "name", "type", "unit", "description", "definition", "source", "nullable"}
        | {"published_dice", "published_dice_source"}
    ),
)
"""Columns of tables whose rows are no people: centiles, tests, repeatability, definitions, variables, dictionary."""


def in_parquet(data: bytes, people: KnownPeople, limit: int) -> Iterator[str]:
    """Check a Parquet file: rows, names, metadata, and texts that no row shows."""
    file = pq.ParquetFile(io.BytesIO(data))
    schema = file.schema_arrow
    pieces = [*(file.metadata.metadata or {}).items(), *(schema.metadata or {}).items()]
    pieces += [pair for field in schema for pair in (field.metadata or {}).items()]
    if any(people.in_bytes(each) for pair in pieces for each in pair):
        yield "its metadata hold an id of a participant"
    table = pq.read_table(io.BytesIO(data))
    if any(pa.types.is_nested(field.type) or pa.types.is_binary(field.type) for field in schema):
        yield "it has columns of lists or bytes"
        return
    texts = [name for name in table.column_names if _is_text(schema.field(name).type)]
    whole = pq.read_table(io.BytesIO(data), columns=texts, read_dictionary=texts)
    for name in texts:  # a dictionary may hold more than the rows show
        entries = [chunk.dictionary for chunk in whole[name].chunks if pa.types.is_dictionary(chunk.type)]
        for each in entries:
            values = each.dictionary if pa.types.is_dictionary(each.type) else each
            if any(value and people.in_text(str(value)) for value in values.to_pylist()):
                yield HOLDS_ID
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        columns[name] = column.to_pandas()
    yield from _in_columns(columns, people, limit)


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def in_delimited(data: bytes, people: KnownPeople, limit: int) -> Iterator[str]:
    """Check a file of separated values with a heading."""
    text = data.decode("utf-8-sig")
    if "\0" in text:
        yield "it is no plain text"
    dialect = max(",\t;", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text), delimiter=dialect))
    yield from in_rows(rows, people, limit)


def in_rows(rows: Sequence[Sequence[str]], people: KnownPeople, limit: int) -> Iterator[str]:
    """Check rows of text, the first of which names the columns."""
    if not rows:
        return
    names = rows[0]
    if any(len(row) > len(names) for row in rows[1:]):
        yield "its rows are longer than its heading"
        return
    columns = {}
    for place, name in enumerate(names):
        cells = [row[place].strip() if place < len(row) else "" for row in rows[1:]]
        columns[f"{name}" if name not in columns else f"{name}_{place}"] = _typed(cells)
    yield from _in_columns(columns, people, limit)


_NOTHING = {"", "na", "nan", "null", "none", "not shown", "."}


def _typed(cells: Sequence[str]) -> pd.Series:
    """Numbers where all cells are some, whole ones where none has a decimal point; else text."""
    known = [cell.replace(",", "") if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", cell) else cell for cell in cells]
    known = ["" if cell.casefold() in _NOTHING else cell for cell in known]
    try:
        numbers = pd.Series([float(cell) if cell else np.nan for cell in known], dtype=float)
    except ValueError:
        return pd.Series(list(cells), dtype=object)
    whole = all(re.fullmatch(r"[+-]?[0-9]{1,18}", cell) for cell in known if cell)
    return numbers.astype("Int64") if whole else numbers


def in_json(data: bytes, people: KnownPeople, limit: int) -> Iterator[str]:
    """Check a JSON document: its texts, and its lists of records as tables."""
    yield from _in_value(json.loads(data.decode("utf-8")), people, limit)


def _in_value(value: Any, people: KnownPeople, limit: int) -> Iterator[str]:
    match value:
        case str():
            if people.in_text(value):
                yield HOLDS_ID
        case dict():
            yield from _in_record(value, people, limit)
        case list():
            yield from _in_list(value, people, limit)


def _in_record(record: Mapping[str, Any], people: KnownPeople, limit: int) -> Iterator[str]:
    if any(people.in_text(key) for key in record):
        yield HOLDS_ID
    if any(_COUNTS.fullmatch(key) and _is_number(each) and 0 < each < limit for key, each in record.items()):
        yield f"a count is under {limit}"
    yield from _in_list([each for each in record.values() if _is_number(each)], people, limit)
    for each in record.values():
        yield from _in_value(each, people, limit)


def _in_list(values: Sequence[Any], people: KnownPeople, limit: int) -> Iterator[str]:
    numbers = np.asarray([each for each in values if _is_number(each)], float)
    if people.in_numbers(numbers):
        yield HOLDS_ID
    if people.own_values(numbers):
        yield "it holds values of single participants"
    if len(values) >= limit and all(map(_is_record, values)):
        names = list(dict.fromkeys(name for each in values for name in each))
        cells = [["" if each.get(name) is None else str(each[name]) for name in names] for each in values]
        yield from in_rows([names, *cells], people, limit)
    for each in values:
        yield from _in_value(each, people, limit)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(each, dict | list) for each in value.values())


def _in_columns(columns: Mapping[str, pd.Series], people: KnownPeople, limit: int) -> Iterator[str]:
    if any(people.in_text(str(name)) for name in columns):
        yield "the name of a column holds an id of a participant"
    columns = {str(name).strip().replace(" ", "_"): column for name, column in columns.items()}
    describing = frozenset(columns) in DESCRIBING
    if not describing and (named := [name for name in columns if _ID_COLUMN.fullmatch(name)]):
        yield f"column {named[0]} says whose a row is"
    has_counts = False
    for name, column in columns.items():
        if pd.api.types.is_bool_dtype(column.dtype):
            continue
        if not pd.api.types.is_numeric_dtype(column.dtype):
            if any(people.in_text(str(each)) for each in pd.unique(column.dropna())):
                yield HOLDS_ID
            continue
        numbers = column.astype("Float64").to_numpy(float, na_value=np.nan)
        counts = bool(_COUNTS.fullmatch(name))
        has_counts |= counts
        whole = pd.api.types.is_integer_dtype(column.dtype) and not _NO_COUNTS.fullmatch(name)
        if (counts or whole) and not describing and ((np.abs(numbers) > 0) & (np.abs(numbers) < limit)).any():
            yield f"column {name} has counts under {limit}"
        if people.in_numbers(numbers):
            yield HOLDS_ID
        if not _ORDER_STATISTIC.fullmatch(name) and people.own_values(numbers):
            yield f"column {name} holds values of single participants"
    rows = max((len(column) for column in columns.values()), default=0)
    if rows and not has_counts and not describing:
        yield "no column says how many people a row stands for (n, count, participants)"
