"""The tables as pandas, polars and DuckDB read them, without any help."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.structures import structures_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.tables.definitions import DICTIONARY, QUALITY, SCANS, TIMINGS
from dixonflow.tables.dictionary import dictionary_rows
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.wide import fat_compartments_table, volumes_table, widen
from dixonflow.vocabulary import Stage

MODEL = load_model(MODELS / "demo.yaml")
VOLUMES, FAT = volumes_table(MODEL), fat_compartments_table(MODEL)
TABLES = {table.name: table for table in (SCANS, TIMINGS, MEASUREMENTS, VOLUMES.table, FAT.table, QUALITY, DICTIONARY)}
IDS = ["0012", "12", "7000001"]


def _scan(participant: str | None, status: str, reason: str) -> dict[str, object]:
    known = participant is not None
    row: dict[str, object] = {
        "participant_id": participant,
        "session_id": "2" if known else None,
        "sequence": "dixon" if known else "",
        "layout": "nako",
        "source": f"{participant}.zip",
        "raw_key": "r" if known else None,
        "shard": None,
        "n_stations": 4 if known else None,
        "n_slices": None,
        "n_files": 1,
        "n_files_superseded": 0,
        "n_files_repeated": 0,
        "status": status,
        "reason": reason,
        "message": "",
        "note": "",
        "last_stage": "measure" if status == "ok" else "cohort",
        "content_key": None,
        "scan_grade": "pass" if status == "ok" else None,
        "scan_grade_decided_by": None,
        "values_failed": 0 if status == "ok" else None,
        "values_to_review": 0 if status == "ok" else None,
    }
    for stage in Stage:
        row |= {f"{stage.value}_status": status, f"{stage.value}_reason": reason}
    return row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of three measured scans and one entry without ids; the pancreas of 0012 was not found."""
    path = tmp_path_factory.mktemp("tables")
    scans = [*(_scan(participant, "ok", "none") for participant in IDS), _scan(None, "excluded", "unparsable_name")]
    frame = pd.DataFrame(scans).astype({"n_stations": "Int64", "n_slices": "Int64"})[list(SCANS.names)]
    write_table(path / "scans.parquet", SCANS, frame)
    times = [(participant, "2", "dixon", "stitch", 1.5, 300.0, 0.0, 1) for participant in IDS]
    write_table(path / "timings.parquet", TIMINGS, pd.DataFrame(times, columns=list(TIMINGS.names)))
    check, values = QUALITY["check"].allowed[0], [None, 1.0, 2.0]
    quality = [
        (participant, "2", "dixon", check, "", "demo", value, 0.0, "pass", "")
        for participant, value in zip(IDS, values, strict=True)
    ]
    write_table(path / "quality.parquet", QUALITY, pd.DataFrame(quality, columns=list(QUALITY.names)))
    rows = []
    for number, participant in enumerate(IDS):
        for structure in [*structures_of(MODEL), *compartments_of(MODEL)]:
            for measure in structure.measures:
                missing = participant == "0012" and structure.name == "pancreas"
                value = None if missing else 0.25 * (number + 1)
                grade, reason = (None, "not_found") if missing else ("pass", None)
                of_grade = (reason, "demo", grade, None, None)
                cells = (structure.name, measure.name, value, measure.unit, measure.key, *of_grade)
                rows.append((participant, "2", "dixon", *cells))
    types = {"value": "Float64", "value_before_grade": "Float64"}
    long = pd.DataFrame(rows, columns=list(MEASUREMENTS.names)).astype(types)
    write_table(path / "measurements.parquet", MEASUREMENTS, long)
    for wide in (VOLUMES, FAT):
        found = widen(read_table(path / "measurements.parquet", MEASUREMENTS), wide)
        write_table(path / f"{wide.table.name}.parquet", wide.table, found)
    write_table(path / "dictionary.parquet", DICTIONARY, dictionary_rows(list(TABLES.values())))
    return path


