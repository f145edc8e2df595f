"""Rows of measurements that every scan has, and those of compartments in their wide table."""

from table_rows import MODEL

from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.structures import structures_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.tables.measurements import expected_rows
from dixonflow.tables.wide import body_composition_table, wide_tables
from dixonflow.vocabulary import ScanSequence


def test_expected_rows_are_every_structure_times_every_measure() -> None:
    measures = [
        each
        for each in MEASURES.values()
        if not (each.of_vertebrae or each.of_compartments or each.of_vessels)
        and (not each.sequences or ScanSequence.DIXON in each.sequences)
    ]
    of_compartments = sum(len(each.measures) for each in compartments_of(MODEL))
    assert of_compartments > 100
    of_vessels = sum(len(each.measures) - len(measures) for each in structures_of(MODEL))
    assert of_vessels == 6 * 5 + 3 * 3, "six vessels, three of them single tubes"
    assert len(expected_rows(MODEL)) == len(structures_of(MODEL)) * len(measures) + of_vessels + of_compartments
    assert ("total_muscle", "lean_volume", "demo") in expected_rows(MODEL)


def test_body_composition_has_every_compartment_with_what_it_is() -> None:
    table = body_composition_table(MODEL)
    assert set(table.values.values()) == {
        (each.name, measure.name) for each in compartments_of(MODEL) for measure in each.measures
    }
    vat = table.table["visceral_fat_t9_l5_volume_ml"]
    assert vat.unit == "mL"
    assert "inner_fat between the superior endplate of T9 and the inferior endplate of L5" in vat.definition
    assert table.table["total_muscle_l3_area_cm2"].unit == "cm2"
    assert {"visceral_fat_t9_l5_volume_missing_reason", "visceral_fat_t9_l5_volume_grade"} <= set(table.table.names)
    assert "visceral_fat_t9_l5_uncut_slices_grade" not in table.table.names


def test_compartments_are_made_of_what_a_model_labels() -> None:
    sources = {
        name: {each.tissue: each.source for each in compartments_of(load_model(MODELS / f"{name}.yaml"))}
        for name in ("vibesegmentator100", "mrsegmentatorbody", "totalsegmentatortissuemr", "mrsegmentator")
    }
    assert sources["vibesegmentator100"] == {
        "visceral_fat": "inner_fat",
        "subcutaneous_fat": "subcutaneous_fat",
        "total_muscle": "total_muscle",
    }
    assert sources["mrsegmentatorbody"] == {"visceral_fat": "visceral_fat", "subcutaneous_fat": "subcutaneous_fat"}
    assert sources["totalsegmentatortissuemr"]["visceral_fat"] == "torso_fat"
    assert sources["mrsegmentator"] == {}
    names = [each.table.name for each in wide_tables([load_model(MODELS / "mrsegmentator.yaml")])]
    assert names == ["volumes", "fat_compartments", "vessels"]
