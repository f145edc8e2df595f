"""Summaries: values equal those of R and of numpy, gaps and few participants are said, wrong rows are refused."""

import numpy as np
import pandas as pd
import pytest
from evaluated_cases import evaluated

from dixonflow.evaluation.statistics import pseudomedian as module
from dixonflow.evaluation.statistics.case_rows import MEAN_OVER_STRUCTURES, METRICS, StatisticsError
from dixonflow.evaluation.statistics.coverage import MEASURED
from dixonflow.evaluation.statistics.pseudomedian import pseudomedian
from dixonflow.evaluation.statistics.summary import summarise

X = [0.912, 0.871, 0.934, 0.802, 0.889, 0.951, 0.845, 0.927, 0.903, 0.768, 0.919, 0.896]
INTERVALS = [f"{name}_{end}" for name in ("mean", "median", "pseudomedian") for end in ("low", "high")]


def row(table, structure="liver", metric="dice", system="ours"):
    found = table[table["structure"].eq(structure) & table["metric"].eq(metric) & table["system"].eq(system)]
    assert len(found) == 1
    return found.iloc[0]


def test_pseudomedian_is_that_of_r():
    # R 4.2.2: wilcox.test(x, conf.int = TRUE)
    found = pseudomedian(np.array(X))
    assert (found.value, found.low, found.high, found.method) == pytest.approx((0.89375, 0.8455, 0.92, "exact"))
    # wilcox.test(x, conf.int = TRUE, conf.level = 0.9)
    found = pseudomedian(np.array(X), 0.9)
    assert (found.low, found.high) == pytest.approx((0.8525, 0.9155))
    # wilcox.test(x[1:6], conf.int = TRUE)
    found = pseudomedian(np.array(X[:6]))
    assert (found.value, found.low, found.high) == pytest.approx((0.9005, 0.802, 0.951))


def test_pseudomedian_of_many_is_that_of_r():
    # i <- 0:79; wilcox.test(0.9 - 0.3 * ((i * 37) %% 80 / 80)^3, conf.int = TRUE), whose ends lie between pairs
    found = pseudomedian(0.9 - 0.3 * ((np.arange(80) * 37) % 80 / 80) ** 3)
    assert (found.value, found.low, found.high) == pytest.approx((0.8381287, 0.8126705, 0.8604809), abs=4e-4)
    assert found.method == "normal approximation"


def test_pseudomedian_without_all_pairs_in_memory_is_the_same(monkeypatch):
    values = np.concatenate([np.random.default_rng(0).beta(18, 2, 101), np.zeros(5), np.full(5, 0.9)])
    direct = pseudomedian(values)
    monkeypatch.setattr(module, "_DIRECT", 0)
    other = pseudomedian(values)
    assert (other.value, other.low, other.high) == pytest.approx((direct.value, direct.low, direct.high), abs=1e-12)


def test_pseudomedian_of_ties_zeros_and_few():
    assert pseudomedian(np.full(30, 0.9)).low == pytest.approx(0.9)
    with_zeros = pseudomedian(np.array([0.0] * 6 + X))
    assert with_zeros.value < 0.5 * (pseudomedian(np.array(X)).value + 0.6)  # zeros count
    assert with_zeros.method == "normal approximation"
    assert np.isnan(pseudomedian(np.array(X[:5])).low)
    assert pseudomedian(np.array(X[:5])).method == ""
    assert np.isnan(pseudomedian(np.array([])).value)


