"""What holds between the columns of any table that says what became of scans."""

import pandas as pd

from dixonflow.vocabulary import Reason


def reason_fits_status(rows: pd.DataFrame, prefix: str = "") -> "pd.Series[bool]":
    """Whether the columns `<prefix>status` and `<prefix>reason` agree, row by row."""
    words = {reason.value: reason.status.value for reason in Reason}
    return rows[f"{prefix}reason"].map(words).eq(rows[f"{prefix}status"]).fillna(False).astype(bool)
