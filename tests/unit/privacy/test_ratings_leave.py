"""Ratings of who has withdrawn are removed, and comments of raters leave with no version of the tables."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from synthetic_cohort import draw_cohort, write_cohort

from dixonflow.export.frozen import Described, pack_release
from dixonflow.export.source import bridged, read_source
from dixonflow.paths import Results
from dixonflow.privacy.egress import check_release
from dixonflow.privacy.known_people import KnownPeople
from dixonflow.privacy.traces import Ids, traces
from dixonflow.privacy.withdrawal import withdraw
from dixonflow.ratings.judged import judge
from dixonflow.ratings.rating import Rating
from dixonflow.ratings.store import RatingStore, read_ratings
from dixonflow.ratings.table import RATING_TABLE, rating_rows
from dixonflow.tables.definitions import DICTIONARY, SCANS
from dixonflow.tables.dictionary import datapackage, dictionary_rows
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import ScanId, Verdict

GONE, SHORT, STAYING = "1000001", "17", "1000002"


def rating(participant: str, number: int, comment: str = "") -> Rating:
    time = f"2026-12-01T09:30:{number:02}.000Z"
    key = f"ab{GONE}cd"  # a run of digits that is equal to an id and is none
    scan = ScanId(participant, "2")
    return Rating(scan, "vibe", "liver", Verdict.GOOD, None, "anna", time, key, comment, rating_id=f"r{number}")


RATINGS = [rating(GONE, 1), rating(SHORT, 2), rating(STAYING, 3, f"as {GONE}"), rating(STAYING, 4, "17 mm")]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A run with ratings."""
    found = Results(tmp_path / "results")
    write_cohort(found.tables, draw_cohort(12, {"liver": 0.0}, seed=1))
    (found.tables / "covariates.parquet").unlink()
    for each in RATINGS:
        RatingStore(found.ratings, "anna").add(each)
    write_ratings(found, RATINGS)
    return found


def write_ratings(results: Results, ratings: Sequence[Rating]) -> None:
    rows = rating_rows(judge(ratings, {}, lambda _: True))
    write_table(results.tables / "ratings.parquet", RATING_TABLE, rows)
    tables = [SCANS, RATING_TABLE, DICTIONARY]
    write_table(results.tables / "dictionary.parquet", DICTIONARY, dictionary_rows(tables))
    results.datapackage.write_text(json.dumps(datapackage(tables)))


def test_who_withdraws_is_in_no_rating(results: Results, tmp_path: Path) -> None:
    listed = tmp_path / "withdrawn.txt"
    listed.write_text(f"{GONE}\n{SHORT}\n")
    certificate = withdraw(results, frozenset({GONE, SHORT}), tmp_path, listed)
    assert certificate.left == []
    assert certificate.removed["ratings"] == 3, "two verdicts, and a comment that names somebody"
    assert read_ratings(results.ratings) == [replace(RATINGS[2], comment=""), RATINGS[3]]
    rows = pd.read_parquet(results.tables / "ratings.parquet")
    assert rows["participant_id"].tolist() == [STAYING, STAYING]
    assert rows["comment"].tolist() == ["", "17 mm"]
    assert traces(results.ratings, Ids({GONE, SHORT})) == []
    assert withdraw(results, frozenset({GONE, SHORT}), tmp_path, listed).removed["ratings"] == 0


def test_a_line_that_is_no_rating_is_not_kept_if_it_names_somebody(results: Results, tmp_path: Path) -> None:
    path = results.ratings / "anna.jsonl"
    half = f'{{"comment": "", "participant_id": "{GONE}"'.encode()
    path.write_bytes(b"[" + path.read_bytes() + half)
    assert withdraw(results, frozenset({GONE}), tmp_path, tmp_path / "withdrawn.txt").left == []
    assert read_ratings(results.ratings)[0] == RATINGS[1]


def test_a_rater_who_is_called_like_somebody_keeps_the_file_and_it_is_named(results: Results, tmp_path: Path) -> None:
    own = replace(RATINGS[3], rater=GONE, rating_id="own")
    RatingStore(results.ratings, GONE).add(own)
    left = withdraw(results, frozenset({GONE}), tmp_path, tmp_path / "withdrawn.txt").left
    assert "ratings/(id).jsonl" in left
    assert own in read_ratings(results.ratings)


def test_comments_are_in_no_version_and_other_ids_lead_nowhere(results: Results) -> None:
    write_ratings(results, [rating("1000003", 5, "a name")])
    described = Described({}, "# Methods\n", "")
    for name, bridge in (("own", None), ("other", {"1000003": "B7"})):
        tables = pack_release(results, name, described, bridge=bridge) / "tables"
        rows = pd.read_parquet(tables / "ratings.parquet")
        assert rows["participant_id"].tolist() == [bridge["1000003"] if bridge else "1000003"]
        assert "comment" not in rows
        assert ("rating_id" in rows, "label_map_key" in rows) == (bridge is None, bridge is None)
        described_as = pd.read_parquet(tables / "dictionary.parquet").query("table_name == 'ratings'")["name"]
        assert described_as.tolist() == list(rows.columns)
        package = json.loads((tables / "datapackage.json").read_text())
        (fields,) = [each["schema"]["fields"] for each in package["resources"] if each["name"] == "ratings"]
        assert [field["name"] for field in fields] == list(rows.columns)
        same = (tables / "scans.parquet").read_bytes() == (results.tables / "scans.parquet").read_bytes()
        assert same is (bridge is None)
    exported, _ = bridged(read_source(results.tables, "ratings"), {"1000003": "B7"})
    assert not {"comment", "rating_id", "label_map_key"} & set(exported.rows)


def test_ratings_must_not_leave(results: Results, tmp_path: Path) -> None:
    folder = tmp_path / "leaving"
    folder.mkdir()
    (folder / "ratings.parquet").write_bytes((results.tables / "ratings.parquet").read_bytes())
    pd.read_parquet(folder / "ratings.parquet").drop(columns="participant_id").to_csv(folder / "ratings.csv")
    problems = {each.path for each in check_release(folder, KnownPeople([GONE, STAYING]))[1]}
    assert problems == {"ratings.parquet", "ratings.csv"}
