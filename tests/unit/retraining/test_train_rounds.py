"""Rounds against each other, the stop rule, and the settings of trainings."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from tiny_model import tiny_demo

from dixonflow.retraining.nnunet.settings import (
    FILE,
    Mixture,
    Plan,
    TrainingSettings,
    check_settings,
    keep_settings,
    read_kept,
    read_settings,
    write_settings,
)
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.rounds import (
    RoundResult,
    StopRule,
    read_rounds,
    should_stop,
    summarise_round,
    write_rounds,
)


def rows_of(dice: dict[str, float], gain: float = 0.0) -> pd.DataFrame:
    """Two cases of each participant, two structures."""
    rows = [
        {"case": f"case_{person}{visit}", "participant": person, "structure": structure, "dice": value + gain + change}
        for person, value in dice.items()
        for visit in "ab"
        for structure, change in (("liver", 0.0), ("spleen", -0.1))
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_demo(tmp_path_factory.mktemp("model"))


def test_a_gain_is_paired_and_its_interval_draws_participants(model):
    first = rows_of({"p": 0.5, "q": 0.9, "r": 0.7})
    result = summarise_round(2, model, rows_of({"p": 0.5, "q": 0.9, "r": 0.7}, 0.02), 8, ("before", first))
    assert result.mean_dice == pytest.approx(0.7 + 0.02 - 0.05)
    assert (result.test_cases, result.test_participants, result.structures) == (6, 3, 2)
    # participants differ by 0.4, the gain of each is the same: paired, it is certain
    assert (result.gain, result.gain_low, result.gain_high) == pytest.approx((0.02, 0.02, 0.02))
    assert result.dice_high - result.dice_low > 0.2
    nowhere = rows_of({"p": 0.5, "q": 0.9})[::2].assign(structure="pancreas", dice=np.nan)
    some = pd.concat([rows_of({"p": 0.5, "q": 0.9}), nowhere])
    assert summarise_round(2, model, some, 8, None).structures == 2  # nobody can say how well the pancreas is found
    uneven = rows_of({"p": 0.5, "q": 0.9, "r": 0.7})
    uneven.loc[uneven["participant"] == "p", "dice"] += 0.09
    result = summarise_round(2, model, uneven, 8, ("before", first))
    assert result.gain == pytest.approx(0.03)
    # with 3 participants, both cases of one always together: some draw never has p, some has it only
    assert (result.gain_low, result.gain_high) == pytest.approx((0.0, 0.09), abs=1e-6)


def test_only_what_both_have_is_compared(model):
    first = rows_of({"p": 0.5, "q": 0.6})
    second = rows_of({"p": 0.7, "q": 0.8})
    second = second[second["structure"] == "liver"]
    assert summarise_round(1, model, second, 3, ("before", first)).gain == pytest.approx(0.2)
    with pytest.raises(RetrainingError, match="share no test case"):
        summarise_round(1, model, second, 3, ("before", first[first["structure"] == "spleen"]))


def test_a_structure_that_is_not_there_and_is_found_lowers_the_gain(model):
    first, second = rows_of({"p": 0.5, "q": 0.5}), rows_of({"p": 0.5, "q": 0.5})
    absent = (first["structure"] == "spleen") & (first["case"] == "case_pa")
    first.loc[absent, "dice"] = np.nan  # neither truth nor model has it
    second.loc[absent, "dice"] = 0.0
    gained = summarise_round(2, model, second, 3, ("before", first))
    assert gained.gain == pytest.approx(-1 / 8)
    lost = summarise_round(2, model, first, 3, ("before", second))
    assert lost.gain == pytest.approx(1 / 8)
    first["dice"] = np.nan
    with pytest.raises(RetrainingError, match="no test case has a structure"):
        summarise_round(2, model, first, 3, None)


def test_one_test_participant_says_nothing_for_certain(model, tmp_path):
    rows = rows_of({"p": 0.5})
    found = summarise_round(2, model, rows, 3, ("before", rows))
    assert (found.gain, found.gain_low, found.dice_low) == (0, None, None)
    assert not should_stop([found, replace(found, round=3)], StopRule(gain=1.0, rounds=2))
    assert "too few" in found.advice
    write_rounds(tmp_path / "rounds.csv", [found])
    assert read_rounds(tmp_path / "rounds.csv") == [replace(found, mean_dice=pytest.approx(found.mean_dice))]


def result(number: int, gain: float | None, low: float | None = None, high: float | None = None) -> RoundResult:
    return RoundResult(number, f"m{number}", "0" * 64, 3, 4, 4, 2, 0.7, 0.6, 0.8, "", gain, low, high)


RULE = StopRule(gain=0.01, rounds=2)
SMALL, LARGE = (0.002, -0.01, 0.01), (0.05, 0.02, 0.08)


@pytest.mark.parametrize(
    ("gains", "stops"),
    [
        ([SMALL, SMALL], True),
        ([LARGE, SMALL], False),
        ([SMALL, LARGE], False),
        ([LARGE, SMALL, SMALL], True),
        ([SMALL], False),
        ([SMALL, (0.002, 0.001, 0.004)], False),  # small and certain: more cases do help
        ([SMALL, (0.02, -0.01, 0.05)], False),  # large and uncertain
        ([SMALL, (-0.05, -0.08, -0.02)], False),  # a round that made it worse has another cause
    ],
)
def test_the_stop_rule(gains, stops):
    rounds = [result(0, None), *(result(number, *each) for number, each in enumerate(gains, 1))]
    assert should_stop(rounds, RULE) is stops
    assert should_stop(rounds[::-1], RULE) is stops


def test_the_table_of_rounds_survives_writing_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "rounds.csv"
    assert read_rounds(path) == []
    rounds = [result(0, None), result(1, *LARGE)]
    write_rounds(path, rounds[::-1])
    assert read_rounds(path) == rounds
    path.write_text(path.read_text().replace("0.700000", "high"))
    with pytest.raises(RetrainingError, match="damaged"):
        read_rounds(path)


def test_settings_survive_writing_and_wrong_ones_name_the_key(tmp_path):
    assert read_settings(tmp_path) == TrainingSettings()
    settings = TrainingSettings(epochs=2000, plan=Plan(planner="resenc_xl"), mixture=Mixture(elastic_copies=3))
    write_settings(tmp_path, settings)
    assert read_settings(tmp_path) == settings
    for text, key in (
        ("epochs: 9000", "epochs"),
        ("mixture: {elastic_copies: 501}", "mixture.elastic_copies"),
        ("mixture: {elastic_copies: 1}", "mixture"),
        ("plan: {planner: huge}", "plan.planner"),
        ("augmentation_processes: 4", "file"),
        ("epoch: 3", "epoch"),
        ("- 1", "file"),
    ):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(RetrainingError, match=f"{FILE}: {key}:"):
            read_settings(tmp_path)
    with pytest.raises(ValidationError):
        Plan(planner="default", features=(4, 8, 8), patch_voxels=(18, 16, 16))


def test_a_training_keeps_its_settings_once_it_has_begun(tmp_path, caplog):
    kept = tmp_path / "training.json"
    with pytest.raises(RetrainingError, match="retrain plan"):
        read_kept(kept)
    check_settings(kept, TrainingSettings(epochs=1000))
    assert not caplog.records
    keep_settings(kept, TrainingSettings(epochs=1000))
    check_settings(kept, TrainingSettings(epochs=10))  # nothing is trained yet
    keep_settings(kept, TrainingSettings(epochs=10))
    assert "enough for a trial only" in caplog.text
    (tmp_path / "fold_0").mkdir()
    (tmp_path / "fold_0" / "checkpoint_latest.pth").touch()
    check_settings(kept, TrainingSettings(epochs=10, job_minutes=5))  # where and how fast may change
    with pytest.raises(RetrainingError, match="was trained with other settings"):
        check_settings(kept, TrainingSettings(epochs=20))
    assert read_kept(kept).epochs == 10
    assert np.isclose(read_kept(kept).mixture.elastic_mm, 6.0)
