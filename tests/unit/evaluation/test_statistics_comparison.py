"""Comparisons of two systems: p values of R, pairs by case, one value per participant, corrections by the family."""

import numpy as np
import pandas as pd
import pytest
from evaluated_cases import evaluated

from dixonflow.evaluation.statistics.case_rows import MEAN_OVER_STRUCTURES, StatisticsError
from dixonflow.evaluation.statistics.comparison import compare_systems
from dixonflow.evaluation.statistics.multiple_testing import with_corrections
from dixonflow.evaluation.statistics.rank_tests import rank_sum, signed_rank

X = np.array([0.912, 0.871, 0.934, 0.802, 0.889, 0.951, 0.845, 0.927, 0.903, 0.768, 0.919, 0.896])
Y = np.array([0.895, 0.880, 0.915, 0.790, 0.861, 0.948, 0.851, 0.902, 0.899, 0.731, 0.924, 0.863])
# R's round: 0.845 becomes 0.84
X2 = np.array([0.91, 0.87, 0.93, 0.80, 0.89, 0.95, 0.84, 0.93, 0.90, 0.77, 0.92, 0.90])
Y2 = np.array([0.90, 0.88, 0.92, 0.79, 0.86, 0.95, 0.85, 0.90, 0.90, 0.73, 0.92, 0.86])


def both(x=X, y=Y, **options):
    return pd.concat([evaluated(x, system="a", **options), evaluated(y, system="b", **options)])


def compare(rows, metrics=("dice",), **options):
    return compare_systems(rows, "a", "b", metrics, draws=500, **options)


def test_signed_rank_is_that_of_r():
    # R 4.2.2: wilcox.test(x, y, paired = TRUE, conf.int = TRUE, digits.rank = 7)
    found = compare(both()).iloc[0]
    assert found["test"] == "signed-rank, exact"
    assert (found["statistic"], found["p"]) == pytest.approx((66, 0.0341796875))
    estimates = found[["pseudomedian_difference", "pseudomedian_low", "pseudomedian_high"]].tolist()
    assert estimates == pytest.approx([0.01375, 0.003, 0.025])
    assert found["mean_difference"] == pytest.approx(np.mean(X - Y))
    assert found["difference_low"] < found["mean_difference"] < found["difference_high"]


def test_signed_rank_with_ties_and_zeros_is_that_of_r():
    # wilcox.test(round(x, 2), round(y, 2), paired = TRUE, digits.rank = 7)
    found = compare(both(X2, Y2)).iloc[0]
    assert found["test"] == "signed-rank, normal approximation"
    assert (found["statistic"], found["p"], found["n_zero"]) == pytest.approx((39, 0.05321271016, 3))


def test_rank_sum_is_that_of_r():
    other = evaluated(Y, system="b", participants=[f"q{i}" for i in range(12)], cases=[f"d{i}" for i in range(12)])
    found = compare(pd.concat([evaluated(X, system="a"), other])).iloc[0]
    # wilcox.test(x, y, exact = TRUE, digits.rank = 7)
    assert (found["design"], found["test"], found["n_pairs"]) == ("unpaired", "rank-sum, exact", 0)
    assert (found["statistic"], found["p"]) == pytest.approx((85, 0.4775752582))
    assert found["mean_difference"] == pytest.approx(X.mean() - Y.mean())
    # wilcox.test(round(x, 2), round(y, 2), digits.rank = 7)
    found = rank_sum(X2, Y2)
    assert (found["statistic"], found["p"]) == pytest.approx((83.5, 0.5229230453))
    assert found["test"] == "rank-sum, normal approximation"


def test_interval_of_independent_samples_has_the_width_of_both():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.8, 0.03, 150), rng.normal(0.7, 0.04, 100)
    ids = [f"q{i}" for i in range(100)]
    rows = pd.concat([evaluated(one, system="a"), evaluated(other, system="b", participants=ids, cases=ids)])
    found = compare(rows).iloc[0]
    width = 2 * 1.96 * np.sqrt(one.var() / 150 + other.var() / 100)
    assert found["difference_high"] - found["difference_low"] == pytest.approx(width, rel=0.12)


def test_corrections_are_those_of_r():
    p = [0.001, 0.008, 0.039, 0.041, np.nan, 0.042, 0.06, 0.074, 0.205]
    found = with_corrections(pd.DataFrame({"p": p}))
    # p.adjust(p, "BH"), p.adjust(p, "bonferroni") of the eight that were tested
    expected = [0.008, 0.032, 0.0672, 0.0672, np.nan, 0.0672, 0.08, 0.08457142857, 0.205]
    np.testing.assert_allclose(found["p_bh"], expected)
    np.testing.assert_allclose(found["p_bonferroni"], [0.008, 0.064, 0.312, 0.328, np.nan, 0.336, 0.48, 0.592, 1])
    assert found["hypotheses"].eq(8).all()


def test_several_scans_are_one_value_per_participant():
    people = [f"p{number}" for number in range(12)] * 20
    found = compare(both(np.tile(X, 20), np.tile(Y, 20), participants=people)).iloc[0]
    assert (found["n_pairs"], found["participants"], found["p"]) == (240, 12, pytest.approx(0.0341796875))


