"""Planted defects, from raw files to graded values: ten kinds here, all of them by `make defects`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dixonflow.config import demo_config, parse_config
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.defects.catalogue import DEFECTS
from dixonflow.phantom.defects.defect import Expected, Layer
from dixonflow.trials.defect_cohort import Cohort
from dixonflow.trials.defect_outcomes import (
    COLUMNS,
    NO_DEFECT,
    Baseline,
    clean_outcome,
    outcome,
    spread_between_scans,
    values_of,
)
from dixonflow.trials.defect_page import defect_page
from dixonflow.trials.defect_runs import DefectRuns, clean_scan, clean_scans
from dixonflow.trials.review_list import ALL, SCANS

DOCS = Path(__file__).parents[3] / "docs"
TEN = {
    "zip cut off": "unreadable_file",
    "station missing": "missing_station",
    "pixels missing": "truncated_pixels",
    "slices empty": "missing_slice",
    "slice repeated": "missing_slice",
    "phases named for each other": "contrast_mismatch",
    "water and fat of stations swapped": "",
    "water and fat of the scan swapped": "",
    "kidney lost": "kidney_volume_ratio",
    "kidneys swapped": "kidney_sides",
}
"""Kinds, and what has to be said of their gross form: a reason, a check, or nothing where they are corrected."""


@pytest.fixture(scope="module")
def review() -> pd.DataFrame:
    return pd.read_csv(DOCS / "review_list.csv")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(DOCS / "defects.csv", keep_default_na=False, na_values={"worst_change": [""]})


def test_the_table_has_every_kind_at_every_strength_and_the_page_is_made_of_it(table, review) -> None:
    assert list(table.columns) == list(COLUMNS)
    planted = table[table["defect"].ne(NO_DEFECT)]
    assert list(zip(planted["defect"], planted["strength"], strict=True)) == [
        (defect.name, strength) for defect in DEFECTS for strength in defect.strengths
    ]
    assert (DOCS / "defects.md").read_text(encoding="utf-8") == defect_page(table, review)


def test_the_catalogue_covers_what_it_should() -> None:
    names = [defect.name for defect in DEFECTS]
    assert len(set(names)) == len(names) >= 40
    assert {defect.layer for defect in DEFECTS} == set(Layer)
    assert {defect.expected for defect in DEFECTS} == set(Expected)


def test_at_most_two_in_a_hundred_scans_without_a_defect_are_listed(table, review) -> None:
    clean = table[table["defect"].eq(NO_DEFECT)]
    assert len(clean) == len(clean_scans()) >= 72
    assert clean["outcome"].eq("listed").mean() <= 0.02, clean.loc[clean["outcome"].ne("pass"), ["strength", "said"]]
    (at_scale,) = review[review["checks"].eq(ALL)].to_dict("records")
    assert at_scale["scans"] == SCANS
    assert at_scale["listed"] <= 0.02 * SCANS


def test_scans_with_a_defect_that_moves_a_value_are_listed(table) -> None:
    moved = table[table["defect"].ne(NO_DEFECT) & table["moved"].gt(0)]
    assert moved["listed"].eq("yes").mean() >= 0.95


def test_no_value_moves_without_a_grade(table) -> None:
    planted = table[table["defect"].ne(NO_DEFECT)]
    assert not planted["outcome"].eq("slipped").any(), planted[planted["outcome"].eq("slipped")]
    excluded = planted[planted["expected"].eq("excluded")].groupby("defect", sort=False).tail(1)
    assert excluded["outcome"].eq("excluded").all(), excluded[excluded["outcome"].ne("excluded")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> DefectRuns:
    config = parse_config(demo_config().model_dump() | {"segment": {"threads": 1, "device": "cpu"}})
    model = load_model(MODELS / "demo.yaml", config.segment.weights)
    return DefectRuns(tmp_path_factory.mktemp("defects"), config, model)


@pytest.mark.parametrize("name", TEN)
def test_a_planted_defect_is_corrected_graded_or_excluded(runs: DefectRuns, table: pd.DataFrame, name: str) -> None:
    (defect,) = (each for each in DEFECTS if each.name == name)
    item, strength = clean_scan(0), defect.strengths[-1]
    clean = runs.clean(item)
    # one scan is no cohort: nothing is unusual, and what moves by more than the limits moves
    cohort = Cohort(runs.model, {item.scan: clean})
    _, objections = cohort.graded(item.scan, clean)
    baseline = Baseline(values_of(clean.measurements), pd.Series(dtype=float), objections)
    found = runs.planted(defect, strength, item)
    graded, checks = (None, []) if found.reason else cohort.graded(item.scan, found)
    row = outcome(defect, strength, found.reason, graded, checks, baseline)
    known = table[table["defect"].eq(name)].iloc[-1]
    assert row["outcome"] == known["outcome"] == defect.expected.value, row
    assert TEN[name] in row["said"].split(", ")
    assert row["ungraded"] == 0


def test_changes_are_counted_by_what_they_are_and_by_the_spread_between_scans() -> None:
    rows = pd.DataFrame(
        [("liver", "volume", 100.0), ("liver", "fat_fraction", 0.1), ("spleen", "volume", 10.0)],
        columns=["structure", "measure", "value"],
    )
    spread = spread_between_scans([[rows, rows.assign(value=rows["value"] * [1.02, 1, 1.4])]])
    assert spread["liver", "volume"] == pytest.approx(np.std([1 / 1.01, 1.02 / 1.01], ddof=1))
    before = Baseline(values_of(rows), spread, ["noise_level"])
    graded = rows.assign(grade="pass", value_before_grade=None, value=[110.0, 0.105, 20.0])
    row = outcome(DEFECTS[0], 1.0, "", graded, ["noise_level"], before)
    # the spleen doubled, and varies by a quarter between scans: three times that is not reached... but the liver is
    assert (row["moved"], row["ungraded"], row["worst"], row["worst_change"]) == (2, 2, "liver volume", 10.0)
    row = outcome(DEFECTS[0], 1.0, "", graded.assign(grade=["review", "pass", "fail"]), ["noise_level"], before)
    assert (row["outcome"], row["moved"], row["ungraded"], row["said"]) == ("graded", 2, 0, "")
    same = graded.assign(value=rows["value"])
    assert outcome(DEFECTS[0], 1.0, "", same, ["noise_level"], before)["outcome"] == "corrected"
    assert outcome(DEFECTS[0], 1.0, "", same, ["overlap_residual"], before)["outcome"] == "graded"
    nothing = Baseline(before.values.where(before.values.ne(10.0)), spread, [])
    row = outcome(DEFECTS[0], 1.0, "", same, [], nothing)
    assert (row["outcome"], row["worst"], row["worst_change"]) == ("slipped", "spleen volume", None)
    nobody = pd.DataFrame({"checks": [ALL], "listed": [0], "scans": [10]})
    assert "| spleen volume from nothing |" in defect_page(pd.DataFrame([clean_outcome(1, []), row]), nobody)
    assert clean_outcome(3, ["cut_by_field_of_view"])["outcome"] == "pass"
    assert clean_outcome(3, ["cut_by_field_of_view", "labels_fit"])["said"] == "labels_fit"
    assert outcome(DEFECTS[0], 1.0, "missing_slice", None, [], before)["said"] == "missing_slice"
