"""Thresholds of structures that follow from the values of a cohort."""

import statistics
from random import Random

import numpy as np
import pytest
from cohort_bound import bound
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.tables.cohort_threshold import cohort_thresholds_of


def thresholds(values: np.ndarray) -> list[float | None]:
    """Thresholds of structures (columns) of scans (rows); NaN is no value."""
    known = [np.flatnonzero(np.isfinite(column)) for column in values.T]
    found = cohort_thresholds_of(
        {place: values[rows, place] for place, rows in enumerate(known)}, dict(enumerate(known)), 0.01
    )
    return [found[place] for place in range(values.shape[1])]


@given(st.lists(st.floats(0, 1), max_size=39), st.randoms(use_true_random=False))
def test_threshold_of_one_structure(values: list[float], random: Random) -> None:
    (threshold,) = thresholds(np.array(values).reshape(-1, 1))
    assert (threshold is None) == (len(values) < 10)
    if threshold is None:
        return
    assert threshold == pytest.approx(bound(values), abs=1e-12)
    again = random.sample(values, len(values))
    assert thresholds(np.array(again).reshape(-1, 1)) == [threshold]
    assert threshold <= statistics.median(values) - 0.02


def test_skewed_values_have_a_wider_spread_and_many_failed_scans_are_still_named() -> None:
    rng = np.random.default_rng(0)
    even = 0.9 + rng.normal(0, 0.02, (400, 1))
    skewed = 0.9 - np.abs(rng.normal(0, 0.02, (400, 1))) * rng.choice([1, 3], (400, 1), p=[0.85, 0.15])
    (of_skewed,) = thresholds(skewed)
    assert of_skewed is not None
    assert (skewed < of_skewed).mean() <= 0.005
    many = np.where(np.arange(400)[:, None] % 5 == 0, 0.2, even)  # a fifth failed
    (of_many,) = thresholds(many)
    assert of_many is not None and of_many > 0.2


@pytest.mark.parametrize("seed", range(4))
def test_few_scans_are_named_however_many_structures_they_have(seed: int) -> None:
    """Two standard deviations of each of 46 structures would name two scans in three."""
    rng = np.random.default_rng(seed)
    quality, spread = rng.normal(0, 0.5, (2000, 1)), rng.uniform(0.01, 0.05, 46)
    values = 1 - spread * np.exp(rng.normal(0, 0.5, (2000, 46)) + quality)
    limits = np.array(thresholds(values))
    named = (values < limits).any(axis=1)
    assert named.mean() <= 0.02
    broken = values.copy()
    broken[7, 3] = 0.3
    assert (broken[7] < np.array(thresholds(broken)))[3]


def test_a_scan_that_is_bad_throughout_does_not_hide_behind_its_own_spread() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.92, 0.01, (12, 46))
    values[5, 10:13] = 0.4
    low = values < np.array(thresholds(values))
    assert low[5, 10:13].all()
    assert low.sum() == 3


def test_nobody_is_under_a_cohort_of_equals() -> None:
    values = np.full((50, 3), 0.97)
    assert not (values < np.array(thresholds(values))).any()
