import csv
import os
from pathlib import Path

import pandas as pd

from dixonflow.aggregate.departures import COLUMNS, departures, write_departures
from dixonflow.cli.pipeline.aggregate import _earlier, is_chosen
from dixonflow.cohort.included import Included
from dixonflow.config import demo_config
from dixonflow.paths import Results
from dixonflow.vocabulary import Layout


def scans(*rows, sequence="dixon"):
    frame = pd.DataFrame(rows, columns=["participant_id", "session_id", "status"]).astype("string")
    return frame.assign(sequence=sequence, source="raw/ukb/" + frame["participant_id"])


def write(results, before, now, date):
    """Write down what left, between setting the earlier table aside and removing it, as the script does."""
    results.scans_before.touch()
    os.utime(results.scans_before, (date, date))
    write_departures(results, departures(before, now))


def test_what_the_configuration_does_not_ask_for_any_more_did_not_vanish():
    before = scans(("001", "2", "ok"), ("002", "2", "ok"), ("003", "2", "ok"))
    haste = scans(("001", "2", "ok"), sequence="haste")
    elsewhere = scans(("004", "2", "ok")).assign(source="raw/nako/004")
    config = demo_config()
    sources = tuple(source for source in config.cohort.sources if source.layout is Layout.UKB)
    config = config.model_copy(
        update={
            "cohort": config.cohort.model_copy(
                update={"sources": tuple(each.model_copy(update={"folder": Path("raw/ukb")}) for each in sources)}
            )
        }
    )
    included = Included(participants=frozenset({"001", "002", "004"}))
    left = departures(
        pd.concat([before, haste, elsewhere]),
        scans(("001", "2", "ok")),
        is_chosen=lambda row: is_chosen(row, config, included),
    )
    assert list(left[["participant_id", "sequence", "why"]].itertuples(index=False, name=None)) == [
        ("002", "dixon", "raw_data_vanished"),
        ("003", "dixon", "left_out_by_configuration"),
        ("001", "haste", "left_out_by_configuration"),
        ("004", "dixon", "left_out_by_configuration"),
    ]


def test_scans_that_vanished_or_withdrew_are_named_once(tmp_path):
    results = Results(tmp_path)
    first = scans(("001", "2", "ok"), ("001", "3", "ok"), ("002", "2", "excluded"), ("003", "2", "withdrawn"))
    second = scans(("001", "2", "withdrawn"), ("001", "3", "withdrawn"), ("003", "2", "withdrawn"), ("004", "2", "ok"))
    write(results, first, second, 1_000)
    write(results, second, second, 2_000)
    write(results, second, scans(("001", "2", "withdrawn")), 3_000)
    with results.departures.open() as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == COLUMNS
    assert [row[1:] for row in rows] == [
        ["001", "2", "ok", "consent_withdrawn", "dixon"],
        ["001", "3", "ok", "consent_withdrawn", "dixon"],
        ["002", "2", "excluded", "raw_data_vanished", "dixon"],
        ["004", "2", "ok", "raw_data_vanished", "dixon"],
    ]


def test_a_run_that_died_after_it_wrote_down_what_left_does_not_have_it_written_twice(tmp_path):
    results = Results(tmp_path)
    before, now, later = scans(("001", "2", "ok"), ("002", "2", "ok")), scans(("002", "2", "ok")), scans()
    write(results, before, now, 1_000)
    write(results, before, now, 1_000)
    write(results, before, later, 1_000)  # another one left before the next run
    write(results, before, now, 2_000)  # it came back and left once more
    rows = results.departures.read_text().splitlines()
    assert rows[1:] == [
        "1970-01-01T00:16:40+00:00,001,2,ok,raw_data_vanished,dixon",
        "1970-01-01T00:16:40+00:00,002,2,ok,raw_data_vanished,dixon",
        "1970-01-01T00:33:20+00:00,001,2,ok,raw_data_vanished,dixon",
    ]


def test_a_scan_of_another_sequence_of_the_session_has_its_own_row(tmp_path):
    results = Results(tmp_path)
    dixon, haste = scans(("001", "2", "ok")), scans(("001", "2", "ok"), sequence="haste")
    write(results, pd.concat([dixon, haste]), dixon, 1_000)
    write(results, dixon, scans(), 1_000)
    assert results.departures.read_text().splitlines()[1:] == [
        "1970-01-01T00:16:40+00:00,001,2,ok,raw_data_vanished,haste",
        "1970-01-01T00:16:40+00:00,001,2,ok,raw_data_vanished,dixon",
    ]


def test_rows_of_an_earlier_version_are_kept_as_those_of_dixon_scans(tmp_path):
    results = Results(tmp_path)
    earlier = "1970-01-01T00:16:40+00:00,001,2,ok,raw_data_vanished"
    results.departures.write_text(f"left,participant_id,session_id,status_before,why\n{earlier}\n")
    for date in (1_000, 2_000):
        write(results, scans(("001", "2", "ok")), scans(), date)
    assert results.departures.read_text().splitlines() == [
        "left,participant_id,session_id,status_before,why,sequence",
        f"{earlier},dixon",
        "1970-01-01T00:33:20+00:00,001,2,ok,raw_data_vanished,dixon",
    ]


def test_nothing_is_written_where_nothing_left(tmp_path):
    write_departures(Results(tmp_path), departures(scans(("1", "2", "ok")), scans(("1", "2", "failed"))))
    assert not Results(tmp_path).departures.exists()


def test_what_left_is_not_forgotten_where_a_run_dies_before_it_wrote_it_down(tmp_path):
    results = Results(tmp_path)
    results.scan_table.parent.mkdir()
    for content in (b"of the run before", b"of the run that dies"):
        results.scan_table.write_bytes(content)
        _earlier(results)
        assert results.scans_before.read_bytes() == b"of the run before"


def test_a_damaged_earlier_table_does_not_keep_a_run_from_replacing_it(tmp_path, caplog):
    results = Results(tmp_path)
    assert _earlier(results) is None
    assert not caplog.text
    results.scan_table.parent.mkdir()
    results.scan_table.write_bytes(b"PAR1 half written by another program")
    assert _earlier(results) is None
    assert "the scans removed since the last run" in caplog.text


def test_who_is_on_the_list_has_withdrawn_also_where_no_row_names_them() -> None:
    before = scans(("1", "2", "ok"), ("2", "2", "ok"), ("3", "2", "ok"))
    left = departures(before, scans(("1", "2", "ok")), {"2"})
    assert dict(zip(left["participant_id"], left["why"], strict=True)) == {
        "2": "consent_withdrawn",
        "3": "raw_data_vanished",
    }
