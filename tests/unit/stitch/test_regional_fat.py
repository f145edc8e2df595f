"""Mean fat fractions of structures outside the overlaps stay as they are, whatever is matched or repaired."""

import numpy as np
import pytest

from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.truth import truth_on_grid
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.swap_evidence import swap_evidence
from dixonflow.stitch.swaps import Swap, swapped_back
from dixonflow.vocabulary import Contrast, Layout


@pytest.fixture(scope="module", params=[Layout.UKB, Layout.NAKO])
def scan(request):
    participant = draw_participant(15)
    anatomy = render_anatomy(participant, 2.0)
    stations = acquire(participant, anatomy, DemoOptions().protocol(request.param))
    stitched = stitch(stations, StitchOptions(match_intensities=False))
    shape = next(iter(stitched.images.values())).shape
    covering = np.zeros(shape[2], int)
    for station in stitched.report.stations:
        z = (np.array([station.low_mm[2], station.high_mm[2]]) - stitched.affine[2, 3]) / stitched.affine[2, 2]
        covering[max(int(np.floor(z[0])) + 1, 0) : int(np.ceil(z[1]))] += 1
    labels = truth_on_grid(anatomy, shape, stitched.affine) * (covering == 1)
    # where rounding to whole numbers is small
    labels *= stitched.images[Contrast.WATER] + stitched.images[Contrast.FAT] > 100
    return stations, stitched, labels


def fat_fractions(stitched, labels):
    """Mean of the voxel fat fractions of each structure of 2,000 voxels and more, in percentage points."""
    water, fat = (stitched.images[contrast].astype(float) for contrast in (Contrast.WATER, Contrast.FAT))
    signal = (labels > 0) & (water + fat > 0)
    counts = np.bincount(labels[signal], minlength=256)
    sums = np.bincount(labels[signal], 100 * fat[signal] / (water + fat)[signal], minlength=256)
    return {label: sums[label] / counts[label] for label in np.flatnonzero(counts >= 2000)}


def test_matching_intensities_changes_no_fat_fraction(scan) -> None:
    stations, raw, labels = scan
    matched = stitch(stations)
    assert {round(station.intensity_factor, 2) for station in matched.report.stations} > {1.0}
    before, after = fat_fractions(raw, labels), fat_fractions(matched, labels)
    assert len(before) > 15
    assert max(abs(before[label] - after.get(label, 1e3)) for label in before) < 0.1


def test_repairing_a_half_changes_no_fat_fraction(scan) -> None:
    stations, _, labels = scan
    whole = fat_fractions(stitch(stations), labels)
    for number, side in ((1, "left"), (len(stations) - 1, "right")):
        split = swap_evidence(stations[number].images, stations[number]).split_mm
        bad = [swapped_back(station, [Swap(number, side, split)]) for station in stations]
        repaired = stitch(bad)
        assert [swap.station for swap in repaired.report.swaps] == [number]
        found = fat_fractions(repaired, labels)
        assert max(abs(whole[label] - found.get(label, 1e3)) for label in whole) < 0.1
