"""Sex and age: values of R, one per participant, and refusals under small numbers or contradictions."""

import numpy as np
import pandas as pd
import pytest
from evaluated_cases import evaluated

from dixonflow.evaluation.statistics.case_rows import StatisticsError
from dixonflow.evaluation.statistics.covariates import by_age, by_sex

X = [0.912, 0.871, 0.934, 0.802, 0.889, 0.951, 0.845, 0.927, 0.903, 0.768, 0.919, 0.896]
Y = [0.895, 0.880, 0.915, 0.790, 0.861, 0.948, 0.851]
AGES = [51, 63, 47, 72, 58, 49, 66, 55, 61, 78, 50, 57]


def covariates(sexes=("female",) * 12 + ("male",) * 7, ages=None):
    return pd.DataFrame(
        {
            "participant_id": [f"p{number:05}" for number in range(len(sexes))],
            "session_id": "2",
            "sex": list(sexes),
            "age_years": AGES + [60.0] * (len(sexes) - 12) if ages is None else ages,
        }
    )


def test_welch_is_that_of_r():
    found = by_sex(evaluated(X + Y), covariates(), ["dice"]).iloc[0]
    # R 4.2.2: t.test(x, y)
    values = found[["t", "degrees_of_freedom", "p", "difference_low", "difference_high"]].tolist()
    expected = [0.30636259621, 13.60715868036, 0.76396607574, -0.04579363401, 0.06100791972]
    assert values == pytest.approx(expected)
    assert (found["n_female"], found["n_male"], found["n_unknown"]) == (12, 7, 0)
    assert found["difference"] == pytest.approx(np.mean(X) - np.mean(Y))


def test_pearson_is_that_of_r():
    found = by_age(evaluated(X), covariates(("female",) * 12), ["dice"]).iloc[0]
    # cor.test(x, a)
    expected = [-0.9611760023, -0.9893383446, -0.8637200238, 6.507894038e-07]
    assert found[["r", "r_low", "r_high", "p"]].tolist() == pytest.approx(expected)
    assert (found["n"], found["hypotheses"]) == (12, 1)


def test_participants_count_once_and_unknown_covariates_are_counted():
    people = [f"p{number:05}" for number in range(19)]
    rows = evaluated((X + Y) * 3, participants=people * 3)
    once = by_sex(rows, covariates(), ["dice"]).iloc[0]
    assert (once["n_female"], once["n_male"], once["p"]) == (12, 7, pytest.approx(0.76396607574))
    part = by_sex(evaluated(X + Y), covariates().iloc[1:], ["dice"]).iloc[0]
    assert (part["n_female"], part["n_unknown"]) == (11, 1)
    age = by_age(evaluated(X), covariates(("female",) * 12).iloc[1:], ["dice"]).iloc[0]
    assert (age["n"], age["n_unknown"]) == (11, 1)


def test_age_and_metric_are_of_the_same_sessions():
    later = evaluated([0.1] * 12, cases=[f"later{i}" for i in range(12)]).assign(session_id="3")
    found = by_age(pd.concat([evaluated(X), later]), covariates(("female",) * 12), ["dice"]).iloc[0]
    assert found["r"] == pytest.approx(-0.9611760023)  # sessions without an age do not count


@pytest.mark.parametrize(
    ("dice", "sexes", "message"),
    [
        (X + Y[:5], ("female",) * 12 + ("male",) * 5, "under 6"),
        ([0.9] * 19, ("female",) * 12 + ("male",) * 7, "equal"),
    ],
)
def test_no_t_test_without_numbers_or_spread(dice, sexes, message):
    found = by_sex(evaluated(dice), covariates(sexes), ["dice"]).iloc[0]
    assert np.isnan(found["p"])
    assert message in found["note"]
    assert found["hypotheses"] == 0


@pytest.mark.parametrize(
    ("dice", "ages", "message"),
    [(X[:9], AGES[:9], "under 10"), ([0.9] * 12, AGES, "equal"), (X, [60.0] * 12, "equal")],
)
def test_no_correlation_without_numbers_or_spread(dice, ages, message):
    found = by_age(evaluated(dice), covariates(("male",) * len(dice), ages), ["dice"]).iloc[0]
    assert np.isnan(found["r"])
    assert message in found["note"]


TWICE = pd.concat([covariates(), covariates().assign(sex="male", age_years=30.0)])


@pytest.mark.parametrize(
    ("test", "table", "message"),
    [
        (by_sex, TWICE, "12 participants have two sexes"),
        (by_sex, covariates().assign(sex="1"), "female or male"),
        (by_sex, covariates().drop(columns="sex"), "lack columns: sex"),
        (by_sex, covariates().assign(participant_id=7), "must be text"),
        (by_age, TWICE, "19 sessions have two ages"),
        (by_age, covariates().assign(age_years=-3.0), "0 to 120"),
        (by_age, covariates().assign(age_years=np.inf), "0 to 120"),
        (by_age, covariates().assign(age_years="old"), "hold numbers"),
        (by_age, covariates().drop(columns="session_id"), "lack columns: session_id"),
    ],
)
def test_wrong_covariates_are_refused(test, table, message):
    with pytest.raises(StatisticsError, match=message):
        test(evaluated(X + Y), table, ["dice"])
