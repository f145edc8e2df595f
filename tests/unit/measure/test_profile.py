"""Profiles along the body: cross-sections whose sums are volumes, and nothing where something is cut or unknown."""

import numpy as np
import pytest

from dixonflow.measure.compartments.body_range import Landmarks, body_range
from dixonflow.measure.compartments.compartment import Compartment, compartments_of, profiled
from dixonflow.measure.compartments.compartment_values import compartment_values
from dixonflow.measure.compartments.profile import profile
from dixonflow.measure.compartments.slices import SliceCounts
from dixonflow.measure.levels import Level, Levels
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.load import MODELS, load_model

MODEL = load_model(MODELS / "demo.yaml")
REGIONS = len(MODEL.labels) + 1
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
AFFINE[2, 3] = -200.0
DEPTH = 160
T9, L5 = 16, 24
LOW_MM, HIGH_MM = -101.3, 152.9


def of(tissue: str) -> Compartment:
    return next(each for each in profiled(compartments_of(MODEL)) if each.tissue == tissue)


def landmarks() -> Landmarks:
    found = {T9: Level(HIGH_MM - 20, HIGH_MM), L5: Level(LOW_MM, LOW_MM + 30)}
    return Landmarks(Levels(found, {}), {"hips": MissingReason.NO_LANDMARK, "femurs": MissingReason.NO_LANDMARK})


def counts(seed: int = 0) -> SliceCounts:
    rng = np.random.default_rng(seed)
    voxels = np.repeat(rng.integers(500, 900, (REGIONS, DEPTH // 4)), 4, axis=1).astype(float)
    nothing = np.zeros((REGIONS, DEPTH))
    signal, fat = voxels * 0.9, voxels * 0.9 * 0.25
    return SliceCounts(
        voxels, nothing.copy(), np.zeros(DEPTH, bool), np.ones(DEPTH, bool), signal, fat, signal, signal, fat
    )


@pytest.mark.parametrize("tissue", ["visceral_fat", "subcutaneous_fat", "total_muscle"])
def test_the_areas_of_a_range_add_up_to_its_volume(tissue: str) -> None:
    compartment, found = of(tissue), counts()
    steps = {position: area for _, position, area, _, _ in profile(compartment, found, landmarks(), AFFINE)}
    where = body_range(landmarks(), compartment.where.upper, compartment.where.lower)
    if isinstance(where, MissingReason):  # muscle is measured from L1
        assert tissue == "total_muscle"
        return
    whole = int((where.high_mm - where.low_mm) // 10)
    rest = (where.high_mm - where.low_mm) / 10 - whole
    added = sum(steps[position] for position in range(whole)) + rest * steps[whole]
    values = compartment_values(compartment, found, landmarks(), AFFINE, graded_if_incomplete=False)
    assert added == pytest.approx(values["volume"], rel=0.01)
    assert min(steps) == -10
    assert max(steps) == int((AFFINE[2, 3] + (DEPTH - 0.5) * 3 - LOW_MM) // 10) - 1


def test_fat_fractions_are_those_of_the_slices() -> None:
    steps = list(profile(of("total_muscle"), counts(), landmarks(), AFFINE))
    assert len(steps) > 30
    assert [fraction for *_, fraction, _ in steps] == pytest.approx([0.25] * len(steps))


def test_what_is_cut_joined_or_not_seen_has_no_area() -> None:
    found = counts()
    place = of("subcutaneous_fat").regions[0]
    found.edge[place, 40] = 3
    found.joined[60] = True
    found.seen[80] = False
    reasons = {
        int((AFFINE[2, 3] + 3 * number - LOW_MM) // 10): reason
        for number, reason in (
            (40, MissingReason.CUT_BY_FIELD_OF_VIEW),
            (60, MissingReason.ARMS_JOINED),
            (80, MissingReason.OUTSIDE_FIELD_OF_VIEW),
        )
    }
    steps = {position: rest for _, position, *rest in profile(of("subcutaneous_fat"), found, landmarks(), AFFINE)}
    for position, reason in reasons.items():
        assert steps[position] == [None, None, reason]
    assert sum(area is None for area, *_ in steps.values()) <= 6
    visceral = {position: rest for _, position, *rest in profile(of("visceral_fat"), found, landmarks(), AFFINE)}
    assert sum(area is None for area, *_ in visceral.values()) <= 2, "arms and the cut skin are not its own"


def test_without_the_end_of_the_spine_there_is_no_profile() -> None:
    nowhere = Landmarks(None, {})
    assert list(profile(of("subcutaneous_fat"), counts(), nowhere, AFFINE)) == []
