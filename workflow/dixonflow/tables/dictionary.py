"""Tables that explain the others: what structures, measures, checks and columns are; of columns a data package, too."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.definitions import MEASURES
from dixonflow.tables import SCHEMA_VERSION
from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import SEQUENCE

FRICTIONLESS_TYPES: dict[ColumnType, str] = {
    ColumnType.STRING: "string",
    ColumnType.DOUBLE: "number",
    ColumnType.INT64: "integer",
    ColumnType.BOOL: "boolean",
}
NUMBERS = (ColumnType.DOUBLE, ColumnType.INT64)
DATA_PACKAGE = "https://datapackage.org/profiles/2.0/datapackage.json"


_KINDS = {
    "label": "a label of the network",
    "composite": "a union of labels",
    "compartment": "a tissue in a part of the body, measured without arms and hands",
}
_STRUCTURE = text_column("structure", "Structure, as in measurements")
_MODEL = text_column("model", "Segmentation model of the structure")

STRUCTURES = Table(
    "structures",
    "One row per structure that a model of the run has on scans of a sequence.",
    ("model", SEQUENCE.name, "structure"),
    (
        _MODEL,
        SEQUENCE,
        _STRUCTURE,
        text_column(
            "kind", "What it is", "; ".join(f"{name}: {words}" for name, words in _KINDS.items()), allowed=_KINDS
        ),
        Column("label", ColumnType.INT64, "Its id in label maps; null for what is no label", nullable=True, minimum=1),
        text_column("parts", "Labels that it is made of, for composites; where it lies, for compartments; else empty"),
        text_column("side", "Side of the body", "left, right, none; empty for compartments"),
        text_column(
            "tissue", "Kind of structure", "organ, vessel, bone, muscle, fat and others; empty for compartments"
        ),
        text_column("snomed_ct", "SNOMED CT code without the side; empty where none is known"),
        text_column("colour", "Colour in pictures and in dseg.tsv, RGB, hexadecimal; empty for what is no label"),
        Column(
            "lower_cutoff_ml",
            ColumnType.DOUBLE,
            "Volume under which the segmentation counts as failed; null where none is published",
            "mL",
            nullable=True,
            minimum=0,
        ),
        Column(
            "published_dice",
            ColumnType.DOUBLE,
            "Published mean Dice of the model; null where there is none",
            "1",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        text_column("published_dice_source", "Who measured published_dice, and on what; empty where there is none"),
    ),
)

MEASURE_TABLE = Table(
    "measures",
    "One row per structure and measure of the run: what its values in measurements are, and how well they repeat.",
    ("structure", "measure"),
    (
        _STRUCTURE,
        text_column("measure", "Name of the measure, as in measurements", allowed=MEASURES),
        text_column("unit", "Unit of the values, as in measurements"),
        text_column("definition", "Version of the definition, as in measurements"),
        text_column("defined", "How a value comes about"),
        text_column("source", "Source of the definition or of its numbers"),
        Column(
            "sd_within",
            ColumnType.DOUBLE,
            "Standard deviation between scans of a person in whom nothing has changed, in the unit of the row; null "
            "where it was not measured",
            definition="root of the mean variance within participants (Bland and Altman, BMJ 1996, 313:744)",
            nullable=True,
            minimum=0,
        ),
        Column(
            "cv_within",
            ColumnType.DOUBLE,
            "Coefficient of variation between such scans; null where it was not measured",
            "ratio",
            definition="root mean square of SD over mean (Bland and Altman, BMJ 1996, 313:106)",
            nullable=True,
            minimum=0,
        ),
        text_column("repeated_in", "Scans that sd_within was measured in; empty where it was not"),
    ),
)

CHECK_TABLE = Table(
    "checks",
    "One row per quality check.",
    ("check",),
    (
        text_column("check", "Name of the check, as in quality", allowed=CHECKS),
        text_column("unit", "Unit of its value; empty for counts and signal"),
        text_column("definition", "How its value comes about"),
        text_column("source", "Where its threshold comes from"),
        text_column("advice", "What to do with a scan or value that it objects to"),
    ),
)


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
