"""Exports, read back by other readers: no value is lost, no id loses its zeros, no name is ambiguous."""

import csv

import numpy as np
import openpyxl
import pandas as pd
import pyreadstat
import pytest
from exported import called

from dixonflow.errors import ConfigError
from dixonflow.export.formats import write_csv, write_excel, write_spss, write_stata
from dixonflow.export.names import STATA_LENGTH, short_names
from dixonflow.export.source import Exported, Variable
from dixonflow.models.load import MODELS, load_model
from dixonflow.tables.wide import wide_tables

ROWS = pd.DataFrame(
    {
        "participant_id": ["0012", "1000013", "a7"],
        "session_id": ["2", "2", "30"],
        "liver_volume_ml": [1500.123456789012, np.nan, 1e-12],
        "subcutaneous_fat_intramuscular_fat_volume_missing_reason": [None, "not_found", None],
        "subcutaneous_fat_intramuscular_fat_volume_ml": [0.1 + 0.2, -0.0, 8e307],
        "n_stations": pd.array([6, None, 4], "Int64"),
        "message": ["", '=1+1 "quoted", ä\nnext line', "x" * 400],
    }
).astype({"message": object})
SOURCE = Exported(
    "volumes", ROWS, tuple(Variable(name, f"What {name} is", "mL" if name.endswith("_ml") else "") for name in ROWS)
)


def same(found: pd.DataFrame, names: dict[str, str], tolerance: float = 0.0) -> None:
    assert len(found.columns) == len(ROWS.columns)
    for name in ROWS:
        mine, there = ROWS[name], found[names[name]]
        if not pd.api.types.is_numeric_dtype(mine):
            assert [each if isinstance(each, str) else "" for each in mine] == [
                each if isinstance(each, str) else "" for each in there
            ], name
        else:
            expected = mine.to_numpy(float, na_value=np.nan)
            assert np.allclose(expected, there.to_numpy(float), rtol=tolerance, atol=0, equal_nan=True), name


def test_stata_is_read_back_by_two_readers(tmp_path):
    path = tmp_path / "volumes.dta"
    names = write_stata(SOURCE, path)
    assert all(len(name) <= 32 for name in names.values())
    same(pd.read_stata(path), names)
    rows, meta = pyreadstat.read_dta(str(path))
    same(rows, names)
    labels = dict(zip(meta.column_names, meta.column_labels, strict=True))
    assert labels["liver_volume_ml"] == "What liver_volume_ml is (mL)"
    assert meta.file_label == "DixonFlow: volumes"
    assert all(len(label) <= 80 for label in meta.column_labels)


def test_spss_is_read_back(tmp_path):
    names = write_spss(SOURCE, tmp_path / "volumes.sav")
    rows, meta = pyreadstat.read_sav(str(tmp_path / "volumes.sav"))
    same(rows, names)
    assert meta.column_names_to_labels["n_stations"] == "What n_stations is"


def test_csv_keeps_ids_and_every_digit(tmp_path):
    path = tmp_path / "volumes.csv"
    names = write_csv(SOURCE, path)
    with path.open(newline="", encoding="utf-8") as file:
        first = file.readline()
        assert first.startswith('"participant_id","session_id"')
        file.seek(0)
        quoted = list(csv.reader(file, quoting=csv.QUOTE_STRINGS)) if hasattr(csv, "QUOTE_STRINGS") else None
    text = path.read_text(encoding="utf-8")
    assert '\n"0012","2",1500.123456789012,' in text
    assert ",," in text, "nulls are empty, without quotes"
    texts = {name: str for name in ROWS if not pd.api.types.is_numeric_dtype(ROWS[name])}
    rows = pd.read_csv(path, dtype=texts, float_precision="round_trip")
    same(rows, names)
    assert quoted is None or quoted[1][0] == "0012"


def test_excel_keeps_ids_as_text_and_runs_no_formula(tmp_path):
    path = tmp_path / "volumes.xlsx"
    names = write_excel(SOURCE, path)
    sheet = openpyxl.load_workbook(path).active
    cells = list(sheet.iter_rows(values_only=True))
    rows = pd.DataFrame(cells[1:], columns=cells[0])
    same(rows, names, tolerance=1e-15)
    message = sheet.cell(row=3, column=7)
    assert (message.data_type, message.value[:4]) == ("s", "=1+1")
    assert sheet.cell(row=2, column=1).value == "0012"


def test_names_of_all_wide_tables_fit_and_differ():
    for model in ("demo", "vibesegmentator100", "totalsegmentatorct", "mrsegmentatorbody", "totalsegmentatortissuemr"):
        for wide in wide_tables([load_model(MODELS / f"{model}.yaml")]):
            for length in (32, 64):
                names = short_names(wide.table.names, length)
                assert len({name.lower() for name in names.values()}) == len(wide.table.names)
                assert all(len(name) <= length for name in names.values())
                assert all(short == name for name, short in names.items() if len(name) <= length)


@pytest.mark.parametrize("name", ["int", "str12", "_all", "2nd", "with", "AND", "ä_volume", "x" * 90])
def test_reserved_and_odd_names_are_changed_and_never_twice(name):
    names = short_names([name, f"v_{name}", "x" * 91], STATA_LENGTH)
    assert len(set(names.values())) == 3
    assert names[name] not in {"int", "str12", "_all", "2nd", "with", "AND"}
    assert all(each.isascii() and each[0].isalpha() for each in names.values())


