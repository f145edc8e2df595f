"""Indices of body composition with closed forms, and the view in UK Biobank's fields."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import typer
from synthetic_cohort import draw_cohort, write_cohort
from typer.testing import CliRunner

from dixonflow.analyse.indices import definition_rows, index_rows, indices, ukb_rows
from dixonflow.analyse.shareable import SHAREABLE
from dixonflow.analyse.study_data import QUANTITY, StudyData
from dixonflow.cli.results.analyse import analyse_command
from dixonflow.errors import ConfigError
from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.models.load import MODELS, load_model

VALUES = {
    ("visceral_fat_t9_femur", "volume"): 3000.0,
    ("subcutaneous_fat_t9_femur", "volume"): 5000.0,
    ("subcutaneous_fat_t9_thigh", "volume"): 9000.0,
    ("visceral_fat_t9_l5", "volume"): 2500.0,
    ("subcutaneous_fat_t9_l5", "volume"): 4000.0,
    ("total_muscle_thigh", "lean_volume"): 8000.0,
    ("total_muscle_t9_thigh", "lean_volume"): 20000.0,
    ("total_muscle_thigh", "fat_fraction_eroded_mean"): 0.08,
    ("total_muscle_l3", "area"): 150.0,
    ("visceral_fat_l3", "area"): 120.0,
    ("subcutaneous_fat_l3", "area"): 200.0,
}


@pytest.fixture
def data() -> StudyData:
    """One participant of 2 m and 100 kg in two sessions, one without height, weight and L3."""
    scans = pd.DataFrame(
        {
            "participant_id": ["1", "1", "2"],
            "session_id": ["2", "3", "2"],
            "sequence": "dixon",
            "height_cm": [200.0, 200.0, np.nan],
            "weight_kg": [100.0, 100.0, np.nan],
        }
    )
    quantities = pd.DataFrame([("dixon", "demo", *pair, "") for pair in VALUES], columns=[*QUANTITY, "unit"])
    values = np.tile(list(VALUES.values()), (3, 1))
    values[2, [pair[0].endswith("_l3") for pair in VALUES]] = np.nan
    return StudyData(scans, quantities, values, np.zeros(values.shape, np.int8))


def test_indices_are_what_their_definitions_say(data):
    row = index_rows(data).iloc[0]
    expected = {
        "vat_l": 3.0,
        "asat_l": 5.0,
        "thigh_fat_free_muscle_l": 8.0,
        "trunk_fat_l": 8.0,
        "adipose_tissue_l": 12.0,
        "lean_tissue_l": 20.0,
        "abdominal_adipose_index_l_per_m2": 2.0,
        "weight_to_muscle_kg_per_l": 12.5,
        "abdominal_fat_ratio": 0.5,
        "muscle_fat_infiltration_percent": 8.0,
        "vat_to_sat": 0.625,
        "skeletal_muscle_index_l3_cm2_per_m2": 37.5,
        "visceral_fat_index_l3_cm2_per_m2": 30.0,
        "subcutaneous_fat_index_l3_cm2_per_m2": 50.0,
    }
    assert {each.name for each in indices()} == set(expected)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value), name


def test_what_is_missing_is_the_reason(data):
    row = index_rows(data).iloc[2]
    assert row["vat_l"] == 3.0
    assert row["vat_l_missing"] is None or pd.isna(row["vat_l_missing"])
    assert pd.isna(row["abdominal_adipose_index_l_per_m2"])
    assert row["abdominal_adipose_index_l_per_m2_missing"] == "height"
    assert row["weight_to_muscle_kg_per_l_missing"] == "weight"
    assert row["skeletal_muscle_index_l3_cm2_per_m2_missing"] == "total_muscle_l3 area"
    other = index_rows(data, "another")
    assert other["vat_l"].isna().all()
    assert (other["vat_l_missing"] == "visceral_fat_t9_femur volume").all()


def test_values_of_two_models_are_not_mixed(data):
    more = data.quantities.assign(model="another").iloc[1:]
    both = replace(
        data,
        quantities=pd.concat([data.quantities, more], ignore_index=True),
        values=np.hstack([data.values, 2 * data.values[:, 1:]]),
    )
    with pytest.raises(ConfigError, match="several models"):
        index_rows(both)
    assert index_rows(both, "demo").equals(index_rows(data))
    other = index_rows(both, "another").iloc[0]
    assert other["asat_l"] == 10.0
    assert pd.isna(other["trunk_fat_l"])


def test_the_view_has_one_row_a_participant_and_names_fields_as_ukb_does(data):
    view = ukb_rows(index_rows(data))
    assert view["eid"].tolist() == ["1", "2"]
    assert {"p22407_i2", "p22407_i3", "p22435_i2"} <= set(view)
    assert view.set_index("eid").loc["1", "p22410_i3"] == 8.0
    assert pd.isna(view.set_index("eid").loc["2", "p22407_i3"])
    rows = definition_rows()
    of_ukb = rows[rows["ukb_field"].notna()]
    assert sorted(of_ukb["ukb_field"]) == [22407, 22408, 22409, 22410, 22415, 22416, *range(22432, 22436)]
    assert of_ukb[["ukb_title", "ukb_difference"]].ne("").all(axis=None)


def test_every_part_is_a_compartment_with_that_measure():
    known = {
        (each.name, measure.name)
        for each in compartments_of(load_model(MODELS / "vibesegmentator100.yaml"))
        for measure in each.measures
    }
    assert {part for each in indices() for part in each.parts} <= known


def test_the_command_writes_three_tables(tmp_path):
    cohort = draw_cohort(30, {"visceral_fat_t9_femur": 0.2, "subcutaneous_fat_t9_femur": 0.0})
    tables = write_cohort(tmp_path / "tables", cohort)
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, ["indices", "--tables", str(tables)])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "analyses/indices"
    names = {"indices.parquet", "ukb_fields.parquet", "definitions.parquet", "losses.parquet"}
    assert {path.name for path in folder.iterdir()} - {SHAREABLE} == names
    rows = pd.read_parquet(folder / "indices.parquet")
    volume = cohort.values["visceral_fat_t9_femur"] / 1000
    assert rows["vat_l"].to_numpy(float) == pytest.approx(volume)
