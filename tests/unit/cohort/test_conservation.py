"""The conservation law against an independent listing."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from dixonflow.cohort.conservation import ConservationError, check_conservation
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Layout, Status

WITHDRAWN = {"100012"}
COLUMNS = ["participant_id", "session_id", "sequence", "source", "status"]


@pytest.fixture
def raw(tmp_path: Path) -> list[Source]:
    """Two zips of UK Biobank, one of NAKO, a session of a BIDS folder, one of CT; entries without a name in three."""
    for name in ("ukb/a/0001_20201_2_0.zip", "ukb/0001_20201_3_0.zip", "ukb/x_20201_2_0.zip", "ukb/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("nako/100012_30.zip", "nako/100012.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("dicom/7_1/a", "dicom/7_1/b/c", "dicom/other/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("bids/sub-01/ses-1/anat", "bids/sub-02", "bids/derivatives", "ct/sub-03/ses-2/ct"):
        (tmp_path / name).mkdir(parents=True)
    pattern = {Layout.DICOM: r"(?P<participant>[0-9]+)_(?P<session>[0-9]+)/"}
    return [Source(layout, tmp_path / layout.value, pattern.get(layout)) for layout in Layout]


def whole_table(raw: list[Source]) -> pd.DataFrame:
    ukb, nako, bids, ct, dicom = (source.folder for source in raw)
    rows = [
        ("0001", "2", "dixon", ukb / "a/0001_20201_2_0.zip", "ok"),
        ("0001", "3", "dixon", ukb / "0001_20201_3_0.zip", "failed"),
        ("100012", "30", "dixon", nako / "100012_30.zip", "withdrawn"),
        ("01", "1", "dixon", bids / "sub-01/ses-1", "excluded"),
        (None, None, "", ukb / "x_20201_2_0.zip", "excluded"),
        (None, None, "", nako / "100012.zip", "excluded"),
        (None, None, "", bids / "sub-02", "excluded"),
        ("03", "2", "ct", ct / "sub-03/ses-2", "ok"),
        ("7", "1", "dixon", dicom / "7_1", "ok"),
        (None, None, "", dicom / "other", "excluded"),
    ]
    return pd.DataFrame([(*key, str(path), status) for *key, path, status in rows], columns=COLUMNS)


def test_what_adds_up_is_counted(raw: list[Source]) -> None:
    result = check_conservation(raw, whole_table(raw), WITHDRAWN)
    assert (result.n_raw, result.n_unparsable) == (10, 4)
    assert result.n_by_status == {Status.OK: 3, Status.FAILED: 1, Status.WITHDRAWN: 1, Status.EXCLUDED: 5}
    assert sum(result.n_by_status.values()) == result.n_raw


@pytest.mark.parametrize("row", range(10))
def test_every_lost_row_is_missed_and_its_id_is_named_at_debug_level_only(
    raw: list[Source], row: int, caplog: pytest.LogCaptureFixture
) -> None:
    table = whole_table(raw)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConservationError, match="10 scans, the table has 9 rows: 1 scans without a row") as error:
        check_conservation(raw, table.drop(index=row), WITHDRAWN)
    assert "0001" not in str(error.value)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    named = table["participant_id"][row]
    assert str(table["source"][row] if pd.isna(named) else named) in caplog.text


def test_rows_from_nowhere_double_rows_and_unknown_words_break_the_law(raw: list[Source]) -> None:
    table = whole_table(raw)
    stranger = pd.DataFrame([("0002", "2", "dixon", "x", "ok")], columns=COLUMNS)
    with pytest.raises(ConservationError, match="1 rows without raw data"):
        check_conservation(raw, pd.concat([table, stranger]), WITHDRAWN)
    with pytest.raises(ConservationError, match="1 scans with more than one row"):
        check_conservation(raw, pd.concat([table, table[:1]]), WITHDRAWN)
    # an exchange that leaves the number of rows as it is
    with pytest.raises(ConservationError, match=r"1 scans without a row .* 1 rows without raw data"):
        check_conservation(raw, pd.concat([table[1:], stranger]), WITHDRAWN)
    # another sequence of a session is another scan
    with pytest.raises(ConservationError, match=r"1 scans without a row .* 1 rows without raw data"):
        check_conservation(raw, table.assign(sequence=["haste", *table["sequence"][1:]]), WITHDRAWN)
    with pytest.raises(ConservationError, match="1 rows without a known status"):
        check_conservation(raw, table.assign(status=["done", *table["status"][1:]]), WITHDRAWN)
    numbers = table.assign(participant_id=[1, *table["participant_id"][1:]])
    with pytest.raises(ConservationError, match="1 scans without a row"):
        check_conservation(raw, numbers, WITHDRAWN)


def test_a_folder_that_cannot_be_listed_is_no_empty_folder(raw: list[Source], tmp_path: Path) -> None:
    for layout in Layout:
        with pytest.raises(ConservationError, match="cannot be listed"):
            check_conservation([Source(layout, tmp_path / "none")], whole_table(raw))


def test_the_list_of_withdrawn_participants_and_the_table_say_the_same(raw: list[Source]) -> None:
    table = whole_table(raw)
    for withdrawn in ((), {"100012", "0001"}, {"01"}):
        with pytest.raises(ConservationError, match="scans are withdrawn in the table but not on the list"):
            check_conservation(raw, table, withdrawn)
    check_conservation(raw, table, {"100012", "4711"})  # who has no scans
