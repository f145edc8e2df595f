"""Arrow and pandera schemas of a table, and the check of rows against them."""

from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandera import pandas as pandera
from pandera.errors import SchemaErrors

from dixonflow.errors import DixonflowError
from dixonflow.tables import SCHEMA_VERSION
from dixonflow.tables.columns import Column, ColumnType, Table

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.STRING: pa.string(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.INT64: pa.int64(),
    ColumnType.BOOL: pa.bool_(),
}
# pandas types that keep null apart from NaN, so that the check sees what the file will hold
_PANDAS_TYPES = {
    pa.string(): pd.StringDtype("pyarrow", na_value=pd.NA),
    pa.float64(): pd.Float64Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
# pandera compares this type with itself ten times faster than pandas' own type for strings
_CHECKED_TYPES = _PANDAS_TYPES | {pa.string(): pd.ArrowDtype(pa.string())}
# sorts after every id: ids are ASCII, and Arrow compares strings by their bytes
_AFTER_ALL = "\U0010ffff"


class TableError(DixonflowError):
    """Rows or a file are not what the definition of their table says. The message names columns, never an id."""


@cache
def arrow_schema(table: Table) -> pa.Schema:
    """Schema of the Parquet file: plain types, unit and description with every field, version with the file."""
    fields = [
        pa.field(
            column.name,
            ARROW_TYPES[column.type],
            nullable=column.nullable,
            metadata={"unit": column.unit, "description": column.description, "definition": column.definition},
        )
        for column in table.columns
    ]
    metadata = {
        "table": table.name,
        "description": table.description,
        "keys": ",".join(table.keys),
        "schema_version": SCHEMA_VERSION,
    }
    return pa.schema(fields, metadata=metadata)


def _pandera_column(column: Column) -> pandera.Column:
    checks = []
    if column.allowed:
        checks.append(pandera.Check.isin(column.allowed))
    if column.minimum is not None:
        checks.append(pandera.Check.ge(column.minimum))
    if column.maximum is not None:
        checks.append(pandera.Check.le(column.maximum))
    return pandera.Column(_CHECKED_TYPES[ARROW_TYPES[column.type]], checks=checks, nullable=column.nullable)


@cache
def pandera_schema(table: Table) -> pandera.DataFrameSchema:
    """Check of the rows: types, order of columns, nulls, bounds, closed sets and the conditions between columns."""
    return pandera.DataFrameSchema(
        {column.name: _pandera_column(column) for column in table.columns},
        checks=[pandera.Check(rule.holds, name=rule.name, error=rule.name) for rule in table.rules],
        strict=True,
        ordered=True,
        name=table.name,
    )


def to_arrow(rows: pd.DataFrame, table: Table) -> pa.Table:
    """Rows as Arrow, in the columns of the table. NaN and None become null.

    Raises
    ------
    TableError
        If a column is missing or unknown, or holds values of another type.
    """
    different = set(rows.columns) ^ set(table.names)
    if different:
        raise TableError(f"table {table.name}: missing or unknown columns: {', '.join(sorted(different))}")
    arrays = []
    for column in table.columns:
        # strings are not to be made out of numbers: an id read as 7 has lost its zeros already
        try:
            arrays.append(pa.Array.from_pandas(rows[column.name], type=ARROW_TYPES[column.type]))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TableError(f"table {table.name}, column {column.name}: not {column.type.value}") from error
    arrays = [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    plain = pa.schema([pa.field(column.name, ARROW_TYPES[column.type]) for column in table.columns])
    return pa.Table.from_arrays(arrays, schema=plain)


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """Rows as pandas, in types that keep null apart from NaN and whole numbers whole."""
    frame: pd.DataFrame = rows.to_pandas(types_mapper=_PANDAS_TYPES.get)
    return frame


def check_types(rows: pa.Table, table: Table) -> pa.Table:
    """Check columns, types and missing values, which costs next to nothing, and return the rows with the full schema.

    Types are compared, not converted, save for the variants of string that engines hand over.

    Raises
    ------
    TableError
        Naming the first column that is wrong.
    """
    if tuple(rows.column_names) != table.names:
        raise TableError(
            f"table {table.name}: columns are {', '.join(rows.column_names)}, not {', '.join(table.names)}"
        )
    for column in table.columns:
        values = rows[column.name]
        wanted = ARROW_TYPES[column.type]
        if values.type != wanted and not (column.type is ColumnType.STRING and _is_text(values.type)):
            raise TableError(f"table {table.name}, column {column.name}: {values.type} instead of {wanted}")
        if not column.nullable and values.null_count:
            raise TableError(f"table {table.name}, column {column.name}: {values.null_count} values are missing")
        if column.type is ColumnType.DOUBLE and not pc.all(pc.is_finite(values), min_count=0).as_py():
            raise TableError(f"table {table.name}, column {column.name}: NaN or infinite (missing values are null)")
    return rows.cast(arrow_schema(table))


def check_rows(rows: pa.Table, table: Table) -> pa.Table:
    """Check rows against the whole definition of their table and return them with its full schema.

    Takes about a millisecond a column, however few the rows: for many rows at a time.

    Raises
    ------
    TableError
        Naming the columns and the checks that failed and in how many rows.
    """
    rows = check_types(rows, table)
    try:
        pandera_schema(table).validate(rows.to_pandas(types_mapper=_CHECKED_TYPES.get), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        # a rule between columns fails in all of them
        cases = cases.assign(column=cases["column"].where(cases["schema_context"].eq("Column"), "rule"))
        failures = cases.drop_duplicates(["column", "check", "index"]).groupby(["column", "check"]).size()
        words = [f"{column}: {check} ({count})" for (column, check), count in failures.items()]
        raise TableError(f"table {table.name}, what is wrong and in how many rows: {'; '.join(words[:5])}") from None
    return rows


def check_order(rows: pa.Table, table: Table) -> None:
    """Check that rows are sorted by the keys of their table, and that no key occurs twice.

    Raises
    ------
    TableError
        If not; rows whose keys are missing in part come last and may be equal.
    """
    count = rows.num_rows - 1
    if count < 1:
        return
    equal = np.ones(count, bool)
    rising = np.zeros(count, bool)
    incomplete = np.zeros(count, bool)
    for key in table.keys:
        values = rows[key]
        missing = values.is_null().to_numpy()
        if table[key].type is ColumnType.STRING:
            values = pc.fill_null(values, _AFTER_ALL)
        before, after = values.slice(0, count), values.slice(1)
        rising |= equal & pc.less(before, after).to_numpy()
        equal &= pc.equal(before, after).to_numpy()
        incomplete |= missing[1:]
    if not np.all(rising | equal):
        raise TableError(f"table {table.name}: rows are not sorted by {', '.join(table.keys)}")
    if np.any(equal & ~incomplete):
        raise TableError(f"table {table.name}: {int(np.sum(equal & ~incomplete))} rows have the keys of another row")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
