import numpy as np
import pytest
from small_models import rule, small_model

from dixonflow.postprocess import Removal, postprocess

MODEL = small_model(
    {
        8: rule("adrenal_gland_right", "vessel", single_piece=False, drop_mm3=30.0),
        17: rule("thyroid_gland", "organ", single_piece=False, min_components=2, max_components=2, drop_mm3=20.0),
        70: rule("vertebra_posterior_elements", "bone", max_components=2),
    }
)
PUBLISHED = MODEL.model_copy(update={"keep_largest": False})


def row(text: str) -> np.ndarray:
    names = {".": 0, "a": 8, "t": 17, "v": 70}
    return np.array([names[letter] for letter in text], np.uint8)[:, None, None]


def test_surplus_components_are_removed_and_reported():
    merged = row("aaaa.a.aa..tt.t")
    result = postprocess(merged, MODEL, 10.0)
    assert np.array_equal(result.labels, row("aaaa.......tt.t"))
    assert result.report == (Removal("adrenal_gland_right", found=3, components=2, volume_ml=pytest.approx(0.03)),)
    assert np.array_equal(merged, row("aaaa.a.aa..tt.t")), "the input is not changed"


def test_a_structure_never_loses_its_largest_component():
    assert np.array_equal(postprocess(row("aa.a"), MODEL, 10.0).labels, row("aa.."))
    assert np.array_equal(postprocess(row("t..."), MODEL, 10.0).labels, row("t..."))
    assert postprocess(row("t..."), MODEL, 10.0).report == ()


def test_the_published_rule_can_delete_a_structure():
    assert not postprocess(row("aa.a"), PUBLISHED, 10.0).labels.any()
    result = postprocess(row("t..."), PUBLISHED, 10.0)
    assert not result.labels.any()
    assert result.report == (Removal("thyroid_gland", found=1, components=1, volume_ml=pytest.approx(0.01)),)


def test_a_structure_without_a_threshold_loses_nothing():
    assert np.array_equal(postprocess(row("v.v.v"), PUBLISHED, 10.0).labels, row("v.v.v"))


def test_processing_again_changes_nothing():
    once = postprocess(row("aaaa.a.aa..tt.t..v.v.v"), MODEL, 10.0)
    again = postprocess(once.labels, MODEL, 10.0)
    assert np.array_equal(once.labels, again.labels)
    assert again.report == ()
