"""The one source of columns, and what is generated from it: schemas, checks, wide tables, dictionary, data package."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pandera.errors import SchemaErrors
from table_rows import FAT, MODEL, TABLES, VOLUMES, long_rows, timing

from dixonflow.cohort.table import COHORT_SCANS
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.structures import structures_of
from dixonflow.tables.columns import Column, ColumnType, Table
from dixonflow.tables.definitions import DICTIONARY, QUALITY, SCANS, TIMINGS
from dixonflow.tables.dictionary import datapackage, dictionary_rows
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import TableError, arrow_schema, check_rows, pandera_schema, to_arrow
from dixonflow.tables.wide import fat_compartments_table, volumes_table
from dixonflow.vocabulary import Stage


def test_a_column_that_holds_a_unit_ends_in_it() -> None:
    Column("liver_volume_ml", ColumnType.DOUBLE, "Volume of the liver", "mL")
    with pytest.raises(ValueError, match="must end in its unit"):
        Column("liver_volume", ColumnType.DOUBLE, "Volume of the liver", "mL")
    with pytest.raises(ValueError, match="unknown unit"):
        Column("liver_volume_l", ColumnType.DOUBLE, "Volume of the liver", "L")


def test_columns_are_unique_for_readers_that_ignore_case() -> None:
    one, two = Column("ivd", ColumnType.INT64, "a"), Column("IVD", ColumnType.INT64, "b")
    with pytest.raises(ValueError, match="ivd"):
        Table("t", "d", ("ivd",), (one, two))
    with pytest.raises(ValueError, match="keys"):
        Table("t", "d", ("other",), (one,))


def test_tables_have_the_columns_of_the_design() -> None:
    assert MEASUREMENTS.names == (
        "participant_id", "session_id", "sequence", "structure", "measure", "value", "unit", "definition",
        "missing_reason", "model", "grade", "decided_by", "value_before_grade",
    )  # fmt: skip
    assert set(TIMINGS.names) == {
        "participant_id", "session_id", "sequence", "stage", "seconds", "peak_memory_mb", "gpu_seconds", "attempt",
    }  # fmt: skip
    keys = ("participant_id", "session_id", "sequence", "check", "structure", "model")
    assert (QUALITY.keys, QUALITY.names) == (keys, (*keys, "value", "threshold", "grade", "place"))
    for stage in Stage:
        assert {f"{stage.value}_status", f"{stage.value}_reason"} <= set(SCANS.names)
    assert {"status", "reason", "message", "shard", "content_key", "source"} <= set(SCANS.names)
    assert not {"seconds", "peak_memory_mb", "gpu_seconds", "attempt"} & set(SCANS.names)
    of_the_files = {"attempt", "state", "content", "patient_id_matches", "left_out", "reading", "options"}
    of_the_files |= {"more_sources", "superseded", "others", "acquisitions", "images"}
    assert set(COHORT_SCANS.names) - of_the_files <= set(SCANS.names)


def test_wide_tables_have_every_structure_and_the_compartments() -> None:
    for structure in structures_of(MODEL):
        name = f"{structure.name}_volume_ml"
        assert VOLUMES.table[name].unit == "mL"
        companions = ("coverage_fraction", "volume_missing_reason", "volume_grade")
        assert {f"{structure.name}_{word}" for word in companions} <= set(VOLUMES.table.names)
    for name in (
        "subcutaneous_fat_volume_ml",
        "inner_fat_volume_ml",
        "total_muscle_volume_ml",
        "total_muscle_lean_volume_ml",
        "total_muscle_intramuscular_fat_volume_ml",
        "liver_fat_fraction",
        "subcutaneous_fat_coverage_fraction",
    ):
        assert FAT.table[name].type is ColumnType.DOUBLE
    words = " ".join(column.name for column in FAT.table.columns)
    assert "vat" not in words
    assert "visceral" not in words
    assert "pdff" not in words


def test_a_model_without_a_structure_has_no_column_for_it() -> None:
    labels = {label: rule for label, rule in MODEL.labels.items() if rule.name != "pancreas"}
    without = fat_compartments_table(MODEL.model_copy(update={"labels": labels}))
    assert not any("pancreas" in name for name in without.table.names)
    assert "liver_fat_fraction" in without.table.names


def test_published_dice_reaches_the_dictionary() -> None:
    label = MODEL.structures["liver"]
    labels = MODEL.labels | {label: MODEL.labels[label].model_copy(update={"published_dice": 0.97})}
    table = volumes_table(MODEL.model_copy(update={"labels": labels})).table
    rows = dictionary_rows([table]).set_index("name")["published_dice"]
    assert rows["liver_volume_ml"] == 0.97
    assert pd.isna(rows["spleen_volume_ml"])


# schemas and checks


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_schema_is_plain_and_carries_units(table: Table) -> None:
    schema = arrow_schema(table)
    assert {str(field.type) for field in schema} <= {"string", "double", "int64", "bool"}
    for field, column in zip(schema, table.columns, strict=True):
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"description"].decode() == column.description
    assert schema.metadata[b"schema_version"]
    assert list(pandera_schema(table).columns) == list(table.names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": None}, "seconds: 1 values are missing"),
        ({"stage": "stich"}, "stage"),
        ({"attempt": None}, "attempt"),
        ({"participant_id": None}, "participant_id"),
    ],
)
def test_wrong_rows_are_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    frame = pd.DataFrame([timing(), timing(stage="merge")])
    for name, value in change.items():
        frame[name] = frame[name].astype(object)
        frame.loc[1, name] = value
    with pytest.raises(TableError, match=words):
        write_table(tmp_path / "timings.parquet", TIMINGS, frame)
    assert not list(tmp_path.iterdir())


def test_wrong_columns_and_types_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame([timing()])
    path = tmp_path / "timings.parquet"
    for wrong in (
        frame.drop(columns="seconds"),
        frame.assign(more=1),
        frame.assign(participant_id=12),
        frame.assign(attempt=1.5),
        frame.assign(seconds="long"),
    ):
        with pytest.raises(TableError, match="timings"):
            write_table(path, TIMINGS, wrong)
    rows = to_arrow(frame, TIMINGS)
    for index, kind in ((0, pa.dictionary(pa.int32(), pa.string())), (4, pa.float32()), (7, pa.int32())):
        name = TIMINGS.names[index]
        with pytest.raises(TableError, match=name):
            check_rows(rows.set_column(index, name, rows[name].cast(kind)), TIMINGS)
    assert not path.exists()


def test_nan_and_infinity_are_refused_where_null_is_meant() -> None:
    check = QUALITY["check"].allowed[0]
    row = {
        "participant_id": "1",
        "session_id": "2",
        "sequence": "dixon",
        "check": check,
        "structure": "",
        "model": "demo",
        "threshold": None,
        "grade": "pass",
        "place": "",
    }
    plain = pa.schema(list(arrow_schema(QUALITY)))
    for value in (math.nan, math.inf):
        rows = pa.Table.from_pylist([row | {"value": value}], schema=plain)
        with pytest.raises(TableError, match="value: NaN or infinite"):
            check_rows(rows, QUALITY)
    fine = check_rows(to_arrow(pd.DataFrame([row | {"value": math.nan}]), QUALITY), QUALITY)
    assert fine["value"].null_count == 1


def test_pandera_itself_refuses_a_wrong_table() -> None:
    kinds = {ColumnType.STRING: pd.ArrowDtype(pa.string()), ColumnType.DOUBLE: "Float64", ColumnType.INT64: "Int64"}
    good = pd.DataFrame([timing()]).astype({column.name: kinds[column.type] for column in TIMINGS.columns})
    pandera_schema(TIMINGS).validate(good)
    for bad in (good.assign(stage="x"), good.drop(columns="stage"), good[list(reversed(good.columns))]):
        with pytest.raises(SchemaErrors):
            pandera_schema(TIMINGS).validate(bad, lazy=True)


def test_messages_hold_no_participant_id(tmp_path: Path) -> None:
    frames = [
        pd.DataFrame([timing("SECRET7", seconds=-1.0)]),
        pd.DataFrame([timing("SECRET7"), timing("SECRET7")]),
        pd.DataFrame([timing("SECRET7", stage="x")]),
    ]
    for frame in frames:
        with pytest.raises(TableError) as caught:
            write_table(tmp_path / "timings.parquet", TIMINGS, frame)
        assert "SECRET7" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": None}, "either value"),
        ({"missing_reason": "not_found"}, "either value"),
        ({"grade": None}, "a grade with what decided it"),
        ({"grade": "review"}, "a grade with what decided it"),
        ({"decided_by": "lower_cutoff"}, "a grade with what decided it"),
        ({"value_before_grade": 3.0}, "a grade with what decided it"),
        ({"grade": "fail", "decided_by": "lower_cutoff", "value_before_grade": 3.0}, "a grade with what decided it"),
        ({"value": None, "missing_reason": "failed_check", "grade": None}, "a grade with what decided it"),
        ({"unit": "1"}, "unit and definition"),
        ({"definition": "volume.v0"}, "definition"),
        ({"definition": "fat_fraction.v1"}, "unit and definition"),
        ({"value": -0.5}, "not negative"),
        ({"measure": "size"}, "measure"),
        ({"missing_reason": "no idea"}, "missing_reason"),
    ],
)
def test_measurements_that_contradict_themselves_are_refused(change: dict[str, object], words: str) -> None:
    frame = long_rows({("1", "2", "demo"): {("liver", "volume"): 1500.0}})
    check_rows(to_arrow(frame, MEASUREMENTS), MEASUREMENTS)
    for name, value in change.items():
        frame[name] = pd.Series([value], dtype=frame[name].dtype if name.startswith("value") else object)
    with pytest.raises(TableError, match=words):
        check_rows(to_arrow(frame, MEASUREMENTS), MEASUREMENTS)


@pytest.mark.parametrize(("check", "structure"), [("contrast_agreement", ""), ("kidney_sides", "liver")])
def test_a_check_of_structures_names_one_and_no_other_check_does(check: str, structure: str) -> None:
    rows = [
        {"participant_id": "1", "session_id": "2", "sequence": "dixon", "check": name, "structure": of}
        for name, of in (("contrast_agreement", "liver"), ("contrast_agreement", "spleen"), ("kidney_sides", ""))
    ]
    frame = pd.DataFrame(rows).assign(model="demo", value=0.5, threshold=None, grade="pass", place="")
    check_rows(to_arrow(frame, QUALITY), QUALITY)
    frame.loc[frame["check"].eq(check), "structure"] = structure
    with pytest.raises(TableError, match="structure is named exactly for"):
        check_rows(to_arrow(frame, QUALITY), QUALITY)


def test_a_fraction_above_one_is_refused() -> None:
    frame = long_rows({("1", "2", "demo"): {("liver", "fat_fraction"): 1.01}})
    with pytest.raises(TableError, match="0 to 1"):
        check_rows(to_arrow(frame, MEASUREMENTS), MEASUREMENTS)


# dictionary and data package


def test_dictionary_covers_every_column_and_no_more(tmp_path: Path) -> None:
    write_table(tmp_path / "dictionary.parquet", DICTIONARY, dictionary_rows(TABLES))
    rows = read_table(tmp_path / "dictionary.parquet", DICTIONARY).to_pylist()
    found = [(row["table_name"], row["name"], row["type"], row["unit"], row["nullable"]) for row in rows]
    wanted = [
        (table.name, column.name, column.type.value, column.unit, column.nullable)
        for table in sorted(TABLES, key=lambda table: table.name)
        for column in table.columns
    ]
    assert found == wanted
    assert all(row["description"] for row in rows)


def test_dictionary_explains_every_wide_column_and_reason() -> None:
    rows = dictionary_rows(TABLES).set_index(["table_name", "name"])["definition"]
    for reason in MissingReason:
        assert f"{reason.value}:" in rows["volumes", "liver_volume_missing_reason"]
    assert MEASURES["fat_fraction"].definition in rows["fat_compartments", "liver_fat_fraction"]
    assert "kidney_right, kidney_left" in rows["volumes", "kidneys_volume_ml"]


def test_data_package_describes_the_same_columns() -> None:
    package = json.loads(json.dumps(datapackage(TABLES), allow_nan=False))
    resources = {resource["path"].removesuffix(".parquet"): resource for resource in package["resources"]}
    assert list(resources) == [table.name for table in TABLES]
    types = {"string": "string", "double": "number", "int64": "integer", "bool": "boolean"}
    for table in TABLES:
        fields = resources[table.name]["schema"]["fields"]
        assert [(field["name"], field["type"], field["unit"]) for field in fields] == [
            (column.name, types[column.type.value], column.unit) for column in table.columns
        ]
    assert resources["measurements"]["schema"]["primaryKey"] == list(MEASUREMENTS.keys)
    assert resources["scans"]["schema"]["uniqueKeys"] == [list(SCANS.keys)]
    status = next(field for field in resources["scans"]["schema"]["fields"] if field["name"] == "status")
    assert set(status["constraints"]["enum"]) == {"ok", "excluded", "failed", "withdrawn"}


def test_definitions_are_compared_by_content() -> None:
    assert replace(TIMINGS) == TIMINGS
    assert volumes_table(MODEL).table == VOLUMES.table
