"""Stata files read by R's haven: every digit, every text, every missing value."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
from other_programs import needs_r, run_r
from synthetic_cohort import draw_cohort, write_cohort

from dixonflow.export.formats import write_stata
from dixonflow.export.source import Exported, Variable, read_source

# numbers in hexadecimal, so that no digit is lost on the way; NA as such
READ = """
library(haven)
rows <- read_dta("{file}")
shown <- as.data.frame(lapply(rows, function(column)
  if (is.numeric(column)) ifelse(is.na(column), "NA", sprintf("%a", as.numeric(column))) else as.character(column)))
write.csv(shown, stdout(), row.names = FALSE, fileEncoding = "UTF-8")
cat("LABELS\\n")
for (column in rows) cat(attr(column, "label"), "\\n", sep = "")
"""


def read_in_r(path: Path) -> tuple[pd.DataFrame, list[str]]:
    text, _, labels = run_r(READ.replace("{file}", path.name), path.parent).partition("LABELS\n")
    head, *lines = csv.reader(io.StringIO(text))
    return pd.DataFrame(lines, columns=head), labels.splitlines()


def same(found: pd.DataFrame, source: Exported, names: dict[str, str]) -> None:
    assert list(found.columns) == [names[each.name] for each in source.variables]
    for each in source.variables:
        before, after = source.rows[each.name], found[names[each.name]]
        if pd.api.types.is_numeric_dtype(before):
            numbers = [np.nan if value == "NA" else float.fromhex(value) for value in after]
            np.testing.assert_array_equal(np.array(numbers), before.astype("Float64").to_numpy(float, na_value=np.nan))
        else:
            assert after.tolist() == ["" if pd.isna(value) else value for value in before], each.name


@needs_r
def test_odd_values_and_names_survive(tmp_path: Path) -> None:
    name = "subcutaneous_fat_intramuscular_fat_volume_missing_reason"
    rows = pd.DataFrame(
        {
            "participant_id": ["0012", "1000013", "a7"],
            "liver_volume_ml": [1500.123456789012, np.nan, 1e-12],
            name: [None, "not_found", None],
            "fat_fraction": [0.1 + 0.2, -0.0, 8e307],
            "n_stations": pd.array([6, None, 4], "Int64"),
            "message": ["", '=1+1 "quoted", ä', "x" * 400],
        }
    ).astype({"message": object, name: object})
    source = Exported("odd", rows, tuple(Variable(str(each), f"What {each} is", "") for each in rows))
    names = write_stata(source, tmp_path / "odd.dta")
    found, labels = read_in_r(tmp_path / "odd.dta")
    same(found, source, names)
    assert labels[1] == "What liver_volume_ml is"


@needs_r
def test_a_table_of_a_run_survives(tmp_path: Path) -> None:
    write_cohort(tmp_path, draw_cohort(300, {"liver": 0.1}, seed=2))
    for table in ("covariates", "measurements"):
        source = read_source(tmp_path, table)
        names = write_stata(source, tmp_path / f"{table}.dta")
        same(read_in_r(tmp_path / f"{table}.dta")[0], source, names)
