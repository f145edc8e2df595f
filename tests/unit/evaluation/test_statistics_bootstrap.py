"""The bootstrap: equal to drawing by hand, clustered, and how often its intervals hold the truth."""

import numpy as np
import pytest
from simulated_dice import coverage, simulated_dice

from dixonflow.evaluation.statistics import bootstrap
from dixonflow.evaluation.statistics.bootstrap import bootstrap_means, bootstrap_medians, percentile_interval
from dixonflow.evaluation.statistics.coverage import MEASURED, interval_note

GROUPS = ["a", "a", "b", "c", "c", "c", "d"]


def drawn_by_hand(values, draws, seed, statistic):
    """Repeat the rows of each drawn group and take a statistic of each column."""
    names = list(dict.fromkeys(GROUPS))
    weights = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    of_case = weights[:, [names.index(group) for group in GROUPS]]
    return [[statistic(np.repeat(values[:, c], w)) for c in range(values.shape[1])] for w in of_case]


def values():
    made = np.random.default_rng(0).normal(size=(7, 3))
    made[2, 1] = np.nan
    return made


@pytest.mark.parametrize(
    ("ours", "statistic"), [(bootstrap_means, np.nanmean), (bootstrap_medians, np.nanmedian)], ids=["mean", "median"]
)
def test_draws_equal_repeating_the_cases_of_participants(ours, statistic):
    expected = drawn_by_hand(values(), 50, 3, statistic)
    np.testing.assert_allclose(ours(values(), GROUPS, draws=50, seed=3), expected)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN")
def test_a_draw_without_a_value_has_none():
    few = np.full((7, 1), np.nan)
    few[6] = 0.5
    for ours, statistic in ((bootstrap_means, np.nanmean), (bootstrap_medians, np.nanmedian)):
        found = ours(few, GROUPS, draws=50, seed=3)
        np.testing.assert_allclose(found, drawn_by_hand(few, 50, 3, statistic))
        assert 0 < np.isnan(found).sum() < 50


def test_parts_of_the_draws_do_not_change_them(monkeypatch):
    whole = [ours(values(), GROUPS, draws=50, seed=3) for ours in (bootstrap_means, bootstrap_medians)]
    monkeypatch.setattr(bootstrap, "_CHUNK", 4 * 7)  # 7 draws of 4 groups
    parts = [ours(values(), GROUPS, draws=50, seed=3) for ours in (bootstrap_means, bootstrap_medians)]
    np.testing.assert_allclose(whole, parts, rtol=1e-14, atol=1e-15)


def test_a_column_that_no_draw_has_a_value_of_has_no_interval():
    low, high = percentile_interval(np.array([[np.nan, 1.0], [np.nan, 3.0]]), 0.5)
    np.testing.assert_array_equal([low, high], [[np.nan, 1.5], [np.nan, 2.5]])


def test_the_simulated_mean_is_the_true_one_and_values_are_skewed():
    dice, people = simulated_dice(500, 40, np.random.default_rng(1))
    known = dice[~np.isnan(dice)]
    assert known.mean() == pytest.approx(0.9, abs=0.002)
    assert np.mean((known - known.mean()) ** 3) / known.std() ** 3 < -0.7
    assert np.bincount(people).tolist() == [3] * 500


@pytest.mark.parametrize("participants", [200, 500])
def test_intervals_of_many_participants_cover_95_percent(participants):
    found = coverage(participants, simulations=4000, draws=2000, seed=1)
    print(f"{participants} participants: 95 % intervals cover {100 * found:.1f} %")
    assert found == pytest.approx(0.95, abs=0.01)
    assert found == pytest.approx(MEASURED[participants], abs=0.008)
    assert interval_note(participants) == ""


@pytest.mark.parametrize("participants", [20, 50, 100])
def test_the_shortfall_of_few_participants_is_the_published_one(participants):
    found = coverage(participants, simulations=2500, draws=2000, seed=1)
    print(f"{participants} participants: 95 % intervals cover {100 * found:.1f} %, {95 - 100 * found:.1f} % short")
    assert found == pytest.approx(MEASURED[participants], abs=0.01)
    assert f"{100 * MEASURED[participants]:.1f} % at {participants}" in interval_note(min(participants, 99))


def test_intervals_that_ignore_participants_are_too_narrow():
    dice, people = simulated_dice(60, 300, np.random.default_rng(2))
    widths = []
    for groups in (people.tolist(), list(range(len(people)))):
        low, high = percentile_interval(bootstrap_means(dice, groups, draws=500, seed=0), 0.95)
        widths.append(np.mean(high - low))
    assert widths[0] > 1.2 * widths[1]
