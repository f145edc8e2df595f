"""Whether the patient ids inside the files are those of the names: judged source by source."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dixonflow.cohort.table import CohortScan
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Reason

ANOTHER_ID = "the patient id inside the files is not that of the file name"
CHECK_IS_OFF = f"{ANOTHER_ID}, as in most scans of this source: the check is off there"


def judge_patient_ids(pairs: Sequence[tuple[RawScan, CohortScan]], checked: Sequence[bool]) -> list[CohortScan]:
    """Exclude scans that bear another participant's id, and complete the notes.

    Where most scans of a source disagree, its headers carry pseudonyms: the check switches itself off there, with a
    note, so that a wrong guess never excludes a cohort.

    Parameters
    ----------
    pairs
        What was found, and its row so far.
    checked
        Whether the ids of a source are checked, by the number of the source.
    """
    counts = [Counter[bool]() for _ in checked]
    for raw, row in pairs:
        if row.patient_id_matches is not None and row.reason is Reason.NONE:
            counts[raw.source][row.patient_id_matches] += 1
    rows = []
    for raw, row in pairs:
        notes = [raw.note, row.left_out]
        if row.patient_id_matches is False and row.reason is Reason.NONE and checked[raw.source]:
            if counts[raw.source][False] > counts[raw.source][True]:
                notes.append(CHECK_IS_OFF)
            else:
                row = replace(row, reason=Reason.IDENTITY_MISMATCH, message=ANOTHER_ID)  # noqa: PLW2901
        rows.append(replace(row, note="; ".join(filter(None, notes))))
    return rows