def test_only_common_cases_are_compared_and_pairs_need_both_values():
    presence = ["missed"] + ["both"] * 11
    rows = pd.concat(
        [
            evaluated([0, *X[1:]], system="a", presence=presence),
            evaluated(Y, system="b"),
            evaluated([0.1], system="b", cases=["other"], participants=["other"]),
        ]
    )
    found = compare(rows, ["dice", "hd95_mm"]).set_index(["structure", "metric"])
    dice, hd95 = found.loc[("liver", "dice")], found.loc[("liver", "hd95_mm")]
    assert (dice["n_pairs"], dice["n_one"], dice["n_other"]) == (12, 12, 12)
    assert (hd95["n_pairs"], hd95["n_one"], hd95["n_other"]) == (11, 11, 12)
    assert hd95["mean_other"] == pytest.approx(50 * (1 - Y[1:].mean()))


@pytest.mark.parametrize(
    "change",
    [
        {"reference_ml": 900.0},
        {"presence": "invented", "dice": 0.0, "nsd": 0.0, "hd95_mm": np.nan, "under_fraction": np.nan},
    ],
)
def test_cases_with_another_reference_are_left_out_and_counted(change):
    rows = both().reset_index(drop=True)
    last_two = rows.index[-2:]
    rows.loc[last_two, list(change)] = list(change.values())
    found = compare(rows).iloc[0]
    assert found["n_pairs"] == 10
    assert found["mean_difference"] == pytest.approx((X - Y)[:10].mean())
    assert found["note"].startswith("2 cases with different references left out")
    assert "different references" not in compare(both()).iloc[0]["note"]


def test_hypotheses_are_those_tested_and_the_mean_over_structures_is_none():
    rows = pd.concat(
        [both(), both(Y, X, structure="spleen"), both(X, X, structure="aorta"), both(X[:3], Y[:3], structure="vein")]
    )
    table = compare(rows).set_index("structure")
    assert table["hypotheses"].eq(2).all()
    assert table["p"].isna().to_dict() == {
        **{"liver": False, "spleen": False, "aorta": True, "vein": True, MEAN_OVER_STRUCTURES: True}
    }
    assert table.loc["liver", "p_bonferroni"] == pytest.approx(2 * 0.0341796875)
    assert "not 0" in table.loc["aorta", "note"]
    assert "under 6" in table.loc["vein", "note"]
    assert np.isnan(table.loc["vein", "difference_low"])
    mean = table.loc[MEAN_OVER_STRUCTURES]
    assert mean["mean_difference"] == pytest.approx((X[:3] - Y[:3]).mean() / 4)
    assert mean["difference_low"] < mean["mean_difference"] < mean["difference_high"]
    assert mean[["n_pairs", "n_one", "n_other", "participants"]].tolist() == [12, 12, 12, 12]  # cases, not structures


def test_the_mean_over_structures_of_other_participants_counts_each_group():
    two = [evaluated(np.resize(X, 40), system="a", structure=name) for name in ("liver", "spleen")]
    others = [f"q{number:02}" for number in range(12)]
    two += [evaluated(Y, system="b", structure=name, participants=others, cases=others) for name in ("liver", "spleen")]
    mean = compare(pd.concat(two)).set_index("structure").loc[MEAN_OVER_STRUCTURES]
    counts = ["n_pairs", "n_one", "n_other", "participants", "participants_one", "participants_other"]
    assert mean[counts].tolist() == [0, 40, 12, 52, 40, 12]


def test_a_metric_without_values_is_no_hypothesis():
    table = compare(both().assign(hd95_mm=None), ["dice", "hd95_mm"])
    empty = table[table["metric"].eq("hd95_mm")]
    assert empty[["mean_difference", "p", "difference_low"]].isna().all(axis=None)
    assert empty["n_pairs"].eq(0).all()
    assert table["hypotheses"].eq(1).all()


@pytest.mark.filterwarnings("error")
def test_structures_without_a_common_case_or_value_have_no_difference():
    apart = pd.concat(
        [evaluated(X[:6], system="a", structure="aorta"), evaluated(Y, system="b", structure="aorta")[6:]]
    )
    table = compare(pd.concat([both(), apart])).set_index("structure")
    assert table.loc["aorta", ["n_pairs", "n_one", "n_other"]].tolist() == [0, 6, 6]
    assert np.isnan(table.loc["aorta", "mean_difference"])
    assert table.loc[MEAN_OVER_STRUCTURES, "mean_difference"] == pytest.approx(np.mean(X - Y))
    ids = [f"q{i}" for i in range(12)]
    missing = evaluated(np.zeros(12), system="b", presence="missed", cases=ids, participants=ids)
    table = compare(pd.concat([evaluated(X, system="a"), missing]), ["dice", "hd95_mm"]).set_index(
        ["structure", "metric"]
    )
    assert table.loc[("liver", "dice"), "mean_difference"] == pytest.approx(np.mean(X))
    assert np.isnan(table.loc[("liver", "hd95_mm"), "p"])
    assert "no test" in table.loc[("liver", "hd95_mm"), "note"]


def test_p_values_of_equal_systems_are_uniform():
    rng = np.random.default_rng(0)
    p = np.array([signed_rank(rng.normal(size=60))["p"] for _ in range(400)])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        (both(), ("a", "a"), "two different systems"),
        (both(), ("a", "c"), "no system c"),
        (both().drop(columns="system"), ("a", "b"), "no system a, b"),
        (pd.concat([evaluated(X, system="a"), evaluated(Y, system="b", structure="c")]), ("a", "b"), "no structure in"),
        (
            pd.concat([evaluated(X, system="a"), evaluated(Y, system="b", cases=[f"d{i}" for i in range(12)])]),
            ("a", "b"),
            "neither paired nor independent",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(rows, names, message):
    with pytest.raises(StatisticsError, match=message):
        compare_systems(rows, *names, draws=200)
