"""The study of ageing on cohorts of which the correlations are known."""

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import stats
from synthetic_cohort import PUBLISHED, Cohort, draw_cohort, write_cohort
from typer.testing import CliRunner

from dixonflow.analyse.ageing import study_ageing
from dixonflow.analyse.study_data import QUANTITY, StudyData, read_study_data
from dixonflow.cli.results.analyse import analyse_command
from dixonflow.errors import ConfigError
from dixonflow.tables.shards import SCAN_KEYS


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return draw_cohort(2000, PUBLISHED, seed=1, sex_factor=1.0)


@pytest.fixture(scope="module")
def tables(cohort, tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("run") / "tables", cohort)


@pytest.fixture(scope="module")
def data(tables):
    return read_study_data(tables)


def of_all(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["group"].eq("all")].set_index("structure")


def test_planted_correlations_lie_in_their_intervals(data):
    rows = of_all(study_ageing(data).correlations)
    for name, rho in PUBLISHED.items():
        assert rows.at[name, "rho_low"] <= rho <= rows.at[name, "rho_high"], name
        assert rows.at[name, "spearman_rho"] == pytest.approx(rho, abs=0.06)
        assert rows.at[name, "n"] == 2000
    assert rows.at["aorta", "significant"]


def test_numbers_are_those_of_scipy(cohort, data):
    study = study_ageing(data)
    rows = of_all(study.correlations)
    age = cohort.people["age_years"].to_numpy(float)
    edges = np.quantile(age, [0.25, 0.5, 0.75])
    split = np.searchsorted(edges, age, side="left")
    for name, values in cohort.values.items():
        rho, p = stats.spearmanr(values, age)
        assert rows.at[name, "spearman_rho"] == pytest.approx(rho, abs=1e-12)
        assert rows.at[name, "spearman_p"] == pytest.approx(p, rel=1e-6, abs=1e-300)
        parts = [values[split == place] for place in range(4)]
        assert rows.at[name, "kruskal_h"] == pytest.approx(stats.kruskal(*parts).statistic)
        pairs = study.pairs[study.pairs["group"].eq("all") & study.pairs["structure"].eq(name)]
        assert len(pairs) == 6
        first = pairs.iloc[0]
        expected = stats.ranksums(parts[1], parts[0])
        assert first["rank_sum_z"] == pytest.approx(expected.statistic, rel=1e-3)
        assert (pairs["p_bonferroni"] == (pairs["p"] * 6 * len(PUBLISHED)).clip(upper=1)).all()
        quartiles = study.quartiles[study.quartiles["group"].eq("all") & study.quartiles["structure"].eq(name)]
        assert quartiles["median"].tolist() == pytest.approx([float(np.median(part)) for part in parts])
        assert quartiles["n"].sum() == 2000


def test_shuffled_ages_are_significant_as_often_as_they_should_be():
    many = draw_cohort(300, {f"part_{number:03d}": 0.0 for number in range(1000)}, seed=3)
    age = many.people["age_years"].to_numpy(float)
    found = [stats.spearmanr(values, age).pvalue < 0.05 for values in many.values.values()]
    data = in_memory(many)
    rows = study_ageing(data).correlations
    for column in ("spearman_p", "kruskal_p"):
        rate = (rows[column] < 0.05).mean()
        assert 0.035 <= rate <= 0.065, column
    assert (rows["spearman_p"] < 0.05).mean() == np.mean(found)
    pairs = study_ageing(data).pairs
    assert 0.04 <= (pairs["p"] < 0.05).mean() <= 0.06
    assert not pairs["significant"].any()
    covered = (rows["rho_low"] <= 0) & (rows["rho_high"] >= 0)
    assert 0.93 <= covered.mean() <= 0.97


def in_memory(cohort: Cohort):
    scans = cohort.people.assign(session_id="2", sequence="dixon", centre=None, scan_date=None)
    quantities = pd.DataFrame(
        [("dixon", "demo", name, "volume", "mL") for name in cohort.values], columns=[*QUANTITY, "unit"]
    )
    assert set(SCAN_KEYS) <= set(scans)
    return of_values(scans, quantities, np.column_stack(list(cohort.values.values())))


