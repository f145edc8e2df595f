"""Ratings as CSV."""

import csv
from dataclasses import replace
from pathlib import Path

from dixonflow.ratings.export import write_csv
from dixonflow.ratings.rating import Rating
from dixonflow.vocabulary import Cause, ScanId, Verdict

FIRST = Rating(
    ScanId("000017", "2"), "vibe", None, Verdict.FAULTY, Cause.SWAP, "anna", "2026-12-01T09:30:00.000Z", "ab"
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_rating_is_a_row_and_no_comment_is_a_formula(tmp_path: Path) -> None:
    comments = ["=1+2", "+x", "-x", "@x", "\tx", " \n=1", "\uff1d1", 'a "b", c\nd', "größer 'x'"]
    ratings = [
        replace(FIRST, comment=comment, rated_at=f"2026-12-01T09:31:0{n}.000Z", rating_id=f"r{n}", structure="liver")
        for n, comment in enumerate(comments)
    ]
    write_csv([*ratings, FIRST], tmp_path / "out" / "ratings.csv")
    rows = read(tmp_path / "out" / "ratings.csv")
    assert [row["comment"] for row in rows[1:]] == [*(f"'{each}" for each in comments[:7]), *comments[7:]]
    assert rows[0] == {
        **{"participant_id": "000017", "session_id": "2", "sequence": "dixon", "model": "vibe", "structure": ""},
        **{"verdict": "faulty", "cause": "swap", "rater": "anna", "rated_at": FIRST.rated_at, "blinded": "false"},
        **{"comment": "", "withdrawn": "false", "is_latest_of_key": "true", "label_map_key": "ab"},
        "rating_id": FIRST.rating_id,
    }
    assert [row["is_latest_of_key"] for row in rows] == ["true", *["false"] * 8, "true"]


def test_no_ratings_are_a_heading(tmp_path: Path) -> None:
    write_csv([], tmp_path / "ratings.csv")
    assert read(tmp_path / "ratings.csv") == []
    assert (tmp_path / "ratings.csv").read_bytes().startswith(b"participant_id,")
