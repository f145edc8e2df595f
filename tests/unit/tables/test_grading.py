"""Verdicts of checks on values: which values a check decides on, and what becomes of those that fail."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from small_models import rule, small_model
from table_rows import long_rows

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.ratings.effects import ANSWERED_BY_LABEL_MAP, ANSWERED_BY_STRUCTURE, LACKING_A_KIDNEY, GoodRatings
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.grading import Grading, objections_of, scan_grades
from dixonflow.tables.measurements import GRADED, MEASUREMENTS
from dixonflow.tables.schema import check_rows, to_arrow
from dixonflow.vocabulary import ScanSequence

NAMES = ("liver", "spleen", "kidney_left", "kidney_right", "subcutaneous_fat", "muscle")
ORGANS = small_model(
    {place: rule(name, "a") for place, name in enumerate(NAMES, 1)},
    composites={"kidneys": ("kidney_left", "kidney_right")},
)
MUSCLES = small_model({1: rule("autochthon_left", "a"), 2: rule("muscle", "a")}).model_copy(update={"name": "muscles"})
MODELS = {ScanSequence.DIXON: [ORGANS, MUSCLES]}
PAIRS = [
    (structure, measure)
    for structure in (*NAMES, "kidneys")
    for measure in ("volume", "coverage_fraction", "fat_fraction", "in_phase_mean")
]


def quality(*objections: tuple[str, ...], model: str = ORGANS.name) -> pa.Table:
    """Rows of objections: participant, check, structure, grade, and place where there is one."""
    rows = [
        (who, "2", "dixon", check, of, model, 0.0, None, grade, "".join(place))
        for who, check, of, grade, *place in objections
    ]
    frame = pd.DataFrame(rows, columns=list(QUALITY.names)).astype({"value": float, "threshold": float})
    return objections_of(to_arrow(frame, QUALITY))


def graded(
    *objections: tuple[str, ...], model: str = ORGANS.name, of: str = ORGANS.name, good: GoodRatings | None = None
) -> pd.DataFrame:
    pairs = PAIRS if of == ORGANS.name else [("autochthon_left", "fat_fraction"), ("muscle", "fat_fraction")]
    long = long_rows({(who, "2", of): dict.fromkeys(pairs, 0.25) for who in ("1", "2")})
    shard = [name for name in MEASUREMENTS.names if name not in {column.name for column in GRADED}]
    ungraded = to_arrow(long, MEASUREMENTS).select(shard)
    rows = Grading(quality(*objections, model=model), MODELS, good).graded(ungraded)
    check_rows(rows.select(MEASUREMENTS.names), MEASUREMENTS)
    return rows.to_pandas().set_index(["participant_id", "structure", "measure"])


def objected(rows: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Grades of the first participant that are not pass; the other one has no objection."""
    assert set(rows.loc["2", "grade"]) == {"pass"}
    own = rows.loc["1"]
    return own.loc[own["grade"].ne("pass"), "grade"].to_dict()


def of_a_compartment(*objections: tuple[str, ...], model: str, of: str) -> dict[str, str]:
    """Grades of VAT of a model in a run with one that names vertebrae and one in which they are counted."""
    names = {"fat": ("inner_fat",), "spine": ("vertebrae_L4", "vertebrae_L5"), "column": ("sacrum", "IVD")}
    names["column"] = (*names["column"], "vertebra_body", "inner_fat")
    models = [
        small_model({place: rule(name, "a") for place, name in enumerate(own, 1)}).model_copy(update={"name": each})
        for each, own in names.items()
        if each != "spine" or "spine" in (model, of)
    ]
    pairs = [("visceral_fat_t9_l5", "volume"), ("inner_fat", "volume")]
    long = long_rows({("1", "2", of): dict.fromkeys(pairs, 0.25)})
    shard = [name for name in MEASUREMENTS.names if name not in {column.name for column in GRADED}]
    grading = Grading(quality(*objections, model=model), {ScanSequence.DIXON: models})
    rows = grading.graded(to_arrow(long, MEASUREMENTS).select(shard)).to_pandas()
    return rows.set_index("structure")["grade"].to_dict()


def test_a_compartment_is_no_better_than_what_it_is_made_of():
    cut = ("1", "lower_cutoff", "inner_fat", "fail")
    assert of_a_compartment(cut, model="fat", of="fat") == {"inner_fat": "fail", "visceral_fat_t9_l5": "fail"}
    assert set(of_a_compartment(cut, model="column", of="fat").values()) == {"pass"}
    edge = ("1", "cut_by_field_of_view", "inner_fat", "review")
    assert of_a_compartment(edge, model="fat", of="fat") == {"inner_fat": "review", "visceral_fat_t9_l5": "pass"}
    mirrored = ("1", "liver_right_of_spleen", "", "fail")
    assert of_a_compartment(mirrored, model="fat", of="fat")["visceral_fat_t9_l5"] != "pass"


