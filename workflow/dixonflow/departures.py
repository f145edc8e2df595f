"""Scans that leave the tables: their raw data vanished, or their participant withdrew. They go with a row, never in
silence.
"""

import csv
import io
from datetime import UTC, datetime

import pandas as pd

from dixonflow.atomic import write_bytes
from dixonflow.layout import Results
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Reason, Status

COLUMNS = ("left", "participant_id", "session_id", "status_before", "why")
VANISHED = "raw_data_vanished"


def departures(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Compare two states of the table `scans`.

    Returns
    -------
    DataFrame
        `participant_id`, `session_id`, `status_before` and `why` of each scan that was in the tables and is not any
        more: `raw_data_vanished` without a row in `now`, `consent_withdrawn` with one that says so.
    """
    was_in = before[before["status"].ne(Status.WITHDRAWN.value) & before["participant_id"].notna()]
    both = was_in[[*SCAN_KEYS, "status"]].merge(
        now[[*SCAN_KEYS, "status"]], how="left", on=list(SCAN_KEYS), suffixes=("_before", "_now")
    )
    withdrawn = both["status_now"].eq(Status.WITHDRAWN.value).fillna(False).astype(bool)
    gone = both[both["status_now"].isna() | withdrawn]
    why = withdrawn[gone.index].map({True: Reason.CONSENT_WITHDRAWN.value, False: VANISHED})
    return gone[[*SCAN_KEYS, "status_before"]].assign(why=why).reset_index(drop=True)


def write_departures(results: Results, left: pd.DataFrame) -> None:
    """Add rows to `departures.csv` below the results; it is never shortened."""
    if left.empty:
        return
    path = results.departures
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists():
        writer.writerow(COLUMNS)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    writer.writerows([date, *row] for row in left[list(COLUMNS[1:])].itertuples(index=False))
    earlier = path.read_bytes() if path.exists() else b""
    write_bytes(path, earlier + text.getvalue().encode())
