"""The dictionary of all columns, as a table and as a Frictionless data package. Both are generated from the tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dixonflow.tables import SCHEMA_VERSION
from dixonflow.tables.columns import Column, ColumnType, Table

FRICTIONLESS_TYPES: dict[ColumnType, str] = {
    ColumnType.STRING: "string",
    ColumnType.DOUBLE: "number",
    ColumnType.INT64: "integer",
    ColumnType.BOOL: "boolean",
}
NUMBERS = (ColumnType.DOUBLE, ColumnType.INT64)
DATA_PACKAGE = "https://datapackage.org/profiles/2.0/datapackage.json"


def dictionary_rows(tables: Sequence[Table]) -> pd.DataFrame:
    """One row per column of every table, in the columns of the table `dictionary`."""
    rows = [
        {
            "table_name": table.name,
            "position": position,
            "name": column.name,
            "type": column.type.value,
            "unit": column.unit,
            "description": column.description,
            "definition": column.definition,
            "source": column.source,
            "nullable": column.nullable,
            "published_dice": column.published_dice,
            "published_dice_source": column.published_dice_source,
        }
        for table in tables
        for position, column in enumerate(table.columns, start=1)
    ]
    return pd.DataFrame(rows).astype({"published_dice": "Float64"})


def datapackage(tables: Sequence[Table]) -> dict[str, Any]:
    """Content of datapackage.json (Data Package 2.0): one resource per table, `<name>.parquet` in the same folder."""
    return {
        "$schema": DATA_PACKAGE,
        "name": "dixonflow-tables",
        "title": "DixonFlow: organ volumes and fat compartments from whole-body Dixon MRI",
        "version": SCHEMA_VERSION,
        "resources": [_resource(table) for table in tables],
    }


def _resource(table: Table) -> dict[str, Any]:
    # by default an empty text is a missing value, and here it is none
    schema: dict[str, Any] = {"fields": [_field(column) for column in table.columns], "missingValues": []}
    if any(table[key].nullable for key in table.keys):
        schema["uniqueKeys"] = [list(table.keys)]
    else:
        schema["primaryKey"] = list(table.keys)
    return {
        "name": table.name.replace("_", "-"),
        "path": f"{table.name}.parquet",
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "description": table.description,
        "schema": schema,
    }


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": not column.nullable}
    if column.allowed:
        constraints["enum"] = list(column.allowed)
    if column.minimum is not None:
        constraints["minimum"] = column.minimum
    if column.maximum is not None:
        constraints["maximum"] = column.maximum
    field: dict[str, Any] = {
        "name": column.name,
        "type": FRICTIONLESS_TYPES[column.type],
        "description": column.description,
        "constraints": constraints,
        "unit": column.unit,
        "definition": column.definition,
        "source": column.source,
    }
    if column.nullable and column.type in NUMBERS:
        field["missingValues"] = ["nan"]  # what a null is to programs that read Parquet with pandas
    if column.published_dice is not None:
        field |= {"published_dice": column.published_dice, "published_dice_source": column.published_dice_source}
    return field