@pytest.mark.parametrize(
    ("target", "ending"), [("stata", ".dta"), ("spss", ".sav"), ("csv", ".csv"), ("excel", ".xlsx")]
)
def test_the_command_writes_a_table_and_what_its_names_are(target, ending, tables, tmp_path):
    result = called(target, "--table", "covariates", tables=tables, output=tmp_path)
    assert result.exit_code == 0, result.output
    assert "covariates: 40 rows" in result.output
    assert (tmp_path / f"covariates{ending}").exists()
    names = pd.read_csv(tmp_path / "variables.csv").set_index("column")
    assert names.at["age_years", "unit"] == "years"
    assert names.at["height_cm", "description"].startswith("Height")


def test_one_row_per_participant_keeps_every_session(tmp_path, tables):
    rows = pd.read_parquet(tables / "covariates.parquet")
    later = rows.iloc[:5].assign(session_id="3", age_years=rows["age_years"].iloc[:5] + 4)
    folder = tmp_path / "tables"
    folder.mkdir()
    pd.concat([rows, later]).to_parquet(folder / "covariates.parquet")
    result = called("csv", "--table", "covariates", "--per", "participant", tables=folder, output=tmp_path)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(tmp_path / "covariates.csv", dtype={"participant_id": str})
    assert len(found) == 40
    assert found["age_years_i3"].notna().sum() == 5
    assert found["age_years_i2"].tolist() == rows.sort_values("participant_id")["age_years"].tolist()
    refused = called("csv", "--table", "measurements", "--per", "participant", tables=tables, output=tmp_path)
    assert refused.exit_code == 1
    assert "one row per scan" in refused.output


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("1,2\n1,3\n", "line 2"),
        ("1,2\n3,2\n", "line 2"),
        ("1,2\n4\n", "line 2: not two ids"),
        ("1 2\n3,x;y\n", "line 2"),
    ],
)
def test_a_wrong_bridge_is_refused_without_naming_ids(content, problem, tables, tmp_path):
    bridge = tmp_path / "bridge.txt"
    bridge.write_text(content)
    result = called("csv", "--table", "covariates", "--bridge", str(bridge), tables=tables, output=tmp_path)
    assert result.exit_code == 1
    assert problem in result.output


def test_what_is_not_there_is_named(tables, tmp_path):
    result = called("csv", "--table", "volumes", tables=tables, output=tmp_path)
    assert result.exit_code == 1
    assert "there is no table volumes" in result.output
    assert "covariates, measurements, quality, scans" in result.output
    unknown = called("regenie", "--measure", "weight", tables=tables, output=tmp_path)
    assert unknown.exit_code == 1
    assert "no measure weight" in unknown.output


def test_every_wide_table_and_the_covariates_are_exported_unless_named(tables, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = pd.read_parquet(tables / "covariates.parquet")
    names = ("volumes", "volumes_other", "fat_compartments", "body_composition", "vessels", "covariates")
    for name in (*names, "scans"):
        rows.to_parquet(folder / f"{name}.parquet")
    result = called("csv", tables=folder, output=tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {*names, "variables"}


def test_nothing_to_export_and_options_of_other_formats_are_refused(tables, tmp_path):
    nothing = called("csv", tables=tmp_path / "none", output=tmp_path)
    assert nothing.exit_code == 1
    assert "has no table to export" in nothing.output
    for words, option in (
        (["stata", "--table", "covariates", "--normalise"], "--normalise"),
        (["csv", "--measure", "volume"], "--measure"),
        (["regenie", "--table", "covariates"], "--table"),
        (["plink", "--per", "scan"], "--per"),
    ):
        refused = called(*words, tables=tables, output=tmp_path)
        assert refused.exit_code == 1
        assert f"takes no {option}" in refused.output


def test_a_second_export_keeps_the_names_of_the_first(tables, tmp_path):
    for name in ("covariates", "scans"):
        assert called("stata", "--table", name, tables=tables, output=tmp_path).exit_code == 0
    assert set(pd.read_csv(tmp_path / "variables.csv")["table"]) == {"covariates", "scans"}
    (tmp_path / "covariates.dta").unlink()
    assert called("stata", "--table", "scans", tables=tables, output=tmp_path).exit_code == 0
    assert set(pd.read_csv(tmp_path / "variables.csv")["table"]) == {"scans"}


def test_names_that_differ_in_case_alone_are_two():
    names = short_names(["age_iA", "age_ia", "sex"], 32)
    assert len({name.lower() for name in names.values()}) == 3
    assert names["sex"] == "sex"


def test_what_a_sheet_cannot_hold_is_refused(tmp_path):
    wide = pd.DataFrame({f"c{number}": [1.0] for number in range(16_385)})
    source = Exported("volumes", wide, tuple(Variable(name, name, "") for name in wide))
    with pytest.raises(Exception, match="export it as CSV"):
        write_excel(source, tmp_path / "x.xlsx")
    long = Exported("scans", pd.DataFrame({"message": ["x" * 32_768]}), (Variable("message", "message", ""),))
    with pytest.raises(ConfigError, match="32,767 characters"):
        write_excel(long, tmp_path / "x.xlsx")
    assert not list(tmp_path.iterdir())