def of_values(scans: pd.DataFrame, quantities: pd.DataFrame, values: np.ndarray) -> StudyData:
    """Data of which every value that is there is used; the others were not measured."""
    return StudyData(scans, quantities, values, np.isnan(values).astype(np.int8))


def test_normality_is_refused_for_skewed_values_and_not_for_normal_ones():
    rng = np.random.default_rng(0)
    cohort = draw_cohort(400, {"liver": 0.0})
    cohort.values["normal"] = rng.normal(100, 10, 400)
    cohort.values["skewed"] = rng.lognormal(0, 1, 400)
    rows = of_all(study_ageing(in_memory(cohort)).correlations)
    assert rows.at["skewed", "ks_p"] <= 0.001
    assert rows.at["normal", "ks_p"] > 0.05


def test_sex_and_height_can_be_adjusted_for():
    """Men are older here and have larger livers: nothing is left once sex is taken out."""
    rng = np.random.default_rng(5)
    cohort = draw_cohort(4000, {"liver": 0.0}, seed=5, sex_factor=1.0)
    male = cohort.people["sex"].eq("male").to_numpy()
    cohort.people["age_years"] += np.where(male, 10.0, 0.0)
    cohort.values["liver"] = 100 * rng.lognormal(0, 0.1, 4000) * np.where(male, 1.3, 1.0)
    data = in_memory(cohort)
    raw = of_all(study_ageing(data).correlations).loc["liver"]
    adjusted = of_all(study_ageing(data, adjust_for=("sex", "height_cm")).correlations).loc["liver"]
    assert raw["spearman_rho"] > 0.2
    assert adjusted["rho_low"] <= 0 <= adjusted["rho_high"]
    apart = study_ageing(data, by_sex=True).correlations
    assert set(apart["group"]) == {"all", "female", "male"}
    for sex in ("female", "male"):
        row = apart[apart["group"].eq(sex)].iloc[0]
        assert abs(row["spearman_rho"]) < 0.06


def test_who_has_no_age_or_another_one_is_left_out_and_counted(cohort):
    data = in_memory(draw_cohort(200, {"liver": 0.3}))
    data.scans.loc[:4, "age_years"] = np.nan
    data.scans.loc[5:7, "age_years"] = [17.0, 17.9, 101.0]
    study = study_ageing(data)
    losses = study.losses[study.losses["structure"].eq("")].set_index("reason")["n"]
    assert losses["age_unknown"] == 5
    assert losses["age_outside"] == 3
    assert of_all(study.correlations).at["liver", "n"] == 192


def test_one_scan_of_each_participant_counts_and_mixed_models_take_all():
    both = draw_cohort(300, {"liver": 0.0}, seed=7)
    data = in_memory(both)
    later = data.scans.assign(session_id="3", age_years=data.scans["age_years"] + 5)
    rng = np.random.default_rng(1)
    own = rng.normal(1500, 200, 300)
    values = np.concatenate([own, own - 10.0 * 5]) + rng.normal(0, 5, 600)
    repeated = of_values(pd.concat([data.scans, later], ignore_index=True), data.quantities, values[:, None])
    study = study_ageing(repeated, mixed_models=True)
    assert of_all(study.correlations).at["liver", "n"] == 300
    losses = study.losses.set_index("reason")["n"]
    assert losses["further_scan_of_participant"] == 300
    row = study.repeats.iloc[0]
    assert (row["n_scans"], row["n_participants"]) == (600, 300)
    assert row["per_year_low"] <= row["per_year"] <= row["per_year_high"] < 0


def test_a_mixed_model_without_a_result_has_no_numbers_and_ends_no_study():
    both = draw_cohort(60, {"liver": 0.0, "spleen": 0.0}, seed=7)
    data = in_memory(both)
    later = data.scans.assign(session_id="3", age_years=data.scans["age_years"] + 5)
    own = np.random.default_rng(0).normal(1500, 200, 60)
    values = np.column_stack([np.concatenate([own, own])] * 2)
    values[-1, 0] += 1e9
    repeated = of_values(pd.concat([data.scans, later], ignore_index=True), data.quantities, values)
    rows = study_ageing(repeated, mixed_models=True).repeats.set_index("structure")
    assert rows.at["liver", "per_year_low"] < 0 < rows.at["liver", "per_year_high"], "one wild value says nothing"
    assert rows.at["spleen", "per_year"] == pytest.approx(0, abs=1e-3)
    repeated.scans["age_years"] = 55.0
    rows = study_ageing(repeated, mixed_models=True).repeats.set_index("structure")
    assert rows[["per_year", "per_year_low", "per_year_high", "p"]].isna().all(axis=None)
    assert rows["n_scans"].tolist() == [120, 120]


