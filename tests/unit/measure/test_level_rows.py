"""Levels as rows of the tables, graded, and of models with single vertebrae only."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from graded_rows import graded
from small_models import rule, small_model
from spine import LABEL, MODEL, Spine, phantom_spine

from dixonflow.analyse.vessels import MEASURES_OF_CONSISTENCY
from dixonflow.config import MeasureConfig, demo_config
from dixonflow.execution.content_keys import settings
from dixonflow.measure.checks.of_model import CHECKS, expected_checks
from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.compartments.landmark import Position
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.scan import ScanMeasurements, measure
from dixonflow.measure.structures import structures_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_MEASUREMENTS, expected_rows
from dixonflow.tables.schema import check_rows, to_arrow
from dixonflow.vocabulary import DIXON, Grade, ScanSequence, Stage

OF_LEVELS = [f"level_{place}" for place in Position]
OF_ORDER = {name for name, check in CHECKS.items() if check.of_vertebrae}
L2, L3 = 21, 22


@pytest.fixture(scope="module")
def spine() -> Spine:
    return phantom_spine(5.0)


def measured(labels: np.ndarray, spine: Spine, boxes: list[StationBox] | None = None) -> ScanMeasurements:
    image = np.full(labels.shape, 500, np.int16)
    return measure(labels, dict.fromkeys(DIXON, image), spine.affine, boxes or spine.box(), MODEL)


def graded_by_levels(found: ScanMeasurements) -> pd.DataFrame:
    """Graded rows, by the checks of vertebrae alone: one grey value has no noise, and no fat."""
    return graded(replace(found, quality=found.quality[found.quality["check"].isin(OF_ORDER)]), MODEL)


def levels(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["measure"].isin(OF_LEVELS)].set_index(["structure", "measure"])


def test_every_vertebra_has_its_level_and_nothing_else_has_one(spine: Spine) -> None:
    found = measured(spine.labels, spine)
    rows = levels(graded_by_levels(found))
    assert set(rows.index) == {(name, each) for name in MODEL.structures for each in OF_LEVELS}
    keys = ["structure", "measure", "model"]
    assert set(found.measurements[keys].itertuples(index=False, name=None)) == expected_rows(MODEL)
    checks = set(found.quality[["check", "structure", "model"]].itertuples(index=False, name=None))
    assert checks == expected_checks(MODEL, [MODEL])
    assert {check for check, *_ in checks} >= OF_ORDER
    for rows_of, table in ((found.measurements, SHARD_MEASUREMENTS), (found.quality, SHARD_QUALITY)):
        check_rows(to_arrow(rows_of.assign(participant_id="1", session_id="2"), table), table)

    value = rows["value"]
    for vertebra, (lower, upper) in spine.ends_mm.items():
        name = MODEL.labels[LABEL[vertebra]].name
        if vertebra > 10:
            assert value[name, "level_lower_end"] == pytest.approx(lower, abs=2.5)
            assert value[name, "level_upper_end"] == pytest.approx(upper, abs=2.5)
            both = value[name, "level_lower_end"] + value[name, "level_upper_end"]
            assert value[name, "level_centre"] == both / 2
    assert value["sacrum", "level_lower_end"] < 0, "heights are those of the scanner, and may be negative"
    assert set(rows["unit"]) == {"mm"}
    assert set(rows["grade"].dropna()) == {Grade.PASS}
    assert rows["value"].isna().equals(rows["missing_reason"].notna())
    assert set(rows.loc["vertebrae_C1", "missing_reason"]) == {MissingReason.NOT_FOUND}
    assert set(rows.loc["vertebrae_T3", "missing_reason"]) == {MissingReason.CUT_BY_FIELD_OF_VIEW}


def test_cut_and_unseen_vertebrae_say_so_and_keep_their_other_measures(spine: Spine) -> None:
    middle = sum(spine.ends_mm[L3]) / 2
    found = measured(spine.labels, spine, spine.box(low_mm=middle)).measurements
    rows = levels(found)
    assert set(rows.loc["vertebrae_L3", "missing_reason"]) == {MissingReason.CUT_BY_FIELD_OF_VIEW}
    assert set(rows.loc["vertebrae_L5", "missing_reason"]) == {MissingReason.OUTSIDE_FIELD_OF_VIEW}
    volume = found[found["measure"].eq("volume")].set_index("structure")
    assert volume.at["vertebrae_L3", "value"] > 0


def test_levels_of_a_scan_out_of_order_are_for_review_and_no_other_measure_is(spine: Spine) -> None:
    good, bad = measured(spine.labels, spine), measured(spine.renamed({L2: L3, L3: L2}), spine)
    rows = levels(graded_by_levels(bad))
    assert set(rows["grade"].dropna()) == {Grade.REVIEW}
    assert set(rows["decided_by"].dropna()) == {"vertebra_order"}
    there, before = rows["value"], levels(good.measurements)["value"]
    others = ~rows.index.isin(["vertebrae_L2", "vertebrae_L3"], level=0)
    assert there[others].equals(before[others])
    assert there["vertebrae_L2"].equals(before["vertebrae_L3"]), "nothing is corrected silently"
    order = bad.quality.set_index("check").loc["vertebra_order"]
    assert (order["value"], order["threshold"], order["grade"]) == (1, 0, Grade.REVIEW)
    assert pd.isna(bad.quality.set_index("check").at["vertebra_distance_ratio", "value"])
    assert set(good.quality.loc[good.quality["check"].isin(OF_ORDER), "grade"]) == {Grade.PASS}
    grades = []
    for found in (good, bad):
        every = graded_by_levels(found)
        grades.append(every.loc[~every["measure"].isin(OF_LEVELS), "grade"].reset_index(drop=True))
    assert grades[0].equals(grades[1])


def test_a_vertebra_under_its_cutoff_fails_with_its_level() -> None:
    model = small_model({1: rule("vertebrae_L4", "a", lower_cutoff_ml=5), 2: rule("vertebrae_L5", "a")})
    labels = np.zeros((12, 12, 30), np.uint8)
    labels[3:9, 3:9, 5:12], labels[3:9, 3:9, 16:23] = 2, 1
    image = dict.fromkeys(DIXON, np.full(labels.shape, 100, np.int16))
    box = StationBox(0, (-1.0, -1.0, -1.0), (40.0, 40.0, 90.0))
    rows = levels(graded(measure(labels, image, np.diag([2.0, 2.0, 3.0, 1.0]), [box], model), model))
    assert set(rows.loc["vertebrae_L4", "grade"]) == {Grade.FAIL}
    assert set(rows.loc["vertebrae_L5", "grade"]) == {Grade.REVIEW}, "two vertebrae tell too little"


@pytest.mark.parametrize("name", ["demo", "vibesegmentator100", "totalsegmentatormr", "mrsegmentator"])
def test_other_models_have_the_rows_and_keys_that_they_had(name: str) -> None:
    model = load_model(MODELS / f"{name}.yaml")
    of_mr = {
        measure: definition
        for measure, definition in MEASURES.items()
        if ScanSequence.DIXON in (definition.sequences or ScanSequence)
    }
    without = [
        measure
        for measure, definition in of_mr.items()
        if not (definition.of_vertebrae or definition.of_compartments or definition.of_vessels)
    ]
    of_vessels = {*MEASURES_OF_CONSISTENCY, "largest_gap", "centreline_length", "tortuosity", "diameter"}
    assert set(of_mr) - set(without) == {*OF_LEVELS, "area", "uncut_slices", *of_vessels}
    structures = [*model.structures, *model.composites]
    of_structures = {(structure, each, name) for structure in structures for each in without}
    compartments = {(each.name, measure.name, name) for each in compartments_of(model) for measure in each.measures}
    vessels = {
        (structure.name, measure.name, name)
        for structure in structures_of(model)
        for measure in structure.measures
        if measure.of_vessels
    }
    assert expected_rows(model) == of_structures | compartments | vessels
    assert ("aorta", "tortuosity", name) in vessels
    assert bool(compartments) == ("subcutaneous_fat" in structures)
    assert not {check for check, *_ in expected_checks(model, [model])} & OF_ORDER
    of_measure = {"name", "ids", "composites", "cutoffs", "muscles"}
    config = demo_config()
    assert set(settings(Stage.MEASURE, config, model)) == of_measure | {"profiles"}
    config = config.model_copy(update={"measure": MeasureConfig()})
    assert set(settings(Stage.MEASURE, config, model)) == of_measure
    assert set(settings(Stage.MEASURE, config, MODEL)) == of_measure | {"vertebrae"}
