"""Outcome rows: their invariants, and the way to Parquet and back."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dixonflow.execution.outcome import OUTCOMES, Outcome, read_outcomes, write_outcomes
from dixonflow.tables.definitions import TIMINGS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import Reason, ScanId, Stage, Status

FINE = Outcome(ScanId("0012", "2"), Stage.STITCH, Status.OK, Reason.NONE, "", 1.5, 310.25, 0.0, 1, "ab" * 32)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    reason = draw(st.sampled_from(Reason))
    number = st.floats(0, 1e9)
    return Outcome(
        scan=ScanId(
            draw(st.text("0123456789abcXYZ", min_size=1, max_size=7)),
            draw(st.text("0123456789", min_size=1, max_size=2)),
        ),
        stage=draw(st.sampled_from(Stage)),
        status=reason.status,
        reason=reason,
        message="" if reason is Reason.NONE else draw(st.text('a1 ä€"\n\t\0,', max_size=20)),
        seconds=draw(number),
        peak_memory_mb=draw(number),
        gpu_seconds=draw(number),
        attempt=draw(st.integers(0, 20)),
        content_key=draw(st.text("0123456789abcdef", max_size=64)),
    )


def test_every_reason_has_one_status() -> None:
    for reason in Reason:
        assert isinstance(reason.status, Status)
    assert [reason for reason in Reason if reason.status is Status.OK] == [Reason.NONE]
    assert [reason for reason in Reason if reason.status is Status.WITHDRAWN] == [Reason.CONSENT_WITHDRAWN]
    assert Reason.TRUNCATED_PIXELS.status is Status.EXCLUDED
    assert Reason.WORKER_DIED.status is Status.FAILED


@pytest.mark.parametrize(
    "change",
    [
        {"reason": Reason.TIMEOUT},
        {"status": Status.FAILED},
        {"status": Status.EXCLUDED, "reason": Reason.TIMEOUT},
        {"status": Status.FAILED, "reason": Reason.MISSING_STATION},
        {"status": Status.WITHDRAWN, "reason": Reason.MISSING_STATION},
        {"seconds": -1.0},
        {"peak_memory_mb": float("nan")},
        {"gpu_seconds": float("inf")},
        {"attempt": -1},
    ],
)
def test_outcome_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"reason|message|finite"):
        replace(FINE, **change)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=10)
@given(st.lists(outcomes(), max_size=8, unique_by=lambda outcome: outcome.scan))
def test_round_trip_sorted_by_scan(tmp_path_factory: pytest.TempPathFactory, rows: list[Outcome]) -> None:
    path = tmp_path_factory.mktemp("outcomes") / "shard.parquet"
    write_outcomes(path, rows)
    assert read_outcomes(path) == sorted(rows, key=lambda outcome: outcome.scan)


def test_bytes_depend_on_the_rows_alone(tmp_path: Path) -> None:
    other = replace(FINE, scan=ScanId("0011", "2"))
    write_outcomes(tmp_path / "a.parquet", [FINE, other])
    write_outcomes(tmp_path / "b.parquet", [other, FINE])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_two_outcomes_of_a_scan_are_refused_and_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "shard.parquet"
    write_outcomes(path, [FINE])
    with pytest.raises(TableError, match="keys of another row"):
        write_outcomes(path, [FINE, replace(FINE, stage=Stage.SEGMENT)])
    assert read_outcomes(path) == [FINE]
    assert list(tmp_path.iterdir()) == [path]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "shard.parquet"
    with pytest.raises(TableError, match=r"shard\.parquet cannot be read"):
        read_outcomes(path)
    write_outcomes(path, [FINE])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match=r"shard\.parquet cannot be read"):
        read_outcomes(path)


def test_another_table_is_not_taken_for_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "shard.parquet"
    write_outcomes(path, [FINE])
    rows = pq.read_table(path).to_pandas().assign(sequence=FINE.scan.sequence.value)
    write_table(path, TIMINGS, rows[list(TIMINGS.names)])
    with pytest.raises(TableError, match="'timings'"):
        read_outcomes(path)


def test_reason_of_another_status_is_refused_on_reading(tmp_path: Path) -> None:
    row = {
        "participant_id": "1",
        "session_id": "2",
        "stage": "stitch",
        "status": "ok",
        "reason": "timeout",
        "message": "",
        "seconds": 0.0,
        "peak_memory_mb": 0.0,
        "gpu_seconds": 0.0,
        "attempt": 1,
        "content_key": "",
    }
    with pytest.raises(TableError, match="status and reason agree"):
        write_table(tmp_path / "shard.parquet", OUTCOMES, pd.DataFrame([row]))
