"""Ratings on the disk: what was acknowledged stays, and nothing is read that nobody said."""

import json
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dixonflow.ratings.rating import Rating, RatingError
from dixonflow.ratings.store import RatingStore, current, read_ratings
from dixonflow.vocabulary import Cause, ScanId, ScanSequence, Verdict

LIVER = Rating(
    ScanId("100001", "2"), "vibe", "liver", Verdict.FAULTY, Cause.NETWORK, "anna", "2026-12-01T09:30:00.000Z", "ab12"
)

WRITER = """
import sys
from pathlib import Path
from dixonflow.ratings.rating import Rating, time_now
from dixonflow.ratings.store import RatingStore
from dixonflow.vocabulary import ScanId, Verdict
store = RatingStore(Path(sys.argv[1]), "anna")
for number in range(100_000):
    rating = Rating(ScanId("100001", "2"), "vibe", None, Verdict.GOOD, None, "anna", time_now(), "ab12",
                    comment="x" * 500, rating_id=f"{sys.argv[2]}-{number}")
    store.add(rating)
    print(rating.rating_id, flush=True)
"""


def later(rating: Rating, minute: int, **changes: object) -> Rating:
    return replace(rating, rated_at=f"2026-12-01T10:{minute:02}:00.000Z", rating_id=f"r{minute}", **changes)  # type: ignore[arg-type]


def test_what_is_added_is_read_back_in_time_order(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "ratings"
    assert read_ratings(folder) == []
    words = later(
        LIVER, 2, comment='"=2+2"\nüber, 日本\t', blinded=True, rater="ben2", structure=None, cause=Cause.CYST
    )
    haste = later(LIVER, 1, scan=ScanId("000007", "0", ScanSequence.HASTE), withdrawn=True)
    for rating in (words, haste, LIVER):
        assert RatingStore(folder, rating.rater).add(rating)
    assert read_ratings(folder) == [LIVER, haste, words]
    assert len((folder / "anna.jsonl").read_text().splitlines()) == 2


def test_a_verdict_that_is_sent_again_counts_once(tmp_path: Path) -> None:
    store = RatingStore(tmp_path, "anna")
    assert store.add(LIVER)
    assert not store.add(LIVER)
    assert read_ratings(tmp_path) == [LIVER]
    with pytest.raises(RatingError, match=r"line 1: another rating has the same rating_id"):
        store.add(replace(LIVER, verdict=Verdict.USABLE))
    quoted = later(LIVER, 1, comment=f'"rating_id": "{"r9"}"')
    assert store.add(quoted)
    assert store.add(later(LIVER, 9))


def test_a_half_written_last_line_was_never_acknowledged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, path = RatingStore(tmp_path, "anna"), tmp_path / "anna.jsonl"
    store.add(LIVER)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    with caplog.at_level(logging.WARNING):
        assert read_ratings(tmp_path) == [LIVER]
    assert "half-written last line" in caplog.text
    store.add(later(LIVER, 1))
    assert read_ratings(tmp_path) == [LIVER, later(LIVER, 1)]
    path.write_bytes(path.read_bytes()[:-1])  # all but the end of the line: an editor does that
    store.add(later(LIVER, 2))
    assert len(read_ratings(tmp_path)) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "has not the fields"),
        (b"\xff\xfe", "not in UTF-8"),
        (b"[" * 5000, "nested too deeply"),
        (b"x" * 100_000, "too long"),
        (b"null", "has not the fields"),
    ],
    ids=["empty", "binary", "deep", "long", "null"],
)
def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path, line: bytes, reason: str) -> None:
    store, path = RatingStore(tmp_path, "anna"), tmp_path / "anna.jsonl"
    store.add(LIVER)
    path.write_bytes(path.read_bytes() + line + b"\n")
    store.add(later(LIVER, 1))
    with pytest.raises(RatingError, match=rf"anna\.jsonl, line 2 is damaged: .*{reason}.*(Restore|remove)"):
        read_ratings(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "perfect"},
        {"verdict": None},
        {"cause": None},
        {"cause": 3},
        {"verdict": "good"},
        {"participant_id": "../x"},
        {"participant_id": 100001},
        {"sequence": "mri"},
        {"rated_at": "yesterday"},
        {"rated_at": "2026-13-01T09:30:00.000Z"},
        {"rated_at": "2026-12-01T09:30:00.000+01:00"},
        {"label_map_key": "AB/12"},
        {"comment": "a\x00b"},
        {"comment": "\ud800"},
        {"comment": "x" * 2001},
        {"blinded": "yes"},
        {"structure": "=cmd"},
        {"structure": ""},
        {"rater": "anna b"},
        {"unexpected": 1},
    ],
    ids=str,
)
def test_a_line_that_contradicts_itself_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "anna.jsonl").write_text(json.dumps(LIVER.to_row() | change) + "\n")
    with pytest.raises(RatingError, match=r"line 1"):
        read_ratings(tmp_path)


