"""Change between visits and its measurement error, and repeatability, against closed forms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import stats
from synthetic_cohort import draw_cohort, write_cohort
from test_ageing import in_memory, of_values
from typer.testing import CliRunner

from dixonflow.analyse.change import read_repeatability, study_change
from dixonflow.analyse.study_data import StudyData
from dixonflow.cli.results.analyse import analyse_command
from dixonflow.errors import ConfigError
from dixonflow.evaluation.repeatability import phantom_repeatability, repeatability

ERRORS = pd.DataFrame({"structure": ["liver"], "measure": ["volume"], "unit": ["mL"], "sd_within": [10.0]})


def two_visits(n: int, per_year: float, years: float, sd: float, seed: int = 0):
    data = in_memory(draw_cohort(n, {"liver": 0.0}, seed))
    rng = np.random.default_rng(seed)
    own = rng.normal(1500, 200, n)
    later = data.scans.assign(session_id="3", age_years=data.scans["age_years"] + years)
    values = np.concatenate([own, own + per_year * years]) + rng.normal(0, sd, 2 * n)
    return replace(data, scans=pd.concat([data.scans, later], ignore_index=True), values=values[:, None])


def test_a_planted_change_lies_in_its_interval():
    data = two_visits(400, -8.0, 4.0, 10.0)
    study = study_change(data, ERRORS)
    row = study.summary.iloc[0]
    assert row["pairs"] == 400
    assert row["per_year_low"] <= -8.0 <= row["per_year_high"]
    assert row["signed_rank_p"] < 1e-20
    change = data.values[400:, 0] - data.values[:400, 0]
    assert row["sd_change"] == pytest.approx(change.std(ddof=1))
    assert row["signed_rank_p"] == pytest.approx(stats.wilcoxon(change).pvalue)
    assert len(study.changes) == 400
    assert study.changes["years"].to_numpy(float) == pytest.approx(4.0)


def test_measurement_error_alone_is_beyond_error_in_one_of_twenty():
    row = study_change(two_visits(4000, 0.0, 5.0, 10.0), ERRORS).summary.iloc[0]
    assert row["share_beyond_error"] == pytest.approx(0.05, abs=0.012)
    far = study_change(two_visits(100, 50.0, 5.0, 10.0), ERRORS).summary.iloc[0]
    assert far["share_beyond_error"] == 1.0


def test_unknown_errors_ages_and_few_pairs_give_null_and_no_number():
    data = two_visits(30, 1.0, 5.0, 10.0)
    nothing = ERRORS.assign(unit="cm2")
    study = study_change(data, nothing)
    assert study.changes["beyond_error"].isna().all()
    assert np.isnan(study.summary.iloc[0]["share_beyond_error"])
    ageless = study_change(replace(data, scans=data.scans.assign(age_years=np.nan)), ERRORS)
    assert ageless.changes["change"].notna().all()
    assert ageless.changes["change_per_year"].isna().all()
    assert np.isnan(ageless.summary.iloc[0]["per_year"])
    few = study_change(two_visits(5, 1.0, 5.0, 10.0), ERRORS).summary.iloc[0]
    assert few["pairs"] == 5
    assert np.isnan(few["per_year"])
    once = study_change(in_memory(draw_cohort(20, {"liver": 0.0})), ERRORS)
    assert once.changes.empty
    assert once.summary.empty


def three_visits(values: np.ndarray) -> StudyData:
    """Values of shape (visits, people), two years apart."""
    people = in_memory(draw_cohort(values.shape[1], {"liver": 0.0}))
    scans = [people.scans.assign(session_id=str(2 + k), age_years=50.0 + 2 * k) for k in range(3)]
    return of_values(pd.concat(scans, ignore_index=True), people.quantities, values.reshape(-1, 1))


def test_three_visits_are_two_changes_and_one_of_the_summary():
    values = 1500.0 + np.array([[0.0], [3.0], [8.0]]) * np.arange(1, 21)
    study = study_change(three_visits(values), ERRORS)
    one = study.changes[study.changes["participant_id"].eq("1000001")]
    assert one[["session_before", "session_after"]].to_numpy().tolist() == [["2", "3"], ["3", "4"]]
    assert one["change"].tolist() == pytest.approx([6.0, 10.0])
    row = study.summary.iloc[0]
    assert row["pairs"] == 20
    assert row["per_year"] == pytest.approx((2 * np.arange(1, 21)).mean())
    assert row["sd_change"] == pytest.approx((8.0 * np.arange(1, 21)).std(ddof=1))


def test_three_visits_without_a_change_are_significant_as_often_as_they_should_be():
    rng = np.random.default_rng(1)
    wrong = []
    for _ in range(120):
        own = rng.normal(0, 5, 60)  # everybody changes in another way, nobody on average
        values = 1500 + own * np.array([[0.0], [2.0], [4.0]]) + rng.normal(0, 1, (3, 60))
        row = study_change(three_visits(values), ERRORS).summary.iloc[0]
        wrong.append((not row["per_year_low"] <= 0 <= row["per_year_high"], row["signed_rank_p"] < 0.05))
    assert (np.mean(wrong, axis=0) < 0.1).all()


def test_a_missing_value_in_between_loses_no_change():
    values = 1500.0 + np.array([[0.0], [3.0], [8.0]]) * np.ones(20)
    values[1, :15] = np.nan
    values[2, 0] = np.nan
    study = study_change(three_visits(values), ERRORS)
    assert study.summary.iloc[0]["pairs"] == 19, "one has a single value"
    assert study.changes.groupby("participant_id").size().tolist() == [1] * 14 + [2] * 5
    row = study.changes.iloc[0]
    assert (row["session_before"], row["session_after"], row["years"], row["change"]) == ("2", "4", 4.0, 8.0)


def test_repeatability_is_the_root_of_the_mean_variance_within_people():
    rows = pd.DataFrame(
        [(who, str(n), "liver", "volume", "mL", value) for who, values in (("a", (100, 102)), ("b", (200, 204, 202)))
         for n, value in enumerate(values)],
        columns=["participant_id", "session_id", "structure", "measure", "unit", "value"],
    )  # fmt: skip
    found = repeatability(rows).iloc[0]
    variances = np.array([2.0, 4.0])
    assert found["sd_within"] == pytest.approx(np.sqrt((variances * [1, 2]).sum() / 3))
    assert found["cv_percent"] == pytest.approx(
        100 * np.sqrt((variances / np.array([101.0, 202.0]) ** 2 * [1, 2]).sum() / 3)
    )
    assert (found["participants"], found["scans"]) == (2, 5)
    assert repeatability(rows.drop_duplicates("participant_id")).empty


def test_the_phantom_repeats_visceral_fat_within_one_percent_and_kidneys_nearly():
    rows = phantom_repeatability()
    volumes = rows[rows["measure"].eq("volume")].set_index("structure")["cv_percent"]
    assert volumes["visceral_fat_t9_l5"] < 1.0
    assert volumes["kidney_left"] < 1.0
    assert volumes["kidneys"] < 1.05
    assert rows["sd_within"].gt(0).all()


def test_the_command_takes_a_table_of_errors(tmp_path):
    tables = write_cohort(tmp_path / "tables", draw_cohort(20, {"liver": 0.0}))
    errors = tmp_path / "errors.csv"
    ERRORS.to_csv(errors, index=False)
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, ["change", "--tables", str(tables), "--repeatability", str(errors)])
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(tmp_path / "analyses/change/repeatability.parquet")["sd_within"].tolist() == [10.0]
    ERRORS.assign(unit="cm2").to_csv(errors, index=False)
    result = CliRunner().invoke(app, ["change", "--tables", str(tables), "--repeatability", str(errors)])
    assert result.exit_code == 1
    assert "no structure, measure and unit of it is in the tables (it has liver volume cm2)" in result.output
    for wrong in (
        ERRORS.drop(columns="sd_within"),
        ERRORS.assign(sd_within=0.0),
        ERRORS.assign(sd_within="x"),
        pd.concat([ERRORS, ERRORS]),
    ):
        wrong.to_csv(errors, index=False)
        with pytest.raises(ConfigError):
            read_repeatability(errors)
