"""Connected pieces of structures, and what the small ones touch."""

from dataclasses import replace

import numpy as np
import pytest
from graded_rows import graded
from measured_body import AFFINE, MODEL, SHAPE, body, whole
from small_models import rule, small_model

from dixonflow.measure.checks.pieces import Pieces, pieces_of
from dixonflow.measure.scan import measure

KIDNEYS = small_model(
    {1: rule("kidney_left", "a"), 2: rule("kidney_right", "a"), 3: rule("liver", "a"), 4: rule("spleen", "a")}
)


def abdomen() -> np.ndarray:
    labels = np.zeros((30, 10, 20), np.uint8)
    labels[2:8, 2:8, 4:14], labels[20:26, 2:8, 4:14], labels[18:28, 2:8, 14:18] = 1, 2, 3
    return labels


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_piece_of_another_structure_names_what_it_touches(order: str) -> None:
    whole_ones = pieces_of(np.array(abdomen(), order=order), KIDNEYS)
    assert whole_ones == Pieces({"kidney_left": 1.0, "kidney_right": 1.0, "liver": 1.0}, {})
    labels = np.array(abdomen(), order=order)
    labels[20:26, 2:8, 12:14] = 1  # the upper end of the right kidney, below the liver
    found = pieces_of(labels, KIDNEYS)
    assert found.largest == {"kidney_left": pytest.approx(10 / 12), "kidney_right": 1.0, "liver": 1.0}
    assert found.touched == {"kidney_left": ["kidney_right", "liver"]}


def test_pieces_at_the_edge_and_no_labels_are_no_trouble() -> None:
    labels = abdomen()
    labels[29, 9, 19] = labels[0, 0, 0] = 4
    found = pieces_of(labels, KIDNEYS)
    assert found.largest["spleen"] == 0.5
    assert found.touched == {"spleen": []}
    assert pieces_of(np.zeros((3, 3, 3), np.uint8), KIDNEYS) == Pieces({}, {})
    assert pieces_of(np.zeros((0, 3, 3), np.uint8), KIDNEYS) == Pieces({}, {})


def test_rows_name_what_small_pieces_touch_where_a_cohort_may_object() -> None:
    labels, contrasts = body()
    kidney = MODEL.structures["kidney_right"]
    other = MODEL.structures["kidney_left"]
    place = np.nonzero(labels == kidney)
    upper = place[2] >= np.quantile(place[2], 0.85)
    labels[tuple(axis[upper] for axis in place)] = other
    found = measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL)
    rows = found.quality[found.quality["check"].eq("in_one_piece")].set_index("structure")
    assert "kidney_right" in rows.at["kidney_left", "place"].split(", ")
    assert rows.at["kidney_right", "place"] == ""
    row = found.quality["check"].eq("in_one_piece") & found.quality["structure"].eq("kidney_left")
    objecting = found.quality[row].assign(grade="review")
    values = graded(replace(found, quality=objecting), MODEL)
    volumes = values[values["measure"].eq("volume")].set_index("structure")["grade"]
    assert {"kidney_left", "kidney_right", "kidneys"} <= set(volumes.index[volumes.eq("review")])
    assert volumes["spleen"] == "pass"
