"""Centiles where many people share an age or a value, and files of centiles that do not go with the tables."""

import numpy as np
import pandas as pd
import pytest
import typer
from synthetic_cohort import draw_cohort, write_cohort
from test_study_data import counted
from typer.testing import CliRunner

from dixonflow.analyse.centile_file import write_centiles
from dixonflow.analyse.centile_scores import apply_centiles, apply_losses, centile_rows
from dixonflow.analyse.centiles import fit_centiles
from dixonflow.analyse.study_data import read_study_data
from dixonflow.cli.results.analyse import analyse_command


@pytest.mark.parametrize("lump", [42.0, 60.0, 77.9, 78.0])
def test_many_people_of_one_age_do_not_pull_the_curves_to_nothing(lump, tmp_path):
    cohort = draw_cohort(1200, {"liver": 0.3}, 4)
    ages = np.clip(np.round(cohort.people["age_years"]), 42.0, 78.0)
    cohort.people["age_years"] = np.where(np.arange(1200) % 10 < 8, lump, ages)
    data = read_study_data(write_cohort(tmp_path, cohort))
    curves = fit_centiles(data)
    for each in curves:
        assert (np.diff(each.knots[3:-3]) >= 1).all()
    medians = centile_rows(curves).query("centile == 0.5")["value"]
    assert medians.between(75, 140).all()
    scores = apply_centiles(curves, data)
    at_lump = scores[data.scans["age_years"].eq(lump).to_numpy()]["z"].dropna().to_numpy(float)
    assert len(at_lump) > 900
    assert at_lump.mean() == pytest.approx(0, abs=0.1)
    assert at_lump.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("share", "middle"), [(0.2, 0.10), (0.6, 0.29), (0.9, 0.46), (0.98, 0.5)])
def test_values_at_a_floor_have_the_score_of_their_middle(share, middle, tmp_path):
    """Of the centiles that are zero, from 3 % up."""
    cohort = draw_cohort(1000, {"liver": 0.1}, 2)
    fractions = cohort.values["liver"]
    fractions[:] = np.maximum(fractions / np.quantile(fractions, share) - 1, 0) / 5
    data = read_study_data(write_cohort(tmp_path, cohort, measure="fat_fraction"), ["fat_fraction"])
    scores = apply_centiles(fit_centiles(data), data)
    zero = (data.values[:, 0] == 0) & scores["z"].notna().to_numpy()
    assert scores.loc[zero, "centile"].median() == pytest.approx(middle, abs=0.06)
    assert scores.loc[zero, "z"].min() > -1.9
    assert scores.loc[zero, "z"].max() < scores.loc[~zero, "z"].max()
    if share < 0.9:
        assert scores["z"].mean() == pytest.approx(0, abs=0.15)


def test_a_file_of_another_model_is_refused_and_what_has_no_score_is_counted(tmp_path):
    cohort = draw_cohort(600, {"liver": 0.1, "spleen": 0.0}, 2)
    cohort.values["liver"][:3] = 0.0
    cohort.values["liver"][3:5] = np.nan
    cohort.people.loc[10:13, "age_years"] = [np.nan, np.nan, 20.0, 99.0]
    tables = write_cohort(tmp_path / "tables", cohort)
    data = read_study_data(tables)
    curves = [each for each in fit_centiles(data) if each.structure == "liver"]
    scores = apply_centiles(curves, data)
    lost = counted(apply_losses(data, scores), "liver")
    assert (lost["not_measured"], lost["value_not_positive"], lost["age_unknown"]) == (2, 3, 2)
    assert sum(lost.values()) + scores["z"].notna().sum() == 600
    assert counted(apply_losses(data, scores), "spleen") == {"no_curves": 600}
    reference = tmp_path / "centiles.json"
    write_centiles(reference, curves)
    path = tables / "measurements.parquet"
    rows = pd.read_parquet(path)
    app = typer.Typer()
    app.command()(analyse_command)
    for column, value in (("model", "vibe"), ("unit", "cm2")):
        rows.assign(**{column: value}).to_parquet(path)
        words = ["centiles", "--tables", str(tables), "--output", str(tmp_path / "out"), "--reference", str(reference)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        assert "no quantity of the file of centiles is in the tables" in result.output
        assert not (tmp_path / "out").exists()