def test_a_compartment_is_no_better_than_the_vertebrae_that_delimit_it():
    order = ("1", "vertebra_order", "", "review")
    assert of_a_compartment(order, model="spine", of="column") == {
        "inner_fat": "pass",
        "visceral_fat_t9_l5": "review",
    }
    assert set(of_a_compartment(order, model="column", of="column").values()) == {"pass", "review"}


@pytest.mark.parametrize(
    ("rated", "model", "of", "grade"),
    [
        ("vertebrae_L5", "spine", "fat", "fail"),
        ("vertebrae_L4", "spine", "fat", "pass"),
        ("", "spine", "fat", "fail"),
        ("IVD", "column", "fat", "fail"),
        ("IVD", "column", "column", "fail"),
        ("vertebrae_L5", "spine", "column", "fail"),
    ],
)
def test_a_compartment_is_no_better_than_raters_find_the_bones_that_delimit_it(rated, model, of, grade):
    found = of_a_compartment(("1", "rating", rated, "fail"), model=model, of=of)
    assert found == {"inner_fat": "pass", "visceral_fat_t9_l5": grade}


@pytest.mark.parametrize(
    ("good", "objection", "left"),
    [
        (["liver"], ("seen_top", "liver", "review", "spleen"), []),
        (["spleen"], ("seen_top", "liver", "review", "spleen"), ["liver"]),
        (["kidneys"], ("side_ratio", "kidney_left", "review"), ["kidney_left"]),
        (["kidney_left"], ("side_ratio", "kidney_left", "review"), []),
        (["kidney_left"], ("side_ratio", "kidney_right", "review", "kidney_left"), ["kidney_right", "kidneys"]),
        (["kidney_left"], ("kidney_volume_ratio", "", "review"), ["kidney_right", "kidneys"]),
        (["kidney_left", "kidney_right"], ("kidney_volume_ratio", "", "review"), []),
        (["liver"], ("cut_by_field_of_view", "liver", "review"), ["liver"]),
        (["liver"], ("labels_fit", "", "review"), [*NAMES, "kidneys"]),
        ([""], ("labels_fit", "", "review"), []),
        ([""], ("unusually_small", "liver", "review"), ["liver"]),
        (["liver", ""], ("overlap_residual", "", "review"), [*NAMES, "kidneys"]),
    ],
)
def test_a_good_rating_answers_what_a_look_decides(good, objection, left):
    rated = GoodRatings(frozenset(("1", "2", "dixon", ORGANS.name, name) for name in good))
    assert objected(graded(("1", *objection), good=rated)) == every(left, ALL, "review")
    failed = (objection[0], objection[1], "fail", *objection[3:])
    assert objected(graded(("1", *failed), good=rated)) == objected(graded(("1", *failed))), "no fail is lifted"


def every(structures, measures, grade):
    return {(structure, measure): grade for structure in structures for measure in measures}


ALL = ("volume", "fat_fraction", "in_phase_mean")


@pytest.mark.parametrize(
    ("objection", "expected"),
    [
        (("lower_cutoff", "kidney_left", "fail"), every(["kidney_left", "kidneys"], ALL, "fail")),
        (("cut_by_field_of_view", "liver", "review"), every(["liver"], ALL, "review")),
        (("subcutaneous_fat_fraction", "liver", "fail"), every(["liver"], ["fat_fraction"], "fail")),
        (
            ("liver_right_of_spleen", "", "fail"),
            every([*NAMES, "kidneys"], ALL, "review") | every(["kidney_left", "kidney_right"], ALL, "fail"),
        ),
        (("wrong_side", "", "review"), every(["kidney_left", "kidney_right"], ALL, "review")),
        (("in_one_piece", "kidney_left", "review"), every(["kidney_left", "kidneys"], ALL, "review")),
        (
            ("in_one_piece", "kidney_left", "review", "spleen, kidney_right"),
            every(["kidney_left", "kidney_right", "kidneys", "spleen"], ALL, "review"),
        ),
        (
            ("overlap_residual", "", "review", "liver"),
            every([*NAMES, "kidneys"], ALL, "review"),
        ),
        (("cut_by_field_of_view", "liver", "review", "spleen"), every(["liver"], ALL, "review")),
        (("kidney_volume_ratio", "", "review"), every(["kidney_left", "kidney_right", "kidneys"], ALL, "review")),
        (("scan_ends_early", "", "review"), every(["subcutaneous_fat", "muscle"], ALL, "review")),
        (("overlap_residual", "", "review"), every([*NAMES, "kidneys"], ALL, "review")),
        (("contrast_sum", "", "review"), every([*NAMES, "kidneys"], ["fat_fraction"], "review")),
        (("structures_found", "", "review"), {}),
    ],
)
def test_a_check_decides_on_the_values_that_it_says(objection, expected):
    rows = graded(("1", *objection))
    assert objected(rows) == expected
    assert set(rows["decided_by"].dropna()) == ({objection[0]} if expected else set())


