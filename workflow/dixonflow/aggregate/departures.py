"""Scans that leave the tables: their raw data vanished, or their participant withdrew. They go with a row, never in
silence.
"""

import csv
import io
from collections.abc import Callable, Collection, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dixonflow.paths import Results
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Reason, ScanSequence, Status

COLUMNS = ("left", "participant_id", "session_id", "status_before", "why", "sequence")
VANISHED = "raw_data_vanished"
LEFT_OUT = "left_out_by_configuration"

Row = Mapping[Hashable, Any]


def departures(
    before: pd.DataFrame,
    now: pd.DataFrame,
    withdrawn: Collection[str] = (),
    is_chosen: Callable[[Row], bool] = lambda row: True,
) -> pd.DataFrame:
    """Compare two states of the table `scans`.

    Parameters
    ----------
    withdrawn
        Participants who have withdrawn: their rows in `now` need not name them.
    is_chosen
        Whether the configuration still asks for a scan of `before`.

    Returns
    -------
    DataFrame
        `participant_id`, `session_id`, `sequence`, `status_before` and `why` of each scan that was in the tables and is
        not any more: without a row in `now` `raw_data_vanished`, or `left_out_by_configuration` where it is not asked
        for any more; `consent_withdrawn` where a row or the list says so.
    """
    was_in = before[before["status"].ne(Status.WITHDRAWN.value) & before["participant_id"].notna()]
    both = was_in[[*SCAN_KEYS, "source", "status"]].merge(
        now[[*SCAN_KEYS, "status"]], how="left", on=list(SCAN_KEYS), suffixes=("_before", "_now")
    )
    by_consent = both["status_now"].eq(Status.WITHDRAWN.value).fillna(False).astype(bool)
    by_consent |= both["status_now"].isna() & both["participant_id"].isin(list(withdrawn))
    gone = both[both["status_now"].isna() | by_consent]
    why = [
        Reason.CONSENT_WITHDRAWN.value if by_consent[index] else VANISHED if is_chosen(row) else LEFT_OUT
        for index, row in zip(gone.index, gone.to_dict("records"), strict=True)
    ]
    return gone[[*SCAN_KEYS, "status_before"]].assign(why=why).reset_index(drop=True)


def write_departures(results: Results, left: pd.DataFrame) -> None:
    """Add rows to `departures.csv` below the results; it is never shortened.

    They bear the date at which the earlier table was set aside to compare with (`results.scans_before`): where this was
    done before, and the process died before it could remove that table, they are there already and are not added again.

    Parameters
    ----------
    left
        As `departures` gives it.
    """
    if left.empty:
        return
    path = results.departures
    date = datetime.fromtimestamp(int(results.scans_before.stat().st_mtime), UTC).isoformat()
    rows = [[date, *map(str, row)] for row in left[list(COLUMNS[1:])].itertuples(index=False)]
    earlier = _with_sequence(path.read_text(encoding="utf-8")) if path.exists() else ""
    known = {tuple(row) for row in csv.reader(io.StringIO(earlier, newline=""))}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if not earlier:
        writer.writerow(COLUMNS)
    writer.writerows(row for row in rows if tuple(row) not in known)
    write_bytes(path, (earlier + text.getvalue()).encode())


def _with_sequence(text: str) -> str:
    """Content of a file in the columns of this version; earlier ones had Dixon scans only, and no column that says so.

    It is returned as it is if it has the column, or another heading.
    """
    head, *rows = text.splitlines() or [""]
    if head != ",".join(COLUMNS[:-1]):
        return text
    return "".join(f"{row}\n" for row in (",".join(COLUMNS), *(f"{row},{ScanSequence.DIXON}" for row in rows)))
