"""Whether the patient ids inside the files are those of the names: judged source by source."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dixonflow.cohort.found import FoundScan
from dixonflow.cohort.table import CohortScan
from dixonflow.vocabulary import Reason

ANOTHER_ID = "the patient id inside the files differs from the file name"
CHECK_IS_OFF = f"{ANOTHER_ID}, as in most scans of this source: the check is turned off there"


def judge_patient_ids(pairs: Sequence[tuple[FoundScan, CohortScan]], checked: Sequence[bool]) -> list[CohortScan]:
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
    for found, row in pairs:
        if row.patient_id_matches is not None and row.reason is Reason.NONE:
            counts[found.source][row.patient_id_matches] += 1
    rows = []
    for found, row in pairs:
        notes = [found.note, row.left_out]
        if row.patient_id_matches is False and row.reason is Reason.NONE and checked[found.source]:
            if counts[found.source][False] > counts[found.source][True]:
                notes.append(CHECK_IS_OFF)
            else:
                row = replace(row, reason=Reason.IDENTITY_MISMATCH, message=ANOTHER_ID)  # noqa: PLW2901
        rows.append(replace(row, note="; ".join(filter(None, notes))))
    return rows