def test_what_two_files_say_differently_is_believed_of_neither(tmp_path: Path) -> None:
    RatingStore(tmp_path, "anna").add(LIVER)
    RatingStore(tmp_path, "ben").add(replace(LIVER, rater="ben"))
    with pytest.raises(RatingError, match=r"ben\.jsonl, line 1: another rating has the same rating_id"):
        read_ratings(tmp_path)
    (tmp_path / "ben.jsonl").write_bytes((tmp_path / "anna.jsonl").read_bytes())
    with pytest.raises(RatingError, match=r"ben\.jsonl, line 1: a rating by anna"):
        read_ratings(tmp_path)


def test_a_rater_has_letters_and_digits(tmp_path: Path) -> None:
    for name in ("", "../anna", "anna b", "änna", "a" * 41, "anna\n"):
        with pytest.raises(RatingError, match="letters"):
            RatingStore(tmp_path, name)
    with pytest.raises(RatingError, match="by anna"):
        RatingStore(tmp_path, "ben").add(LIVER)
    RatingStore(tmp_path, "anna").add(LIVER)
    with pytest.raises(RatingError, match="there is a rater anna"):
        RatingStore(tmp_path, "Anna").add(later(LIVER, 1, rater="Anna"))


def test_where_nothing_can_be_written_nothing_is_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "ratings").write_text("a file in place of the folder")
    with pytest.raises(RatingError, match="cannot be written, nothing was saved"):
        RatingStore(tmp_path / "ratings", "anna").add(LIVER)
    (tmp_path / "anna.jsonl").mkdir()
    with pytest.raises(RatingError, match="cannot be written"):
        RatingStore(tmp_path, "anna").add(LIVER)
    with pytest.raises(RatingError, match="cannot be read"):
        read_ratings(tmp_path)


def test_the_last_word_counts_and_may_be_taken_back() -> None:
    better = later(LIVER, 1, verdict=Verdict.USABLE)
    of_ben = later(LIVER, 2, rater="ben")
    other_map = later(LIVER, 3, label_map_key="cd34", verdict=Verdict.GOOD, cause=None)
    spleen = later(LIVER, 4, structure="spleen")
    taken_back = later(LIVER, 5, structure="spleen", withdrawn=True)
    assert current([spleen, of_ben, taken_back, other_map, better, LIVER]) == [better, of_ben, other_map]
    assert current([taken_back, later(spleen, 6)]) == [later(spleen, 6)]


def _write(folder: Path, tag: str) -> None:
    store = RatingStore(folder, "anna")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.add, [replace(LIVER, rating_id=f"{tag}-{n}", comment=tag * 300) for n in range(40)]))


def test_tabs_and_servers_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, tag)) for tag in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_ratings(tmp_path)) == 120


def test_thirty_killed_writers_lose_no_acknowledged_rating(tmp_path: Path) -> None:
    chance = random.Random(5)
    acknowledged: set[str] = set()
    for round_ in range(30):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "ratings"), f"k{round_}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as writer:
            assert writer.stdout is not None
            acknowledged.add(writer.stdout.readline().strip())
            time.sleep(chance.uniform(0, 0.05))
            writer.kill()
            acknowledged |= {line.strip() for line in writer.stdout if line.endswith("\n")}
    there = {rating.rating_id for rating in read_ratings(tmp_path / "ratings")}
    assert acknowledged <= there
    assert len(there) >= 30
