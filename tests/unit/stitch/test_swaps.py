"""Water and fat that are named for each other, in stations, halves and whole scans: found, repaired, or refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from known_stations import ukb_stations

from dixonflow.errors import ScanExcluded
from dixonflow.evaluation.swaps import evaluate_scan, swap_rates
from dixonflow.stitch.matching import Pair
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.swap_evidence import SwapEvidence, swap_evidence
from dixonflow.stitch.swaps import CLEAR, Swap, find_swaps, half_sign, swapped_back, swaps_in_words
from dixonflow.vocabulary import Contrast, Reason

WHOLE = [(0,), (2,), (5,), (1, 2), (0, 3, 5), (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5)]


@pytest.fixture(scope="module")
def stations():
    return ukb_stations()


@pytest.fixture(scope="module")
def untouched(stations):
    return stitch(stations)


def swapped(stations, swaps):
    return [swapped_back(station, swaps) for station in stations]


@pytest.mark.parametrize("chosen", WHOLE, ids=str)
def test_whole_stations_are_swapped_back_as_if_nothing_had_been(stations, untouched, chosen) -> None:
    stitched = stitch(swapped(stations, [Swap(index, "whole", 0.0) for index in chosen]))
    for contrast, image in untouched.images.items():
        np.testing.assert_array_equal(stitched.images[contrast], image)
    assert [(swap.station, swap.part) for swap in stitched.report.swaps] == [(index, "whole") for index in chosen]
    assert stitched.report.swap_margin == pytest.approx(untouched.report.swap_margin, abs=1e-9)
    assert untouched.report.swaps == ()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("index", [0, 3, 5])
def test_a_half_is_swapped_back(stations, untouched, index, side) -> None:
    split = swap_evidence(stations[index].images, stations[index]).split_mm
    stitched = stitch(swapped(stations, [Swap(index, side, split)]))
    assert [(swap.station, swap.part) for swap in stitched.report.swaps] == [(index, side)]
    for contrast, image in untouched.images.items():
        differing = np.count_nonzero(np.abs(stitched.images[contrast].astype(int) - image) > 1)
        assert differing < 0.002 * image.size  # a plane of voxels may be counted to the other half


def test_what_is_not_to_be_repaired_is_excluded(stations) -> None:
    for chosen in ((2,), (0, 1, 2, 3, 4, 5)):
        bad = swapped(stations, [Swap(index, "whole", 0.0) for index in chosen])
        with pytest.raises(ScanExcluded, match="station") as caught:
            stitch(bad, StitchOptions(repair_swaps=False))
        assert caught.value.reason is Reason.FAT_WATER_SWAP


def test_stations_that_contradict_each_other_without_a_rim_are_excluded(stations) -> None:
    def without_rim(station):
        total = station.images[Contrast.WATER] + station.images[Contrast.FAT]
        images = {**station.images, Contrast.WATER: (0.55 * total).astype(np.int16)}
        images[Contrast.FAT] = total - images[Contrast.WATER]
        return replace(station, images=images)

    flat = [without_rim(station) for station in stations]
    assert stitch(flat).report.swap_margin == pytest.approx(0, abs=1e-9)  # nothing to tell it by
    with pytest.raises(ScanExcluded, match="stations 3 and 4 contradict") as caught:
        stitch(swapped(flat, [Swap(index, "whole", 0.0) for index in (3, 4, 5)]))
    assert caught.value.reason is Reason.FAT_WATER_SWAP


def test_a_swap_done_twice_changes_nothing(stations) -> None:
    for part in ("whole", "left", "right"):
        swap = Swap(1, part, 3.3)
        twice = swapped(swapped(stations, [swap]), [swap])[1]
        for contrast, image in stations[1].images.items():
            np.testing.assert_array_equal(twice.images[contrast], image)


def pair(upper: int, agreement: float) -> Pair:
    return Pair(upper, upper + 1, 5, 1000, 1.0, 0.1, 0.9, agreement, (agreement, agreement))


def signs(sign: float, seam: float | None = 0.9) -> SwapEvidence:
    return SwapEvidence(0.0, (sign, sign), seam)


def test_the_best_assignment_is_that_of_all_signs_together() -> None:
    fine = {index: signs(1.5) for index in range(3)}
    agreeing = [pair(0, 0.9), pair(1, 0.9)]
    assert find_swaps([0, 1, 2], fine, agreeing).swaps == ()
    # one station without a rim goes with its neighbours
    unseen = fine | {1: SwapEvidence(0.0, (None, None), None)}
    found = find_swaps([0, 1, 2], unseen, [pair(0, -0.9), pair(1, -0.9)])
    assert (found.swaps, found.is_clear) == ((), True)
    # contradicting neighbours on both sides, and its own sign
    found = find_swaps([0, 1, 2], fine | {1: signs(-1.5)}, [pair(0, -0.9), pair(1, -0.9)])
    assert found.swaps == (Swap(1, "whole", 0.0),)
    assert found.is_clear
    assert [half_sign(found.swaps, index, 0) for index in range(3)] == [1, -1, 1]
    # a sign against both neighbours is outvoted, and that is not clear
    found = find_swaps([0, 1, 2], fine | {1: signs(-1.5)}, [pair(0, 0.5), pair(1, 0.4)])
    assert found.margin is not None
    assert found.margin < CLEAR
    # nothing to be seen
    nothing = find_swaps([0], {0: SwapEvidence(0.0, (None, None), None)}, [])
    assert (nothing.swaps, nothing.margin, nothing.is_clear) == ((), None, False)
    # weak signs do not add up
    weak = find_swaps([0, 1, 2], {index: signs(-0.4) for index in range(3)}, agreeing)
    assert not weak.is_clear


def test_words_name_stations_and_halves() -> None:
    swaps = [Swap(0, "whole", 0.0), Swap(2, "left", 0.0), Swap(4, "right", 0.0)]
    assert swaps_in_words(swaps) == "station 1, the left half of station 3 and the right half of station 5"
    assert swaps_in_words(swaps[:1]) == "station 1"


@pytest.mark.slow
def test_swaps_of_twelve_phantom_scans_are_found_and_repaired() -> None:
    """Lean to obese, in both cohorts' protocols; docs/swaps.md has 420 scans."""
    records = pd.DataFrame([row for number in range(12) for row in evaluate_scan(number)])
    assert records["right"].eq(records["stations"]).all(), records[records["right"].ne(records["stations"])]
    assert records.loc[records["planted"].isin(["station", "scan"]), "differing"].eq(0).all()
    rates = swap_rates(records).set_index("size")
    assert len(rates) == 6
    assert rates.loc["all", ["station", "half", "scan", "specificity"]].eq(1).all()
    assert rates.loc["all", "smallest_margin"] >= 2 * CLEAR
