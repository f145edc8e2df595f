"""Ratings as one CSV file, for people and for other programs."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from dixonflow.ratings.rating import Rating
from dixonflow.ratings.store import current
from dixonflow.system.atomic import write_bytes

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of what a spreadsheet computes instead of showing it; the last four are wide ones."""

_COLUMNS = (
    *("participant_id", "session_id", "sequence", "model", "structure", "verdict", "cause", "rater", "rated_at"),
    *("blinded", "comment", "withdrawn", "is_latest_of_key", "label_map_key", "rating_id"),
)


def write_csv(ratings: Iterable[Rating], path: Path) -> None:
    """Write all ratings, superseded and withdrawn ones too, as CSV in UTF-8, whole or not at all.

    A structure is empty for a label map as a whole. `is_latest_of_key` is whether it is the rater's last word under the
    same key: that several keys stand for the same label map only the table `ratings` knows. A comment that a
    spreadsheet would take for a formula has an apostrophe before it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    ratings = list(ratings)
    latest = {rating.rating_id for rating in current(ratings)}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    for rating in sorted(ratings, key=lambda each: (each.scan, each.model, each.structure or "", each.rated_at)):
        row = rating.to_row() | {"is_latest_of_key": rating.rating_id in latest}
        rows.writerow([_cell(row[name]) for name in _COLUMNS])
    write_bytes(path, text.getvalue().encode())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) or text.lstrip().startswith(_FORMULAS) else text
