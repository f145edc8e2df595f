"""Ids in names and contents: found where they are, and not where a session or a number is written alike."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dixonflow.privacy.traces import Ids, in_content, traces, without_lines, without_rows

LONG, SHORT = Ids(["1000017"]), Ids(["2"])


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("sub-1000017_ses-2_dseg.json", True),
        ("1000017_20201_2_0.zip", True),
        ("scan of 1000017: done", True),
        ("/raw/PAT1000017_S1/1.dcm", True),
        ("10000171 and 21000017", False),
        ("11000017", False),
    ],
)
def test_an_id_is_a_word_of_its_own(text, long):
    assert LONG.in_text(text.encode()) is long


def test_short_ids_are_no_words_of_others():
    for text in ("sub-3_ses-2_dseg.json", "3_20201_2_0.zip", "2 scans in 2 s"):
        assert not SHORT.in_text(text.encode())
    assert SHORT.in_text(b"sub-2_ses-3_dseg.json")
    assert not SHORT.in_text(b"sub-22_ses-3_dseg.json")


def table(path: Path, rows: list[tuple[str | None, str, str]]) -> Path:
    frame = pd.DataFrame(rows, columns=["participant_id", "session_id", "source"])
    schema = pa.schema([(name, pa.string()) for name in frame], {b"table": b"scans"})
    pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False), path)
    return path


ROWS = [("1", "2", "raw/1_20201_2_0.zip"), ("2", "2", "raw/2_20201_2_0.zip"), (None, "", "raw/odd 1000017.zip")]


def test_rows_go_by_the_participant_and_nothing_else_of_the_table_changes(tmp_path):
    path = table(tmp_path / "scans.parquet", ROWS)
    assert in_content(path, SHORT)
    assert without_rows(path, SHORT) == 1
    left = pq.read_table(path)
    assert left.to_pylist() == [dict(zip(left.column_names, row, strict=True)) for row in (ROWS[0], ROWS[2])]
    assert left.schema.metadata[b"table"] == b"scans"
    assert without_rows(path, LONG) == 1, "a file without an id in its row is known by its name"
    assert not in_content(path, LONG)
    date = path.stat().st_mtime_ns
    assert without_rows(path, LONG) == 0
    assert path.stat().st_mtime_ns == date, "not touched"


def test_records_go_by_their_participant(tmp_path):
    path = tmp_path / "a1.jsonl.gz"
    lines = [json.dumps({"outcome": {"participant_id": who, "session_id": "2"}}) + "\n" for who in ("1", "2", "3")]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    assert in_content(path, SHORT)
    assert without_lines(path, SHORT) == 1
    assert gzip.decompress(path.read_bytes()).decode().splitlines() == [lines[0].strip(), lines[2].strip()]


def test_a_number_that_equals_an_id_is_none_and_a_text_is(tmp_path):
    count, text = tmp_path / "count.json", tmp_path / "text.json"
    count.write_text(json.dumps({"voxels": 1000017}))
    text.write_text(json.dumps({"inputs": ["raw/1000017_20201_2_0.zip"]}))
    assert traces(tmp_path, LONG) == [text]
    assert count.exists()


def test_departures_go_by_their_participant(tmp_path):
    path = tmp_path / "departures.csv"
    path.write_text("date,participant_id,session_id\n2026-01-01,01,2\n2026-01-01,02,01\n")
    assert without_lines(path, Ids(["01"])) == 1
    assert path.read_text().splitlines()[1:] == ["2026-01-01,02,01"]


def test_folders_behind_links_are_searched_once(tmp_path):
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("sub-1000017")
    results = tmp_path / "results"
    results.mkdir()
    (results / "tables").symlink_to(elsewhere)
    (results / "again").symlink_to(results)
    assert [path.name for path in traces(results, LONG)] == ["a.txt"]


def test_text_of_pictures_counts_and_their_pixels_do_not(tmp_path):
    clean, told = tmp_path / "clean.png", tmp_path / "told.png"
    Image.new("L", (9, 9)).save(clean)
    words = PngInfo()
    words.add_text("Comment", "scan 1000017")
    Image.new("L", (9, 9)).save(told, pnginfo=words)
    assert not in_content(clean, LONG)
    assert in_content(told, LONG)
    assert traces(tmp_path, LONG) == [told]


def test_a_damaged_table_is_searched_all_the_same(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 sub-1000017 and no footer")
    assert traces(tmp_path, LONG) == [path]
