"""Agreement of the label maps of several models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from measured_body import AFFINE, SHAPE, body, whole
from measured_body import MODEL as WHOLE
from small_models import FOREIGN, ORGANS, PAIRED, SIDES

from dixonflow.labelmap.agreement import agreement_of_models
from dixonflow.measure.checks.of_model import expected_checks
from dixonflow.measure.scan import measure
from dixonflow.models.comparison import compared_models, shared_structures


def test_structures_and_composites_of_one_name_are_shared():
    models = [ORGANS, SIDES, PAIRED, FOREIGN]
    assert shared_structures(ORGANS, models) == ["liver", "kidney_left"]
    assert shared_structures(SIDES, models) == ["kidney_left", "liver", "kidneys"]
    assert shared_structures(PAIRED, models) == ["kidneys"]
    assert shared_structures(FOREIGN, models) == []
    assert [model.name for model in compared_models(SIDES, models)] == ["organs", "paired"]


@given(st.data())
def test_dice_is_that_of_its_definition(data):
    def draw(model):
        return data.draw(arrays(np.uint8, (3, 2, 4), elements=st.sampled_from([0, *model.labels])))

    organs, sides, paired = (draw(model) for model in (ORGANS, SIDES, PAIRED))
    found = agreement_of_models(sides, SIDES, [(ORGANS, organs), (PAIRED, paired)])
    pairs = {
        "kidney_left": (sides == 3, organs == 7),
        "liver": (sides == 5, organs == 1),
        "kidneys": (np.isin(sides, (3, 4)), paired == 9),
    }
    assert list(found) == list(pairs)
    for name, (one, other) in pairs.items():
        size = one.sum() + other.sum()
        assert found[name] == (pytest.approx(2 * (one & other).sum() / size) if size else None)


def test_the_mean_is_over_the_models_that_have_the_structure():
    full, empty = np.full((2, 2, 2), 1, np.uint8), np.zeros((2, 2, 2), np.uint8)
    twin = ORGANS.model_copy(update={"name": "twin"})
    third = ORGANS.model_copy(update={"name": "third"})
    found = agreement_of_models(full, ORGANS, [(twin, full), (third, empty), (FOREIGN, full)])
    assert found == {"liver": 0.5, "spleen": None, "kidney_left": None}


def test_maps_that_cannot_be_compared_are_refused():
    one = np.zeros((2, 3, 4), np.uint8)
    with pytest.raises(ValueError, match="different shapes"):
        agreement_of_models(one, ORGANS, [(SIDES, one[:1])])
    with pytest.raises(ValueError, match="does not have"):
        agreement_of_models(one, ORGANS, [(SIDES, np.full_like(one, 6))])


def test_each_shared_structure_has_a_row():
    labels, images = body()
    found = dict.fromkeys(shared_structures(WHOLE, [WHOLE, SIDES]), 0.5) | {"liver": None}
    quality = measure(labels, images, AFFINE, whole(SHAPE), WHOLE, model_agreement=found).quality
    rows = quality[quality["check"].eq("model_agreement")].set_index("structure")["value"]
    assert {name: None if pd.isna(value) else value for name, value in rows.items()} == found
    wanted = {key for key in expected_checks(WHOLE, [WHOLE, SIDES]) if key[0] == "model_agreement"}
    assert wanted == {("model_agreement", name, WHOLE.name) for name in found}
    assert {check for check, *_ in expected_checks(WHOLE, [WHOLE])} >= {"contrast_agreement"}
    assert "model_agreement" not in {check for check, *_ in expected_checks(WHOLE, [WHOLE])}
