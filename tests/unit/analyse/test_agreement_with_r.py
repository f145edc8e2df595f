"""Our statistics against those of R on the same rows (agreement_with_r/: the rows, R's script, what it printed)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dixonflow.analyse.ageing import AgeingStudy, study_ageing
from dixonflow.analyse.centiles import fit_centiles
from dixonflow.analyse.change import study_change
from dixonflow.analyse.loss import _test
from dixonflow.analyse.loss_flow import KEPT
from dixonflow.analyse.study_data import QUANTITY, StudyData
from dixonflow.evaluation.repeatability import repeatability
from dixonflow.export.genetics import normal_scores

HERE = Path(__file__).parent / "agreement_with_r"
ROWS = pd.read_csv(HERE / "data.csv", dtype={"id": str, "centre": str})
FIRST = ROWS.drop_duplicates("id", ignore_index=True)
EXPECTED = pd.read_csv(HERE / "expected.csv").set_index("statistic")["value"]
MEASURED = ("liver", "score")


def data_of(rows: pd.DataFrame) -> StudyData:
    session = rows.groupby("id").cumcount().add(2).astype(str)
    names = {"id": "participant_id", "age": "age_years", "height": "height_cm"}
    scans = rows[["id", "age", "sex", "height"]].rename(columns=names)
    scans = scans.assign(session_id=session, sequence="dixon", weight_kg=70.0, centre=None, scan_date=None)
    quantities = pd.DataFrame(
        [("dixon", "demo", name, "volume", "mL") for name in MEASURED], columns=[*QUANTITY, "unit"]
    )
    values = rows[list(MEASURED)].to_numpy(float)
    return StudyData(scans, quantities, values, np.zeros(values.shape, np.int8))


@pytest.fixture(scope="module")
def ageing() -> AgeingStudy:
    return study_ageing(data_of(ROWS), mixed_models=True)


def of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    group = table["group"].eq("all") if "group" in table else True
    return table[table["structure"].eq(name) & group].reset_index(drop=True)


def agrees(value: float, statistic: str, rel: float = 1e-9) -> None:
    assert value == pytest.approx(EXPECTED[statistic], rel=rel, abs=1e-300), statistic


@pytest.mark.parametrize("name", MEASURED)
def test_correlations_and_tests_of_ageing(ageing: AgeingStudy, name: str) -> None:
    row = of(ageing.correlations, name).iloc[0]
    for column in ("spearman_rho", "spearman_p", "kruskal_h", "kruskal_p", "ks_statistic"):
        agrees(row[column], f"{name}.{column}")
    pairs = of(ageing.pairs, name)
    numbers = {quartile: number for number, quartile in enumerate(dict.fromkeys(pairs["first"]), 1)} | {
        pairs["second"].iloc[-1]: 4
    }
    for place, pair in pairs.iterrows():
        agrees(pair["p"], f"{name}.rank_sum_p.{numbers[pair['first']]}{numbers[pair['second']]}")
        agrees(pair["p_bonferroni"], f"{name}.p_bonferroni.{int(str(place)) + 1}")
    for number, quartile in of(ageing.quartiles, name).iterrows():
        for share, column in ((0.25, "lower_quartile"), (0.5, "median"), (0.75, "upper_quartile")):
            agrees(quartile[column], f"{name}.quartile.{int(str(number)) + 1}.{share:g}")


@pytest.mark.parametrize("name", MEASURED)
def test_partial_correlations(name: str) -> None:
    adjusted = study_ageing(data_of(ROWS), adjust_for=("sex", "height_cm")).correlations
    agrees(of(adjusted, name).at[0, "spearman_rho"], f"{name}.partial_rho")


def test_mixed_models(ageing: AgeingStudy) -> None:
    row = of(ageing.repeats, "liver").iloc[0]
    assert row["per_year"] == pytest.approx(EXPECTED["mixed.per_year"], rel=1e-4)
    error = (row["per_year_high"] - row["per_year_low"]) / (2 * 1.96)
    # statsmodels inverts the Hessian of the likelihood, nlme does not
    assert error == pytest.approx(EXPECTED["mixed.se"], rel=1e-2)


def test_who_was_lost() -> None:
    counts = pd.crosstab(FIRST["centre"], FIRST["lost"]).rename(columns={0: KEPT, 1: "lost"})
    _, statistic, freedom, p = _test(counts, coarse=False)
    for value, name in ((statistic, "chi_squared"), (freedom, "degrees_of_freedom"), (p, "p")):
        agrees(value, f"loss.{name}")


def test_change_between_visits() -> None:
    errors = pd.DataFrame([("liver", "volume", "mL", 20.0)], columns=["structure", "measure", "unit", "sd_within"])
    row = of(study_change(data_of(ROWS), errors).summary, "liver").iloc[0]
    assert row["pairs"] == 120
    agrees(row["signed_rank_p"], "change.signed_rank_p")
    for column in ("per_year", "per_year_low", "per_year_high"):
        agrees(row[column], f"change.{column}")
    agrees(row["sd_change"], "change.sd")


def test_repeatability() -> None:
    rows = ROWS.rename(columns={"id": "participant_id", "liver": "value"})
    rows = rows.assign(
        session_id=rows.groupby("participant_id").cumcount(), structure="liver", measure="volume", unit="mL"
    )
    agrees(repeatability(rows).at[0, "sd_within"], "repeatability.sd_within")


def test_normal_scores_of_ranks() -> None:
    scores = normal_scores(FIRST["score"].to_numpy(float))
    for place in (1, 17, 100):
        agrees(scores[place - 1], f"normal_score.{place}")


def test_centiles_are_the_same_minimum() -> None:
    """The minimum need not be one point: its loss is the same, the curve nearly."""
    curves = {each.sex: each for each in fit_centiles(data_of(ROWS), with_height=False) if each.structure == "liver"}
    for sex, curve in curves.items():
        own = FIRST[FIRST["sex"].eq(sex) & FIRST["age"].between(curve.knots[0], curve.knots[-1])]
        fitted = np.log(curve.at(own["age"].to_numpy(float), None, ordered=False))
        at_60 = curve.at(np.array([60.0]), None, ordered=False)[0]
        for share, place in ((0.1, 1), (0.5, 3), (0.9, 5)):
            residuals = np.log(own["liver"].to_numpy(float)) - fitted[:, place]
            loss = float((residuals * (share - (residuals < 0))).sum())
            assert loss == pytest.approx(EXPECTED[f"centiles.{sex}.{share:g}.loss"], rel=2e-4)
            assert loss >= EXPECTED[f"centiles.{sex}.{share:g}.loss"] * (1 - 1e-9)
            assert at_60[place] == pytest.approx(EXPECTED[f"centiles.{sex}.{share:g}.at_60"], rel=3e-3)
