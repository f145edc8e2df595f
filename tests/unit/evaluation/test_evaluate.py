import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.evaluation.accuracy import evaluate, summarise
from dixonflow.evaluation.regions import Region
from dixonflow.evaluation.targets import Targets, evaluation_record, violations

SPACING = (2.0, 2.0, 5.0)
REGIONS = [Region("a", (1,)), Region("b", (2,)), Region("never", (9,)), Region("both", (1, 2), composite=True)]


def maps():
    true = np.zeros((10, 10, 10), np.uint8)
    true[:4] = 1
    true[4:8] = 2
    predicted = true.copy()
    predicted[3] = 2  # a loses 100 of 400 voxels to b
    return predicted, true


def test_dice_and_volumes():
    rows = evaluate(*maps(), SPACING, REGIONS).set_index("structure")
    assert rows.loc["a", "dice"] == pytest.approx(2 * 300 / 700)
    assert rows.loc["b", "dice"] == pytest.approx(2 * 400 / 900)
    assert rows.loc["both", "dice"] == 1
    assert rows.loc["a", "true_ml"] == pytest.approx(400 * 20 / 1000)
    assert rows.loc["a", "volume_error_percent"] == pytest.approx(-25)
    assert rows.loc["b", "volume_error_percent"] == pytest.approx(25)
    assert np.isnan(rows.loc["never", "dice"])
    assert np.isnan(rows.loc["never", "volume_error_percent"])


def test_better_known_volume_is_the_truth():
    rows = evaluate(*maps(), SPACING, REGIONS, {"a": 10.0}).set_index("structure")
    assert rows.loc["a", "true_ml"] == 10
    assert rows.loc["a", "grid_ml"] == pytest.approx(8)
    assert rows.loc["a", "volume_error_percent"] == pytest.approx(-40)
    assert rows.loc["b", "true_ml"] == pytest.approx(8)


@given(st.integers(0, 2**32 - 1))
def test_dice_is_symmetric_and_one_for_equal_maps(seed):
    rng = np.random.default_rng(seed)
    one, two = rng.integers(0, 3, (2, 4, 4, 4)).astype(np.uint8)
    forward, back = (evaluate(*pair, SPACING, REGIONS)["dice"] for pair in ((one, two), (two, one)))
    pd.testing.assert_series_equal(forward, back)
    assert (evaluate(one, one, SPACING, REGIONS)["dice"].dropna() == 1).all()
    expected = 2 * ((one == 1) & (two == 1)).sum() / ((one == 1).sum() + (two == 1).sum())
    assert forward[0] == pytest.approx(expected)


def test_missed_and_invented_structures_score_zero():
    predicted, true = maps()
    rows = evaluate(np.where(predicted == 1, 0, predicted), np.where(true == 2, 0, true), SPACING, REGIONS)
    assert rows["dice"].tolist()[:2] == [0, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        (np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), SPACING),
        (np.zeros((2, 2, 2), float), np.zeros((2, 2, 2), int), SPACING),
        (np.zeros((2, 2, 2), int), np.full((2, 2, 2), -1), SPACING),
        (np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int), (1.0, 0.0, 1.0)),
    ],
)
def test_wrong_maps_are_refused(arguments):
    with pytest.raises(ValueError, match=r"grid|integers|negative|positive"):
        evaluate(*arguments, REGIONS)


def cohort(dice, error, volume=100.0, structure="liver", *, composite=False, grid=None):
    """One row per scan; the grid says the true volume unless told otherwise."""
    return pd.DataFrame(
        {
            "scan": [f"s{i}" for i in range(len(dice))],
            "structure": structure,
            "composite": composite,
            "dice": dice,
            "true_ml": volume,
            "grid_ml": volume if grid is None else grid,
            "predicted_ml": 0.0,
            "volume_error_percent": error,
        }
    )


def complete(*parts):
    """A cohort with compartments that meet their targets, and `parts`."""
    fine = [cohort([0.95] * 4, [1.0] * 4, structure=name) for name in ("subcutaneous_fat", "inner_fat")]
    fine.append(cohort([0.95] * 4, [1.0] * 4, structure="total_muscle", composite=True))
    return pd.concat([*fine, *parts])


def test_summary_counts_means_and_medians():
    summary = summarise(cohort([0.8, 0.9, np.nan, 1.0], [-10.0, 4.0, np.nan, 1.0]))
    row = summary.structures.iloc[0]
    assert (summary.scans, row["n"]) == (4, 3)
    assert row["mean_dice"] == pytest.approx(0.9)
    assert row["median_error_percent"] == 1
    assert row["median_absolute_error_percent"] == 4
    assert row["smallest_dice"] == 0.8