def test_values_are_those_of_numpy():
    found = row(summarise(evaluated(X), draws=500))
    expected = {"mean": np.mean(X), "sd": np.std(X, ddof=1), "median": np.median(X), "pseudomedian": 0.89375}
    expected |= {"q1": np.quantile(X, 0.25), "q3": np.quantile(X, 0.75), "n": 12, "participants": 12}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    standard_error = np.std(X) / np.sqrt(12)
    assert found["mean_high"] - found["mean_low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert found["mean_low"] < found["mean"] < found["mean_high"]
    assert found["median_low"] < found["median"] < found["median_high"]


def test_equal_rows_in_any_order_give_equal_summaries():
    rows = pd.concat([evaluated(X), evaluated(X[::-1], structure="spleen")])
    shuffled = pd.concat([part.sample(frac=1, random_state=0) for _, part in rows.groupby("structure")])
    one, two = summarise(rows, draws=200), summarise(shuffled, draws=200)
    pd.testing.assert_frame_equal(one, two)
    assert not one["mean_low"].equals(summarise(rows, draws=200, seed=1)["mean_low"])


def test_rows_of_any_column_types_are_read_alike():
    rows = pd.concat([evaluated(X), evaluated(X[::-1], structure="spleen")], ignore_index=True)
    words = ["system", "case", "participant_id", "structure", "presence"]
    expected = summarise(rows, draws=200)
    others = [
        rows.convert_dtypes(dtype_backend="pyarrow"),
        rows.convert_dtypes(),
        rows.astype(dict.fromkeys(words, object)),
    ]
    others.append(rows.astype(dict.fromkeys(words, "category")).astype({"dice": "float32"}).assign(dice=rows["dice"]))
    for other in others:
        pd.testing.assert_frame_equal(summarise(other, draws=200), expected, check_dtype=False)


def test_missed_and_synthetic_structures_are_zeros_and_counted_next_to_hd95():
    dice = [*X, 0, 0, 0, np.nan]
    presence = ["both"] * 12 + ["missed", "missed", "invented", "neither"]
    table = summarise(evaluated(dice, presence=presence), draws=200)
    for metric, n in (("dice", 15), ("hd95_mm", 12), ("under_fraction", 14)):
        found = row(table, metric=metric)
        assert (found["n"], found["n_missed"], found["n_invented"], found["n_neither"]) == (n, 2, 1, 1)
    assert row(table)["mean"] == pytest.approx(sum(X) / 15)
    assert row(table, metric="hd95_mm")["mean"] == pytest.approx(50 * (1 - np.mean(X)))


def test_many_scans_of_one_participant_count_as_one():
    people = [f"p{number}" for number in range(12)] + ["p0"] * 300
    dice = [*X, *np.full(300, X[0])]
    found = row(summarise(evaluated(dice, participants=people), draws=500))
    assert (found["n"], found["participants"]) == (312, 12)
    assert found["pseudomedian"] == pytest.approx(0.89375)
    assert found["mean_low"] < 0.88  # draws without the participant of 300 scans are as wide as those of 11 people


def test_mean_over_structures_weighs_structures_and_leaves_composites_out():
    rows = pd.concat(
        [
            evaluated(np.array(X) - 0.2),
            evaluated(X[:6], structure="spleen"),
            evaluated(np.array(X) / 9, structure="lungs", composite=True),
        ]
    )
    table = summarise(rows, draws=500)
    found = row(table, MEAN_OVER_STRUCTURES)
    assert found["mean"] == pytest.approx((np.mean(X) - 0.2 + np.mean(X[:6])) / 2)
    assert found["mean_low"] < found["mean"] < found["mean_high"]
    assert (found["structures"], found["n"], found["participants"]) == (2, 12, 12)
    assert (table["structure"] == MEAN_OVER_STRUCTURES).sum() == len(METRICS)


def test_a_system_of_composites_alone_has_an_empty_mean_over_structures():
    table = summarise(evaluated(X, structure="lungs", composite=True), draws=200)
    mean = table[table["structure"].eq(MEAN_OVER_STRUCTURES)]
    assert mean["metric"].tolist() == list(METRICS)
    assert mean["structures"].eq(0).all()
    assert mean[["mean", "mean_low"]].isna().all(axis=None)


def test_few_participants_have_no_interval_and_a_note():
    for n in (1, 5):
        found = row(summarise(evaluated(X[:n]), draws=200))
        assert np.isnan(found[INTERVALS].astype(float)).all()
        assert "no interval" in found["note"]
        assert found["mean"] == pytest.approx(np.mean(X[:n]))
    note = row(summarise(evaluated(X), draws=200))["note"]
    assert f"{100 * MEASURED[20]:.1f} % at 20, {100 * MEASURED[50]:.1f} % at 50" in note


def test_a_metric_that_is_null_everywhere_has_no_value():
    rows = evaluated(X).assign(nsd=None, hd95_mm=None)
    table = summarise(rows, draws=200)
    for metric in ("nsd", "hd95_mm"):
        for structure in ("liver", MEAN_OVER_STRUCTURES):
            found = row(table, structure, metric)
            assert (found["n"], found["participants"]) == (0, 0)
            assert np.isnan(found[["mean", "sd", "median", *INTERVALS]].astype(float)).all()


def test_equal_values_have_an_interval_of_no_width():
    found = row(summarise(evaluated(np.full(30, 0.9)), draws=200))
    assert found[["mean", *INTERVALS]].tolist() == pytest.approx([0.9] * 7)
    assert found["sd"] == pytest.approx(0)


def changed(**columns):
    return lambda rows: rows.assign(**columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.iloc[:0], "no cases"),
        (lambda rows: rows.drop(columns="presence"), "lack columns: presence"),
        (lambda rows: pd.concat([rows, rows.iloc[:2]]), "2 rows repeat"),
        (changed(dice=np.inf), "infinite"),
        (changed(dice=1.2), "not within 0 to 1"),
        (changed(dice="good"), "does not hold numbers"),
        (changed(dice=True), "does not hold numbers"),
        (changed(hd95_mm=-1.0), "not within"),
        (changed(volume_error_ml=1e300), "not within"),
        (changed(participant_id=100123), "participant_id must be text"),
        (changed(case=None), "case must be text"),
        (changed(system=" "), "system must be text"),
        (changed(composite="no"), "composite must be true or false"),
        (changed(presence="there"), "presence must be one of"),
        (changed(presence="missed"), "presence and dice contradict"),
        (changed(presence="missed", dice=0.0, nsd=0.0), "presence and hd95_mm contradict"),
        (changed(presence="neither"), "presence and dice contradict"),
        (changed(dice=[None, *X[1:]]), "presence and dice contradict"),
        (changed(nsd=[None, *X[1:]]), "presence and nsd contradict"),
        (changed(structure=MEAN_OVER_STRUCTURES), "no structure can be called"),
        (lambda rows: pd.concat([rows, rows.assign(structure="spleen", participant_id="p")]), "more than one"),
        (lambda rows: pd.concat([rows, rows.assign(system="b", composite=True)]), "more than one composite"),
    ],
)
def test_wrong_rows_are_refused(change, message):
    with pytest.raises(StatisticsError, match=message) as caught:
        summarise(change(evaluated(X)), draws=200)
    assert "\n" not in str(caught.value)
    assert "p000" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["jaccard"]}, "metrics must be"),
        ({"metrics": []}, "metrics must be"),
        ({"draws": 3}, "100 draws"),
        ({"confidence": 95}, "confidence"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(StatisticsError, match=message):
        summarise(evaluated(X), **settings)