def test_a_value_that_failed_is_set_apart_and_the_worst_verdict_counts():
    rows = graded(
        ("1", "overlap_residual", "", "review"),
        ("1", "lower_cutoff", "liver", "fail"),
        ("1", "contrast_agreement", "spleen", "review"),
    ).loc["1"]
    failed = rows.loc[("liver", "volume")]
    assert pd.isna(failed["value"])
    assert failed[["value_before_grade", "missing_reason", "grade", "decided_by"]].tolist() == [
        *(0.25, "failed_check", "fail", "lower_cutoff"),
    ]
    spleen = rows.loc[("spleen", "volume")]
    assert spleen[["value", "grade"]].tolist() == [0.25, "review"]
    first = min(("overlap_residual", "contrast_agreement"), key=list(CHECKS).index)
    assert spleen["decided_by"] == first, "of equal verdicts that of the first check"
    assert rows.loc[("liver", "coverage_fraction"), "grade"] == "pass", "it describes the structure"


def test_what_is_wrong_with_the_scan_is_wrong_for_models_that_cannot_see_it():
    swapped = [("1", "subcutaneous_fat_fraction", name, "fail") for name in ("liver", "subcutaneous_fat")]
    rows = graded(*swapped, of=MUSCLES.name)
    assert objected(rows) == {("autochthon_left", "fat_fraction"): "fail"}, "muscle passed its own check"
    rows = graded(*swapped, ("1", "subcutaneous_fat_fraction", "muscle", "fail"), of=MUSCLES.name)
    assert objected(rows) == every(["autochthon_left", "muscle"], ["fat_fraction"], "fail")
    rows = graded(("1", "liver_right_of_spleen", "", "fail"), of=MUSCLES.name)
    assert objected(rows) == {("autochthon_left", "fat_fraction"): "fail", ("muscle", "fat_fraction"): "review"}
    rows = graded(("1", "overlap_residual", "", "review"), model=MUSCLES.name)
    assert objected(rows) == {}, "each model makes this check itself"


def test_no_objection_grades_everything_as_passed():
    assert objected(graded()) == {}


def test_a_scan_fails_by_checks_of_the_whole_scan_and_is_listed_by_those_that_ask_for_a_look():
    found = scan_grades(
        quality(
            ("1", "lower_cutoff", "liver", "fail"),
            ("1", "lower_cutoff", "spleen", "fail"),
            ("1", "overlap_residual", "", "review"),
            ("2", "kidney_sides", "", "fail"),
            ("2", "contrast_agreement", "liver", "review"),
            ("3", "cut_by_field_of_view", "liver", "review"),
        )
    ).set_index("participant_id")
    assert found.index.tolist() == ["1", "2"]
    assert found["scan_grade"].tolist() == ["review", "fail"]
    assert found.at["1", "scan_grade_decided_by"] == "lower_cutoff, overlap_residual"
    assert found.at["2", "scan_grade_decided_by"] == "kidney_sides, contrast_agreement"


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_decides_on_something_or_says_that_it_does_not(name):
    check = CHECKS[name]
    rows = graded(("1", name, "liver" if check.each_structure else "", "review"))
    # these models have no single vertebrae
    assert bool(objected(rows)) == (check.decides not in ("nothing", "levels"))


def test_what_raters_answer_are_checks_that_there_are_and_the_page_lists_them():
    page = (Path(__file__).parents[3] / "docs/ratings.md").read_text()
    for name in (*ANSWERED_BY_STRUCTURE, *ANSWERED_BY_LABEL_MAP, *LACKING_A_KIDNEY):
        assert name in CHECKS
        assert f"`{name}`" in page
    assert {name for name in ANSWERED_BY_STRUCTURE if not CHECKS[name].each_structure} == {"kidney_volume_ratio"}
    assert not any(CHECKS[name].each_structure for name in ANSWERED_BY_LABEL_MAP)
