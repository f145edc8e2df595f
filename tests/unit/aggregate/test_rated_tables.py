"""Ratings go into the table of ratings, into quality, and into the grades of the values and scans that they name."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic_run import MODEL, SHARDS, WITHDRAWN, Run, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.paths import Results
from dixonflow.ratings.rating import Rating, RatingError
from dixonflow.ratings.store import RatingStore
from dixonflow.ratings.table import RATING_TABLE
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import Cause, Reason, ScanId, ScanSequence, Stage, Verdict

NOW, BEFORE, SAME = "0a", "0b", "0c"
"""Keys of label maps: that of the tables, one that was replaced, and one that gave the same label map."""

SCAN = ScanId("0002", "2")
LIVER = Rating(SCAN, MODEL.name, "liver", Verdict.FAULTY, Cause.NETWORK, "anna", "2026-12-01T09:00:00.000Z", NOW)
GOOD: Mapping[str, Any] = {"verdict": Verdict.GOOD, "cause": None}
USABLE: Mapping[str, Any] = {"verdict": Verdict.USABLE, "cause": None}


def rated(minute: int = 1, **changes: Any) -> Rating:
    return replace(LIVER, rated_at=f"2026-12-01T10:{minute:02}:00.000Z", rating_id=f"r{minute}", **changes)


Build = Callable[..., Run]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run to which no check objects, with records of its label maps."""
    run = write_run(tmp_path_factory.mktemp("measured"))
    for shard, scans in SHARDS.items():
        rows = read_table(run.results.quality(shard), SHARD_QUALITY).to_pandas()
        own = rows["check"].map({name: check.threshold for name, check in CHECKS.items()}).notna()
        passing = rows["value"].where(~own)  # nor does the cohort's verdict, which follows from the value
        write_table(run.results.quality(shard), SHARD_QUALITY, rows.assign(grade="pass", value=passing))
        done = [Outcome.because(Reason.NONE, scan, Stage.POSTPROCESS, attempt=1, content_key=NOW) for scan in scans]
        records = {each.scan: Record(each, stands_for=(SAME,)) for each in done}
        Records(run.results.records(Stage.POSTPROCESS, shard, MODEL.name)).pack(records)
    return run


@pytest.fixture
def build(tmp_path: Path, measured: Run) -> Build:
    def built(*ratings: Rating, quality: Mapping[tuple[str, str], tuple[float | None, str]] | None = None) -> Run:
        """Tables of the run with further ratings, and checks of `SCAN` set to a value and a grade."""
        shutil.copytree(measured.results.root, tmp_path, dirs_exist_ok=True)
        run = Run(Results(tmp_path), measured.truth)
        if quality:
            path = run.results.quality("bbb")
            rows = read_table(path, SHARD_QUALITY).to_pandas()
            for (check, structure), (value, grade) in quality.items():
                own = rows["check"].eq(check) & rows["structure"].eq(structure)
                own &= rows["participant_id"].eq(SCAN.participant) & rows["session_id"].eq(SCAN.session)
                assert own.sum() == 1
                rows.loc[own, ["value", "grade"]] = [value, grade]
            write_table(path, SHARD_QUALITY, rows)
        for rating in ratings:
            RatingStore(run.results.ratings, rating.rater).add(rating)
        aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
        return run

    return built


def values(run: Run, structure: str, measure: str = "volume", participant: str = SCAN.participant) -> pd.Series:
    rows = run.table("measurements")
    own = rows[rows["structure"].eq(structure) & rows["measure"].eq(measure)]
    found = own[own["participant_id"].eq(participant) & own["session_id"].eq("2")]
    assert len(found) == 1
    return found.iloc[0]


def verdict(run: Run, structure: str) -> tuple[str | None, str | None]:
    found = values(run, structure)
    return found["grade"], None if pd.isna(found["decided_by"]) else found["decided_by"]


def test_a_faulty_structure_has_no_value_and_says_why(build: Build) -> None:
    before = values(build(), "liver")["value"]
    run = build(LIVER, rated(structure="kidney_left", rater="ben"))
    found = values(run, "liver")
    assert pd.isna(found["value"])
    assert found[["value_before_grade", "missing_reason", "grade", "decided_by"]].tolist() == [
        *(before, "failed_check", "fail", "rating"),
    ]
    wide = run.table("volumes").set_index("participant_id").loc[SCAN.participant]
    assert pd.isna(wide["liver_volume_ml"])
    assert wide[["liver_volume_missing_reason", "liver_volume_grade"]].tolist() == ["failed_check", "fail"]
    assert verdict(run, "kidneys") == ("fail", "rating"), "it is made of a faulty kidney"
    assert values(run, "liver", participant="0000")["grade"] == "pass"
    quality = run.table("quality").query("check == 'rating'")
    assert quality[
        ["participant_id", "structure", "model", "value", "threshold", "grade", "place"]
    ].values.tolist() == [
        [SCAN.participant, structure, MODEL.name, 2.0, 0.0, "fail", "faulty (network)"]
        for structure in ("kidney_left", "liver")
    ]
    scan = run.scan(SCAN.participant)
    assert scan[["scan_grade", "scan_grade_decided_by"]].tolist() == ["review", "rating"]
    failed = run.table("measurements").query("grade == 'fail'")
    assert scan["values_failed"] == len(failed) > 3
    assert set(failed["structure"]) == {"liver", "kidney_left", "kidneys"}


