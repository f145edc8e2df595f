"""Reference centiles: as many values lie below each as it says, in the cohort and in another one."""

import json

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import stats
from synthetic_cohort import Cohort, draw_cohort, write_cohort
from typer.testing import CliRunner

from dixonflow.analyse.centile_file import read_centiles, write_centiles
from dixonflow.analyse.centile_scores import apply_centiles, centile_rows
from dixonflow.analyse.centiles import CENTILES, fit_centiles
from dixonflow.analyse.shareable import SHAREABLE
from dixonflow.analyse.study_data import StudyData, read_study_data
from dixonflow.cli.results.analyse import analyse_command
from dixonflow.errors import ConfigError


def liver(n: int, seed: int) -> Cohort:
    """Livers whose volume depends on age, in a curve, on sex and on height; their spread grows with age."""
    cohort = draw_cohort(n, {"liver": 0.0}, seed)
    people, rng = cohort.people, np.random.default_rng([seed, 1])
    age, height = people["age_years"].to_numpy(float), people["height_cm"].to_numpy(float)
    male = people["sex"].eq("male").to_numpy()
    middle = np.log(1500) + 0.15 * male + 0.006 * (height - 170) - 0.0004 * (age - 55) ** 2
    cohort.values["liver"] = np.exp(middle + (0.1 + 0.002 * (age - 40)) * rng.normal(size=n))
    return cohort


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("reference") / "tables", liver(6000, 1))


@pytest.fixture(scope="module")
def data(reference) -> StudyData:
    return read_study_data(reference)


@pytest.fixture(scope="module")
def curves(data):
    return fit_centiles(data)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("other") / "tables", liver(4000, 2))


def test_as_many_values_lie_below_a_centile_as_it_says(curves, other):
    scores = apply_centiles(curves, read_study_data(other))
    z = scores["z"].dropna().to_numpy(float)
    assert len(z) > 3800
    for centile in CENTILES:
        below = (z < stats.norm.ppf(centile)).mean()
        assert below == pytest.approx(centile, abs=3.5 * np.sqrt(centile * (1 - centile) / len(z)) + 0.006), centile
    people = pd.read_parquet(other / "covariates.parquet").set_index("participant_id")
    both = scores.assign(z=scores["z"].astype(float)).join(people, on="participant_id", rsuffix="_p").dropna(subset="z")
    for name in ("age_years", "height_cm"):
        assert abs(stats.spearmanr(both["z"], both[name]).statistic) < 0.06, "nothing of it is left"
    for sex in ("female", "male"):
        assert both.loc[both["sex"].eq(sex), "z"].mean() == pytest.approx(0, abs=0.08)
        assert both.loc[both["sex"].eq(sex), "z"].std() == pytest.approx(1, abs=0.05)


def test_curves_are_those_of_the_distribution(curves):
    women = next(each for each in curves if each.sex == "female")
    ages = np.array([45.0, 60.0, 75.0])
    found = women.at(ages, np.full(3, 165.0))
    middle = np.log(1500) + 0.006 * (165 - 170) - 0.0004 * (ages - 55) ** 2
    spread = 0.1 + 0.002 * (ages - 40)
    true = np.exp(middle[:, None] + spread[:, None] * stats.norm.ppf(CENTILES))
    assert found == pytest.approx(true, rel=0.03)
    assert (np.diff(found, axis=1) > 0).all()


