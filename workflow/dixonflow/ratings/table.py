"""The table `ratings`: what raters said of the scans of a run, superseded verdicts included."""

from collections.abc import Iterable

import pandas as pd

from dixonflow.ratings.judged import Judged, RatedLabelMap
from dixonflow.tables.columns import Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.definitions import PARTICIPANT, SEQUENCE, SESSION
from dixonflow.vocabulary import Cause, Grade, Verdict


def _counts_if_latest(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["grade"].isna() | rows["is_latest"]).astype(bool)


def _faults_have_causes(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["verdict"].ne(Verdict.FAULTY.value) | rows["cause"].notna()).astype(bool)


RATING_TABLE = Table(
    "ratings",
    "One row per verdict of a rater on a label map, or on one structure of it; superseded ones included.",
    ("participant_id", "session_id", "sequence", "model", "structure", "rater", "rated_at", "rating_id"),
    (
        PARTICIPANT,
        SESSION,
        SEQUENCE,
        text_column("model", "Segmentation model of the label map that was rated"),
        text_column(
            "structure", "Structure or composite that was rated; an empty text if the label map was rated as a whole"
        ),
        text_column(
            "verdict",
            "Verdict",
            "good; usable; faulty: at least 10 % are missing or over-segmented",
            allowed=Verdict,
        ),
        text_column(
            "cause",
            "Why the verdict is not better; with good an unusual anatomy, which the values are right about; null for "
            "none",
            nullable=True,
            allowed=Cause,
        ),
        text_column("rater", "Who rated"),
        text_column("rated_at", "When, UTC, ISO 8601"),
        Column("blinded", ColumnType.BOOL, "Whether the rater saw neither grades nor other ratings"),
        text_column("comment", "In the rater's words; empty for none"),
        text_column(
            "label_map",
            "Which label map was rated",
            "current: the one that these tables are made of; earlier: another one, which has been replaced, or a model "
            "that is not in the run; unknown: the rating does not say, or the scan has none now",
            allowed=RatedLabelMap,
        ),
        Column(
            "is_latest",
            ColumnType.BOOL,
            "Whether it is the rater's last word on this structure of this label map, and was not taken back",
        ),
        Column("taken_back", ColumnType.BOOL, "Whether the rater took it back"),
        text_column(
            "grade",
            "Grade that it gives to values; null where it does not count",
            "the worst one of all raters counts, as the check rating in quality",
            nullable=True,
            allowed=Grade,
        ),
        text_column("label_map_key", "Identifies the label map that was rated; empty where it is not known"),
        text_column("rating_id", "Identifies the rating"),
    ),
    (
        Rule("only last words count", _counts_if_latest),
        Rule("a fault has a cause", _faults_have_causes),
    ),
    since=2,
)


def rating_rows(judged: Iterable[Judged]) -> pd.DataFrame:
    """Rows of the table, in its columns and its order."""
    rows = [
        each.rating.to_row()
        | {
            "structure": each.rating.structure or "",
            "label_map": each.label_map.value,
            "is_latest": each.is_latest,
            "taken_back": each.taken_back,
            "grade": each.grade.value if each.grade else None,
        }
        for each in judged
    ]
    found = pd.DataFrame(rows, columns=list(RATING_TABLE.names))
    return found.sort_values(list(RATING_TABLE.keys), ignore_index=True)