def test_a_faulty_label_map_fails_all_of_its_values_and_the_scan(build: Build) -> None:
    run = build(rated(structure=None, cause=Cause.MOVEMENT), rated(2, **GOOD))
    rows = run.table("measurements").query("participant_id == '0002' and session_id == '2'")
    amounts = rows[rows["measure"].isin(["volume", "fat_volume", "fat_fraction", "area"])]
    assert set(amounts["grade"].dropna()) == {"fail"}
    assert {"liver", "kidneys", "total_muscle"} <= set(amounts.loc[amounts["grade"].notna(), "structure"])
    assert verdict(run, "liver") == ("fail", "rating"), "no good structure lifts a fail"
    assert run.scan("0002")["scan_grade"] == "fail"


def test_a_usable_structure_is_for_review(build: Build) -> None:
    run = build(rated(**USABLE), rated(2, structure="kidneys", rater="ben", **USABLE))
    assert verdict(run, "liver") == ("review", "rating")
    assert verdict(run, "kidneys") == ("review", "rating")
    assert verdict(run, "kidney_left") == ("review", "rating"), "any part of it may be meant"


SMALL = {("unusually_small", "liver"): (0.1, "review"), ("cut_by_field_of_view", "spleen"): (0.1, "review")}


def test_a_good_structure_answers_checks_of_its_looks_alone(build: Build) -> None:
    before = build(quality=SMALL)
    assert verdict(before, "liver") == ("review", "unusually_small")
    assert before.scan("0002")["scan_grade_decided_by"] == "unusually_small"
    run = build(rated(**GOOD), rated(2, structure="spleen", **GOOD), quality=SMALL)
    objections = run.table("quality").query("participant_id == '0002' and structure == 'liver'")
    assert verdict(run, "liver") == ("pass", None)
    assert objections.set_index("check").loc["unusually_small", "grade"] == "review", "the check still says it"
    assert verdict(run, "spleen") == ("review", "cut_by_field_of_view"), "no look moves the field of view"
    assert run.scan("0002")["scan_grade"] == "pass"
    failed = {("lower_cutoff", "liver"): (0.1, "fail")}
    assert verdict(build(quality=failed), "liver") == ("fail", "lower_cutoff")


def test_a_good_label_map_takes_the_scan_off_the_list_and_lifts_no_single_value(build: Build) -> None:
    run = build(rated(structure=None, **GOOD), quality=SMALL)
    assert verdict(run, "liver") == ("review", "unusually_small")
    assert run.scan("0002")["scan_grade"] == "pass"


def test_of_two_raters_the_worse_verdict_decides(build: Build) -> None:
    run = build(rated(**GOOD), rated(2, rater="ben", **USABLE), rated(3, rater="carl", **GOOD), quality=SMALL)
    assert verdict(run, "liver") == ("review", "rating")
    rows = run.table("ratings")
    assert rows["grade"].tolist() == ["pass", "review", "pass"]
    assert rows["rater"].tolist() == ["anna", "ben", "carl"]


def test_a_later_verdict_replaces_and_a_withdrawn_one_does_not_count(build: Build) -> None:
    run = build(LIVER, rated(1, **USABLE), rated(2, rater="ben"), rated(3, rater="ben", withdrawn=True))
    assert verdict(run, "liver") == ("review", "rating")
    rows = run.table("ratings").set_index(["rater", "verdict"])
    assert rows["is_latest"].to_dict() == {
        ("anna", "faulty"): False,
        ("anna", "usable"): True,
        ("ben", "faulty"): False,
    }
    assert rows["taken_back"].tolist() == [False, False, True]
    assert rows["grade"].dropna().to_dict() == {("anna", "usable"): "review"}