def test_bootstrap_interval_has_the_textbook_width_and_is_seeded():
    values = np.random.default_rng(1).normal(0.8, 0.05, 200)
    rows = cohort(values, values)
    one, two, other = (summarise(rows, seed=seed) for seed in (3, 3, 4))
    assert one.mean_dice == two.mean_dice
    assert one.mean_dice != other.mean_dice
    standard_error = values.std(ddof=1) / np.sqrt(200)
    assert one.mean_dice.high - one.mean_dice.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert one.mean_dice.low < values.mean() < one.mean_dice.high


def test_median_draws_equal_repeating_the_scans():
    from dixonflow.evaluation.accuracy import _weighted_medians

    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 3))
    values[2, 1] = np.nan
    weights = rng.multinomial(7, np.full(7, 1 / 7), size=50)
    expected = [[np.nanmedian(np.repeat(values[:, c], w)) for c in range(3)] for w in weights]
    np.testing.assert_allclose(_weighted_medians(values, weights), expected)


def test_scans_of_a_participant_are_drawn_together():
    values = np.repeat(np.random.default_rng(1).normal(0.8, 0.05, 30), 10)
    rows = cohort(values, values)
    rows["participant"] = np.repeat([f"p{i}" for i in range(30)], 10)
    grouped, naive = summarise(rows).mean_dice, summarise(rows.drop(columns="participant")).mean_dice
    assert grouped.high - grouped.low > 2 * (naive.high - naive.low)


def test_composites_stay_out_of_the_mean():
    rows = pd.concat([cohort([0.8], [0.0]), cohort([0.2], [0.0], structure="lungs", composite=True)])
    assert summarise(rows).mean_dice.value == pytest.approx(0.8)


def missed(rows, fat=None):
    return {(v.structure, v.measure) for v in violations(summarise(rows, resamples=10), fat)}


FAT_REGIONS = Targets().fat_fraction_regions


def fat_errors(median, worst, regions=FAT_REGIONS):
    columns = {"median": median, "worst": worst, "to_true_mean": 0.0, "of_sums": 3.0}
    return pd.DataFrame([columns] * len(regions), index=list(regions), columns=list(columns))


def test_targets_that_are_met_give_no_violation():
    assert missed(complete(cohort([0.9] * 4, [2.0] * 4)), fat_errors(0.4, 1.4)) == set()
    rows = missed(complete(cohort([0.9] * 4, [2.0] * 4)), fat_errors(0.4, 1.6))
    assert rows == {(name, "worst fat fraction error, points") for name in Targets().fat_fraction_regions}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (cohort([0.69] * 4, [0.0] * 4, 20.0), ("liver", "mean Dice")),
        (cohort([0.49] * 4, [0.0] * 4, 5.0), ("liver", "mean Dice")),
        (cohort([0.9] * 4, [-6.0] * 4, 50.0), ("liver", "volume error %")),
        (cohort([0.9] * 4, [-11.0] * 4, 50.0, grid=48.0), ("liver", "volume error %")),
    ],
)
def test_each_missed_target_is_named(rows, expected):
    assert expected in missed(complete(rows))


def test_small_and_coarse_structures_have_wider_bounds():
    small = cohort([0.55] * 4, [30.0] * 4, 5.0, "small")
    coarse = cohort([0.9] * 4, [9.0] * 4, 50.0, "coarse", grid=48.0)
    wide = {name for name, _ in missed(complete(small, coarse))}
    assert wide <= {"all structures"}


def test_unknown_is_a_miss():
    assert ("inner_fat", "volume error %") in missed(cohort([0.9] * 4, [0.0] * 4))
    assert ("liver", "fat fraction error, points") in missed(complete(), fat_errors(0.1, 0.1, ["spleen"]))


def test_json_has_no_nan():
    summary = summarise(pd.concat([cohort([0.9], [1.0]), cohort([np.nan], [np.nan], 0.0, "absent")]))
    record = evaluation_record(
        summary, fat_errors(np.nan, np.nan, ["liver"]), violations(summary, fat_errors(0.1, 0.1, []))
    )
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text)["structures"][1]["mean_dice"] is None
    assert json.loads(text)["fat_fraction_error_points"]["liver"]["median"] is None
    assert {"structure": "liver", "measure": "fat fraction error, points", "value": None, "bound": 0.5} in record[
        "violations"
    ]


@pytest.mark.parametrize("rows", [cohort([], []), pd.concat([cohort([1.0], [0.0])] * 2)])
def test_nothing_or_twice_is_refused(rows):
    with pytest.raises(ValueError, match=r"nothing|twice"):
        summarise(rows)
