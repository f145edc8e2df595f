"""Pieces of vessels by contrast: counted before the contrasts are merged, and missing with a reason."""

import numpy as np
import pytest
from small_models import rule, small_model

from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.vessels.vessel_values import pieces_by_contrast, pieces_of_contrasts
from dixonflow.vocabulary import Contrast

WATER, IN_PHASE, OPPOSED = Contrast.WATER, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE
AORTA, VEIN = 25, 36


def vessel_map(*pieces: slice) -> np.ndarray:
    labels = np.full((9, 9, 30), 7, np.uint8)  # among another structure, which counts for nothing
    labels[0] = 0
    for piece in pieces:
        labels[4, 4, piece] = AORTA
    labels[6, 6, :] = VEIN
    return labels


def model_of(*contrasts: Contrast):
    labels = {AORTA: rule("aorta", "all"), VEIN: rule("inferior_vena_cava", "all")}
    return small_model(labels, input_contrasts=contrasts, group_contrasts={"all": contrasts})


def test_pieces_are_counted_in_each_contrast() -> None:
    maps = {
        WATER: vessel_map(np.s_[2:28]),
        IN_PHASE: vessel_map(np.s_[2:8], np.s_[9:14], np.s_[20:28]),
        OPPOSED: vessel_map(),
    }
    found = pieces_of_contrasts(maps, {"aorta": AORTA, "inferior_vena_cava": VEIN})
    assert {contrast: each["aorta"] for contrast, each in found.items()} == {
        "water": 1,
        "in_phase": 3,
        "opposed_phase": 0,
    }
    assert {each["inferior_vena_cava"] for each in found.values()} == {1}
    model = model_of(WATER, IN_PHASE, OPPOSED)
    values = dict(pieces_by_contrast("aorta", model, found))
    assert values == {"water_components": 1.0, "in_phase_components": 3.0, "opposed_phase_components": 0.0}


@pytest.mark.parametrize(
    ("contrasts", "recorded", "reasons"),
    [
        ((IN_PHASE,), None, dict.fromkeys((WATER, IN_PHASE, OPPOSED), MissingReason.NOT_APPLICABLE)),
        ((WATER, IN_PHASE, OPPOSED), None, dict.fromkeys((WATER, IN_PHASE, OPPOSED), MissingReason.NOT_RECORDED)),
        (
            (WATER, IN_PHASE),
            {"water": {"aorta": 1}, "in_phase": {"aorta": 2}},
            {WATER: 1.0, IN_PHASE: 2.0, OPPOSED: MissingReason.NOT_APPLICABLE},
        ),
    ],
)
def test_what_was_not_counted_has_a_reason(contrasts, recorded, reasons) -> None:
    values = dict(pieces_by_contrast("aorta", model_of(*contrasts), recorded))
    assert values == {f"{contrast}_components": reason for contrast, reason in reasons.items()}
