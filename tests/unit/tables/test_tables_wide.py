"""Wide tables from the long one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import MODEL, long_rows, sorted_long

from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.anatomy import structures
from dixonflow.models.load import MODELS, load_model
from dixonflow.tables.schema import TableError, check_rows
from dixonflow.tables.wide import fat_compartments_table, joined_volumes_table, volumes_table, widen

LIVER, SPLEEN = MODEL.structures["liver"], MODEL.structures["spleen"]
SMALL = MODEL.model_copy(
    update={
        "labels": {label: MODEL.labels[label] for label in (LIVER, SPLEEN)},
        "composites": {"both": ("liver", "spleen")},
    }
)
SMALL_VOLUMES, SMALL_FAT = volumes_table(SMALL), fat_compartments_table(SMALL)
OTHERS = {("liver", "water_mean"), ("spleen", "fat_fraction_mean"), ("both", "fat_mean")}
PAIRS = sorted({*SMALL_VOLUMES.values.values(), *SMALL_FAT.values.values(), *OTHERS})


@st.composite
def cells(draw: st.DrawFn) -> dict[tuple[str, str, str], dict[tuple[str, str], float | MissingReason]]:
    scan = st.tuples(st.sampled_from(["1", "01", "2"]), st.sampled_from(["1", "2"]))
    scans = draw(st.lists(scan, unique=True, max_size=4))
    seed = draw(st.randoms(use_true_random=False))
    return {
        (participant, session, model): {
            pair: seed.choice(list(MissingReason)) if seed.random() < 0.3 else seed.random() for pair in PAIRS
        }
        for participant, session in scans
        for model in ("demo", "other")
    }


@settings(deadline=None, max_examples=8)
@given(cells())
def test_wide_is_the_long_table_cell_by_cell(
    content: dict[tuple[str, str, str], dict[tuple[str, str], float | MissingReason]],
) -> None:
    long = sorted_long(long_rows(content))
    for wide in (SMALL_VOLUMES, SMALL_FAT):
        rows = check_rows(widen(long, wide), wide.table).to_pylist()
        mine = sorted((participant, session) for participant, session, model in content if model == "demo")
        assert [(row["participant_id"], row["session_id"]) for row in rows] == mine
        for row in rows:
            values = content[row["participant_id"], row["session_id"], "demo"]
            for column, pair in wide.values.items():
                missing = isinstance(values[pair], MissingReason)
                assert row[column] == (None if missing else values[pair])
                if column in wide.companions:
                    reason, grade = wide.companions[column]
                    assert row[reason] == (values[pair] if missing else None)
                    failed = values[pair] is MissingReason.FAILED_CHECK
                    assert row[grade] == ("fail" if failed else None if missing else "pass")


def test_a_joined_view_has_each_structure_by_its_own_model() -> None:
    other = SMALL.model_copy(update={"name": "other"})
    wide = joined_volumes_table("joined", {"liver": SMALL, "spleen": other}, "_joined")
    demo: dict[tuple[str, str], float | MissingReason] = dict.fromkeys(PAIRS, 0.25)
    demo["spleen", "volume"] = 7.0
    long = sorted_long(long_rows({("1", "2", "demo"): demo, ("1", "2", "other"): dict.fromkeys(PAIRS, 0.5)}))
    (row,) = check_rows(widen(long, wide), wide.table).to_pylist()
    assert (wide.table.name, row["model"]) == ("volumes_joined", "joined")
    assert (row["liver_volume_ml"], row["spleen_volume_ml"]) == (0.25, 0.5)
    alone = sorted_long(long_rows({("1", "2", "demo"): demo}))
    with pytest.raises(TableError, match="missing_reason"):
        check_rows(widen(alone, wide), wide.table)


def test_a_value_without_its_long_row_is_refused() -> None:
    values: dict[tuple[str, str], float | MissingReason] = dict.fromkeys(PAIRS, 0.5)
    del values["liver", "volume"]
    long = sorted_long(long_rows({("1", "2", "demo"): values}))
    with pytest.raises(TableError, match="missing_reason"):
        check_rows(widen(long, SMALL_VOLUMES), SMALL_VOLUMES.table)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_fat_compartment_and_muscle_of_a_model_is_in_fat_compartments(path):
    model = load_model(path)
    if model.finds_swaps:
        return
    pairs = set(fat_compartments_table(model).values.values())
    groups = {name: structures()[name].group for name in (*model.structures, *model.composites) if name in structures()}
    for name, group in groups.items():
        if group in ("fat", "muscle"):
            assert {(name, "volume"), (name, "coverage_fraction"), (name, "fat_fraction")} <= pairs
        if group == "fat":
            assert (name, "fat_volume") in pairs