def test_a_verdict_on_the_same_label_map_of_another_run_is_replaced_and_taken_back_like_any_other(build: Build) -> None:
    run = build(
        rated(label_map_key=SAME),
        rated(2, **GOOD),
        rated(3, structure="spleen", label_map_key=SAME),
        rated(4, structure="spleen", withdrawn=True),
    )
    assert values(run, "liver").grade == values(run, "spleen").grade == "pass"
    rows = pd.read_parquet(run.results.tables / "ratings.parquet").set_index("rating_id")
    assert rows["is_latest"].to_dict() == {"r1": False, "r2": True, "r3": False}
    assert rows["taken_back"].to_dict() == {"r1": False, "r2": False, "r3": True}


def test_a_verdict_on_another_label_map_counts_for_faults_of_the_images_only(build: Build) -> None:
    run = build(
        rated(1, label_map_key=BEFORE),
        rated(2, label_map_key=BEFORE, structure="kidney_left", cause=Cause.CUT),
        rated(3, label_map_key="", structure="spleen"),
        rated(4, label_map_key=SAME, structure="kidney_right"),
        rated(5, label_map_key=NOW, structure="muscle", **GOOD),
        rated(6, label_map_key="ff", structure="muscle", cause=Cause.SWAP, rater="ben"),
        rated(7, model="gone", label_map_key="ff", structure="subcutaneous_fat", cause=Cause.SWAP, rater="ben"),
    )
    assert verdict(run, "liver") == ("pass", None)
    assert verdict(run, "kidney_left") == ("review", "rating")
    assert verdict(run, "spleen") == ("review", "rating")
    assert verdict(run, "kidney_right") == ("fail", "rating"), "the same label map under another key"
    assert verdict(run, "muscle") == ("review", "rating")
    assert verdict(run, "subcutaneous_fat") == ("review", "rating")
    places = run.table("quality").query("check == 'rating'").set_index("structure")["place"]
    assert places["kidney_left"] == "faulty (cut), of an earlier label map"
    assert places["spleen"] == "faulty (network), and which label map was rated is not known"
    label_maps = run.table("ratings").set_index(["structure", "rater"])["label_map"]
    assert label_maps["spleen", "anna"] == "unknown"
    assert label_maps["liver", "anna"] == label_maps["muscle", "ben"] == "earlier"
    assert label_maps["kidney_right", "anna"] == "current"
    again = build(rated(8, structure="kidney_left", **GOOD))
    assert verdict(again, "kidney_left") == ("pass", None), "the rater has looked at the new label map since"


def test_a_person_without_a_kidney_is_right(build: Build) -> None:
    lacking = {("kidney_sides", ""): (None, "review"), ("kidney_volume_ratio", ""): (None, "review")}
    assert verdict(build(quality=lacking), "kidney_right") == ("review", "kidney_sides")
    removed = rated(structure=None, verdict=Verdict.GOOD, cause=Cause.MISSING_KIDNEY)
    run = build(removed, quality=lacking)
    assert verdict(run, "kidney_right") == ("pass", None)
    assert run.scan("0002")["scan_grade"] == "pass"
    both = build(quality={("kidney_sides", ""): (90.0, "pass")})
    quality = both.table("quality").query("check == 'rating'")
    assert quality[["grade", "place"]].values.tolist() == [
        ["review", "good (missing_kidney), but two kidneys have labels"]
    ]


def test_the_table_is_described_and_goes_with_the_ratings(build: Build, tmp_path: Path) -> None:
    without = build()
    assert not (without.results.tables / "ratings.parquet").exists()
    untouched = without.bytes()
    gone = replace(LIVER, scan=ScanId("0099", "2"), rating_id="gone")
    of_withdrawn, no_structure = rated(2, scan=WITHDRAWN), rated(3, structure="horn")
    run = build(replace(LIVER, comment="ä"), gone, of_withdrawn, no_structure)
    rows = run.table("ratings")
    assert tuple(rows.columns) == RATING_TABLE.names
    assert rows[["participant_id", "structure", "comment"]].values.tolist() == [
        ["0002", "horn", ""],
        ["0002", "liver", "ä"],
    ]
    assert rows["grade"].fillna("").tolist() == ["", "fail"]
    package = json.loads(run.results.datapackage.read_text())
    assert "ratings.parquet" in {each["path"] for each in package["resources"]}
    described = run.table("dictionary").query("table_name == 'ratings'")
    assert described["name"].tolist() == list(rows.columns)
    (tmp_path / "ratings" / "anna.jsonl").unlink()
    assert build().bytes() == untouched, "without ratings nothing is different"


def test_a_damaged_file_stops_the_tables_before_they_say_that_they_are_done(build: Build, tmp_path: Path) -> None:
    (tmp_path / "ratings").mkdir()
    (tmp_path / "ratings" / "anna.jsonl").write_text("{}\n")
    with pytest.raises(RatingError, match=r"anna\.jsonl, line 1"):
        build()
    assert not (tmp_path / "tables" / "datapackage.json").exists()