def test_the_file_gives_the_same_scores_and_holds_nobody(curves, data, tmp_path):
    path = tmp_path / "centiles.json"
    write_centiles(path, curves)
    again = read_centiles(path)
    assert again == curves
    pd.testing.assert_frame_equal(apply_centiles(again, data), apply_centiles(curves, data))
    text = path.read_text()
    assert len(text) < 10_000
    assert not any(each in text for each in data.scans["participant_id"])
    knots = {knot for each in curves for knot in each.knots}
    assert all(round(knot, 1) == knot for knot in knots)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content["curves"][0].update(knots=[1.0] * 10), "no file of centiles"),
        (lambda content: content["curves"][0]["coefficients"][0].pop(), "no file of centiles"),
        (lambda content: content["curves"][0].update(sex="both"), "no file of centiles"),
        (lambda content: content["curves"][0].update(n=0), "no file of centiles"),
        (lambda content: content["curves"][0].update(more=1), "no file of centiles"),
        (lambda content: content["curves"][0].pop("n"), "no file of centiles"),
        (lambda content: content["curves"][0]["coefficients"][0].__setitem__(0, float("nan")), "no file of centiles"),
        (lambda content: content["curves"][0].update(knots=[40.0, 80.0]), "no file of centiles"),
        (lambda content: content.update(format="x"), "no file of centiles of this version"),
        (lambda content: content["definitions"].update(volume="volume.v7"), "fit the centiles again"),
        (lambda content: content.pop("curves"), "no file of centiles"),
    ],
)
def test_a_wrong_file_is_refused(change, problem, curves, tmp_path):
    path = tmp_path / "centiles.json"
    write_centiles(path, curves)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=problem):
        read_centiles(path)
    with pytest.raises(ConfigError):
        read_centiles(tmp_path / "nothing.json")


def test_who_cannot_be_compared_has_a_reason(curves, data):
    scans = data.scans.copy()
    scans.loc[0, "age_years"] = np.nan
    scans.loc[1, "age_years"] = 95.0
    scans.loc[2, "height_cm"] = np.nan
    scans.loc[3, "sex"] = None
    values = data.values.copy()
    values[4] = np.nan
    rows = apply_centiles(curves, StudyData(scans, data.quantities, values, data.lost))
    reasons = ["age_unknown", "age_outside", "height_unknown", "sex_unknown", "no_value"]
    assert rows["missing_reason"].iloc[:5].tolist() == reasons
    assert rows["z"].isna().eq(rows["missing_reason"].notna()).all()


def test_few_participants_get_no_curves_and_crossings_are_told(tmp_path):
    few = read_study_data(write_cohort(tmp_path / "tables", draw_cohort(300, {"liver": 0.0})))
    assert fit_centiles(few) == []
    curves = fit_centiles(few, fewest=100)
    assert len(curves) == 2
    for each in curves:
        ages = np.linspace(*each.ages, 50)
        assert (np.diff(each.at(ages, None), axis=1) >= 0).all(), "in order all the same"
        raw = each.at(np.arange(*each.ages, 0.5), None, ordered=False)
        assert each.crossings == pytest.approx((np.diff(raw, axis=1) < 0).any(axis=1).mean(), abs=1e-3)


def test_values_below_zero_and_constant_ones_do_no_harm(tmp_path):
    cohort = draw_cohort(1000, {"liver": 0.0, "spleen": 0.0})
    cohort.values["liver"][:5] = 0.0
    cohort.values["spleen"][:] = 7.0
    data = read_study_data(write_cohort(tmp_path / "tables", cohort))
    curves = fit_centiles(data)
    assert {each.structure for each in curves} == {"liver"}
    z = apply_centiles(curves, data).set_index("participant_id")["z"]
    zeros = cohort.people["participant_id"].iloc[:5]
    assert z.loc[zeros].isna().all(), "the curves are of those who have one"
    reasons = apply_centiles(curves, data).set_index("participant_id").loc[zeros, "missing_reason"]
    assert set(reasons) <= {"value_not_positive", "age_outside"}


def test_the_command_fits_and_applies(reference, other, tmp_path):
    app = typer.Typer()
    app.command()(analyse_command)
    first, second = tmp_path / "first", tmp_path / "second"
    done = CliRunner().invoke(app, ["centiles", "--tables", str(reference), "--output", str(first)])
    assert done.exit_code == 0, done.output
    assert {path.suffix for path in first.iterdir()} == {".json", ".parquet", ".pdf", ".svg", ".png", ".sha256"}
    file = str(first / "centiles.json")
    done = CliRunner().invoke(app, ["centiles", "--tables", str(other), "--output", str(second), "--reference", file])
    assert done.exit_code == 0, done.output
    assert {path.name for path in second.iterdir()} == {"z_scores.parquet", "losses.parquet", SHAREABLE}
    assert len(pd.read_parquet(second / "z_scores.parquet")) == 4000
    rows = centile_rows(read_centiles(first / "centiles.json"))
    assert set(rows["centile"]) == set(CENTILES)
    pd.testing.assert_frame_equal(rows, pd.read_parquet(first / "centiles.parquet"), check_dtype=False)