def test_failed_cut_and_unsure_values_are_not_used(tmp_path):
    cohort = draw_cohort(100, {"liver": 0.0, "spleen": 0.0})
    folder = write_cohort(tmp_path, cohort)
    rows = pd.read_parquet(folder / "measurements.parquet")
    liver = rows.index[rows["structure"].eq("liver")]
    rows.loc[liver[0], ["value", "value_before_grade"]] = [np.nan, 5.0]
    rows.loc[liver[0], ["grade", "missing_reason", "decided_by"]] = ["fail", "failed_check", "lower_cutoff"]
    rows.loc[liver[1:3], ["grade", "decided_by"]] = ["review", "cut_by_field_of_view"]
    rows.loc[liver[3:6], ["grade", "decided_by"]] = ["review", "seen_borders"]
    rows.loc[liver[6:10], ["value", "grade", "missing_reason"]] = [np.nan, None, "not_found"]
    rows.to_parquet(folder / "measurements.parquet")
    for with_review, n in ((False, 90), (True, 93)):
        study = study_ageing(read_study_data(folder, with_review=with_review))
        assert of_all(study.correlations).at["liver", "n"] == n
        lost = study.losses[study.losses["structure"].eq("liver")].set_index("reason")["n"].to_dict()
        expected = {"failed_check": 1, "cut_by_field_of_view": 2, "not_measured": 4}
        assert lost == (expected if with_review else expected | {"to_review": 3})
    assert of_all(study.correlations).at["spleen", "n"] == 100


def test_the_command_writes_tables_and_figures(tables, tmp_path):
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, ["ageing", "--tables", str(tables), "--output", str(tmp_path), "--by-sex"])
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"correlations.parquet", "quartiles.parquet", "pairs.parquet", "losses.parquet"} <= names
    for figure in ("correlations_dixon_demo_volume", "quartiles_dixon_demo_volume"):
        for ending in ("pdf", "svg", "png"):
            assert (tmp_path / f"{figure}.{ending}").stat().st_size > 2000
    svg = (tmp_path / "correlations_dixon_demo_volume.svg").read_text()
    assert "adrenal glands" in svg
    assert "1000000" not in svg, "no participant is in a figure"
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = CliRunner().invoke(app, ["ageing", "--tables", str(tables), "--output", str(tmp_path), "--by-sex"])
    assert again.exit_code == 0
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    wrong = CliRunner().invoke(app, ["ageing", "--tables", str(tables), "--measure", "weight"])
    assert wrong.exit_code == 1
    assert "no measure weight" in wrong.output


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["loss", "--measure", "volume"], "--measure is an option of ageing, centiles, change alone"),
        (["centiles", "--adjust-height"], "--adjust-height is an option of ageing alone"),
        (["ageing", "--reference", "x.json"], "--reference is an option of centiles alone"),
    ],
)
def test_an_option_that_a_study_does_not_take_is_refused(words, problem, tables, tmp_path):
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, [*words, "--tables", str(tables), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert problem in result.output
    assert not (tmp_path / "out").exists()


def test_without_covariates_it_says_what_to_do(tmp_path):
    folder = write_cohort(tmp_path, draw_cohort(20, {"liver": 0.0}))
    (folder / "covariates.parquet").unlink()
    with pytest.raises(ConfigError, match=r"cohort\.covariates"):
        read_study_data(folder)
    assert len(read_study_data(folder, needs_covariates=False).scans) == 20


def test_without_the_checks_nobody_knows_which_values_are_cut(tmp_path):
    folder = write_cohort(tmp_path, draw_cohort(20, {"liver": 0.0}))
    (folder / "quality.parquet").unlink()
    assert len(read_study_data(folder).scans) == 20
    with pytest.raises(ConfigError, match=r"there is no .*quality\.parquet"):
        read_study_data(folder, with_review=True)