@pytest.mark.parametrize("name", TABLES)
def test_pandas(folder: Path, name: str) -> None:
    frame = pd.read_parquet(folder / f"{name}.parquet")
    table = TABLES[name]
    assert tuple(frame.columns) == table.names
    for column in table.columns:
        kind = frame[column.name].dtype
        if column.type == "string":
            assert pd.api.types.is_string_dtype(kind)
        elif column.type == "int64":
            assert kind == (np.float64 if frame[column.name].isna().any() else np.int64)
        else:
            assert kind == {"double": np.float64, "bool": np.bool_}[column.type]


@pytest.mark.parametrize("name", TABLES)
def test_polars(folder: Path, name: str) -> None:
    frame = pl.read_parquet(folder / f"{name}.parquet")
    kinds = {"string": pl.String, "double": pl.Float64, "int64": pl.Int64, "bool": pl.Boolean}
    assert dict(frame.schema) == {column.name: kinds[column.type] for column in TABLES[name].columns}
    for column in frame.select(pl.selectors.float()).iter_columns():
        assert not column.is_nan().any()


@pytest.mark.parametrize("name", TABLES)
def test_duckdb(folder: Path, name: str) -> None:
    found = duckdb.sql(f"DESCRIBE SELECT * FROM '{folder}/{name}.parquet'").fetchall()
    kinds = {"string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN"}
    assert [(row[0], row[1]) for row in found] == [(column.name, kinds[column.type]) for column in TABLES[name].columns]


def test_ids_keep_their_zeros(folder: Path) -> None:
    for name in ("timings", "volumes", "fat_compartments", "quality"):
        path = folder / f"{name}.parquet"
        assert pd.read_parquet(path)["participant_id"].tolist() == IDS
        assert pl.read_parquet(path)["participant_id"].to_list() == IDS
        assert [row[0] for row in duckdb.sql(f"SELECT participant_id FROM '{path}'").fetchall()] == IDS


def test_missing_values_are_null_in_every_reader(folder: Path) -> None:
    path = folder / "volumes.parquet"
    assert pl.read_parquet(path)["pancreas_volume_ml"].to_list() == [None, 0.5, 0.75]
    assert pl.read_parquet(path)["pancreas_volume_missing_reason"].to_list() == ["not_found", None, None]
    assert pd.read_parquet(path)["pancreas_volume_ml"].isna().tolist() == [True, False, False]
    query = f"SELECT count(*), count(pancreas_volume_ml), sum(isnan(pancreas_volume_ml)::INT) FROM '{path}'"
    assert duckdb.sql(query).fetchall() == [(3, 2, 0)]
    scans = pl.read_parquet(folder / "scans.parquet")
    assert scans["participant_id"].to_list() == [*IDS, None]
    assert scans["n_stations"].to_list() == [4, 4, 4, None]


def test_wide_equals_long_in_sql(folder: Path) -> None:
    query = f"""
        SELECT v.liver_volume_ml, m.value FROM '{folder}/volumes.parquet' v
        JOIN '{folder}/measurements.parquet' m USING (participant_id, session_id)
        WHERE m.structure = 'liver' AND m.measure = 'volume' ORDER BY participant_id
    """
    assert duckdb.sql(query).fetchall() == [(0.25, 0.25), (0.5, 0.5), (0.75, 0.75)]


def test_units_travel_with_the_file(folder: Path) -> None:
    schema = pq.read_schema(folder / "volumes.parquet")
    assert schema.field("liver_volume_ml").metadata[b"unit"] == b"mL"
    assert schema.field("liver_coverage_fraction").metadata[b"unit"] == b"1"
    assert schema.metadata[b"schema_version"] == b"2.0"
    assert schema.metadata[b"keys"] == b"participant_id,session_id"
    dictionary = pd.read_parquet(folder / "dictionary.parquet").set_index(["table_name", "name"])
    assert dictionary.loc[("volumes", "liver_volume_ml"), "unit"] == "mL"


def test_the_dictionary_on_disk_covers_the_files_on_disk(folder: Path) -> None:
    dictionary = pl.read_parquet(folder / "dictionary.parquet")
    found = set(zip(dictionary["table_name"], dictionary["name"], strict=True))
    wanted = {(path.stem, name) for path in folder.glob("*.parquet") for name in pq.read_schema(path).names}
    assert found == wanted
