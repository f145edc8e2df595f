"""The tables scans, timings, quality and dictionary."""

from dataclasses import replace

import pandas as pd

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.tables.columns import Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.outcome_rules import reason_fits_status
from dixonflow.vocabulary import Grade, Layout, Reason, ScanSequence, Stage, Status

STATUS_DEFINITION = (
    "ok: has values; excluded: the data cannot be processed, and a retry is pointless until the input changes; "
    "failed: should have worked, the next run retries; withdrawn: the participant took back consent"
)
REASON_DEFINITION = "; ".join(f"{reason.value}: {reason.description}" for reason in Reason)
WITH_TOUCHED = ", ".join(check.name for check in CHECKS.values() if check.with_touched)
OF_COHORT = ", ".join(check.name for check in CHECKS.values() if check.of_cohort or check.of_protocol)
OF_STRUCTURES = ", ".join(check.name for check in CHECKS.values() if check.each_structure)
GRADE_DEFINITION = "pass: no objection; review: a person should look at the scan; fail: do not use"


PARTICIPANT = text_column(
    "participant_id", "Participant id as written by the cohort: a string, including leading zeros"
)
SESSION = text_column("session_id", "Session of the participant: UK Biobank instance, NAKO wave or BIDS session")

SEQUENCE = text_column(
    "sequence",
    "How the scan was acquired",
    "dixon: two-point Dixon; haste: T2 HASTE; me_vibe: multi-echo VIBE; t2_tse: T2 TSE; pd: proton density; ct: CT; "
    "other: any other image",
    allowed=ScanSequence,
)


def with_sequence(table: Table) -> Table:
    """Table of all scans from that of a shard, whose scans are of one sequence: with a column that says which."""
    columns = [column for column in table.columns if column not in (PARTICIPANT, SESSION)]
    keys = list(table.keys)
    keys.insert(keys.index(SESSION.name) + 1, SEQUENCE.name)
    return replace(table, keys=tuple(keys), columns=(PARTICIPANT, SESSION, SEQUENCE, *columns))


_STAGE_COLUMNS = tuple(
    column
    for stage in Stage
    for column in (
        text_column(
            f"{stage.value}_status",
            f"Outcome of the scan at stage {stage.value}",
            f"a stage after one that is not ok repeats its status; {STATUS_DEFINITION}",
            allowed=Status,
        ),
        text_column(
            f"{stage.value}_reason",
            f"Why the scan is not ok at stage {stage.value}",
            "a stage after one that is not ok repeats its reason; see column reason",
            allowed=Reason,
        ),
    )
)


def _ids_known(rows: pd.DataFrame) -> "pd.Series[bool]":
    known = rows["participant_id"].notna() & rows["session_id"].notna()
    unnamed = rows["reason"].isin([Reason.UNPARSABLE_NAME.value, Reason.CONSENT_WITHDRAWN.value])
    return (known | unnamed).astype(bool)


def _one_row_each(rows: pd.DataFrame) -> "pd.Series[bool]":
    keys = ["participant_id", "session_id", "sequence"]
    return (~rows.duplicated(keys, keep=False) | rows["participant_id"].isna()).astype(bool)


def _last_stage_decides(rows: pd.DataFrame) -> "pd.Series[bool]":
    agrees = pd.Series(False, index=rows.index)
    for stage in Stage:
        here = rows["last_stage"].eq(stage.value) & rows[f"{stage.value}_status"].eq(rows["status"])
        agrees |= (here & rows[f"{stage.value}_reason"].eq(rows["reason"])).astype(bool)
    measured = rows["status"].ne(Status.OK.value) | rows["last_stage"].eq(Stage.MEASURE.value)
    return (agrees & measured).astype(bool)


def _graded_if_ok(rows: pd.DataFrame) -> "pd.Series[bool]":
    ok, objected = rows["status"].eq(Status.OK.value), rows["scan_grade"].ne(Grade.PASS.value).fillna(False)
    counted = rows["values_failed"].notna() & rows["values_to_review"].notna()
    decided = objected.eq(rows["scan_grade_decided_by"].notna())
    return (ok.eq(rows["scan_grade"].notna()) & ok.eq(counted) & decided).astype(bool)


def _stage_rule(stage: Stage) -> Rule:
    prefix = f"{stage.value}_"
    return Rule(f"{prefix}status and {prefix}reason agree", lambda rows: reason_fits_status(rows, prefix))


_NO_IDS = "null only where reason is unparsable_name, or consent_withdrawn where those rows are only counted"

FILE_COUNTS = {
    "n_files": "that the scan is read from",
    "n_files_superseded": "that a later delivery replaces",
    "n_files_repeated": "that hold the scan or a part of it again",
}
"""Columns of the table `scans` that count files, and which."""

_FILES = (
    "zips, images, or folders of them, as they lie in the raw folders. A BIDS folder with scans of several sequences "
    "counts in the first; what is no scan, such as a note, does not count"
)

SCANS = Table(
    "scans",
    "One row per scan in the raw folders, whatever its outcome.",
    ("participant_id", "session_id", "sequence", "source"),
    (
        text_column(PARTICIPANT.name, PARTICIPANT.description, _NO_IDS, nullable=True),
        text_column(SESSION.name, SESSION.description, _NO_IDS, nullable=True),
        text_column(
            SEQUENCE.name,
            SEQUENCE.description,
            f"{SEQUENCE.definition}; empty only where reason is unparsable_name",
            allowed=("", *ScanSequence),
        ),
        text_column("layout", "Layout of the raw data", allowed=Layout),
        text_column(
            "source",
            "File or folder of the scan",
            "identifies entries without ids in their name",
        ),
        text_column("raw_key", "Fingerprint of the raw data; null if it was not read", nullable=True),
        text_column("shard", "Shard: scans that one job processed; null if not processed", nullable=True),
        Column("n_stations", ColumnType.INT64, "Number of stations; null if unknown", nullable=True, minimum=0),
        Column(
            "n_slices", ColumnType.INT64, "Number of slices of a contrast; null if unknown", nullable=True, minimum=0
        ),
        *(
            Column(
                name,
                ColumnType.INT64,
                f"Number of files and folders {words}; null if unknown",
                definition=_FILES,
                nullable=True,
                minimum=0,
            )
            for name, words in FILE_COUNTS.items()
        ),
        text_column("status", "Outcome of the scan", STATUS_DEFINITION, allowed=Status),
        text_column("reason", "Why the scan is not ok", REASON_DEFINITION, allowed=Reason),
        text_column("message", "Explanation for people; empty for ok"),
        text_column("note", "Remarks that are no reason to exclude the scan; usually empty"),
        text_column(
            "last_stage",
            "Stage that decided the status",
            "the first stage with a status other than ok, measure if all are ok",
            allowed=Stage,
        ),
        text_column(
            "content_key",
            "Key over inputs, parameters, model and code at the last stage; null if there is none",
            "equal keys, equal results",
            nullable=True,
        ),
        text_column(
            "scan_grade",
            "Verdict on the scan; null if its status is not ok",
            f"{GRADE_DEFINITION}. fail: a check of the whole scan failed; review: another check that asks for a look "
            "did not pass. Values have grades of their own, in measurements",
            nullable=True,
            allowed=Grade,
        ),
        text_column(
            "scan_grade_decided_by",
            "Checks that did not pass and ask for a look, in the order of the table quality; null if there are none",
            nullable=True,
        ),
        *(
            Column(
                name,
                ColumnType.INT64,
                f"Number of the scan's values {words}; null if its status is not ok",
                definition="of all models; the values are in measurements",
                nullable=True,
                minimum=0,
            )
            for name, words in (
                ("values_failed", "that failed a check and are null"),
                ("values_to_review", "whose grade is review"),
            )
        ),
        *_STAGE_COLUMNS,
    ),
    (
        Rule("status and reason agree", reason_fits_status),
        Rule("scans that are ok have a grade, what decided it, and counts of values", _graded_if_ok),
        Rule("ids are missing for unparsable names and the withdrawn only", _ids_known),
        Rule("a scan has one row", _one_row_each),
        Rule("the last stage has the status of the scan, and is measure where that is ok", _last_stage_decides),
        *(_stage_rule(stage) for stage in Stage),
    ),
)

TIMINGS = Table(
    "timings",
    "One row per scan and stage that worked on it. The only table with values that differ between identical runs.",
    ("participant_id", "session_id", "sequence", "stage"),
    (
        PARTICIPANT,
        SESSION,
        SEQUENCE,
        text_column("stage", "Stage of the workflow", allowed=Stage),
        Column("seconds", ColumnType.DOUBLE, "Wall time spent on the scan", "s", minimum=0),
        Column(
            "peak_memory_mb", ColumnType.DOUBLE, "Largest resident memory of the process at this scan", "MB", minimum=0
        ),
        Column("gpu_seconds", ColumnType.DOUBLE, "Time of the scan on the GPU", "s", minimum=0),
        Column("attempt", ColumnType.INT64, "Attempt that wrote the row, from 1; 0 if the stage never ran", minimum=0),
    ),
)


def _structure_fits_check(rows: pd.DataFrame) -> "pd.Series[bool]":
    of_structures = rows["check"].isin([check.name for check in CHECKS.values() if check.each_structure])
    of_both = rows["check"].isin([check.name for check in CHECKS.values() if check.of_raters])
    return (of_both | of_structures.eq(rows["structure"].ne(""))).astype(bool)


SHARD_QUALITY = Table(
    "quality",
    "One row per scan, model and check; for checks by structure, one row per structure.",
    ("participant_id", "session_id", "check", "structure", "model"),
    (
        PARTICIPANT,
        SESSION,
        text_column("check", "Name of the check", "the table checks says what each is", allowed=CHECKS),
        text_column(
            "structure",
            "Structure or composite that was checked; an empty text if the whole scan was checked",
            f"given for {OF_STRUCTURES}, for rating where a structure was rated; empty for all others",
        ),
        text_column("model", "Segmentation model of the label map that was checked"),
        Column(
            "value",
            ColumnType.DOUBLE,
            "Value in the unit of the check; null if the check does not apply or its structures were not found",
            nullable=True,
        ),
        Column(
            "threshold",
            ColumnType.DOUBLE,
            "Limit that the value is compared with; null for a value without a verdict",
            definition="that of the model for lower_cutoff; follows from all scans of the run for "
            f"{OF_COHORT}: it and the verdicts change when scans come or go",
            nullable=True,
        ),
        text_column("grade", "Verdict", GRADE_DEFINITION, allowed=Grade),
        text_column(
            "place",
            "Stations, numbered from the head, and slices, numbered from the feet, that the value is about; an empty "
            "text where it is about all of them. For cut_by_field_of_view: the sides at which the structure is cut, "
            "the most cut first: left, right, front, back, above, below. "
            f"For {WITH_TOUCHED}: structures that touch what the check may object "
            "to, and which it then also decides on. For rating: verdict and cause",
        ),
    ),
    (Rule("a structure is named exactly for checks by structure", _structure_fits_check),),
)
"""Rows of one shard; `QUALITY` has those of all."""

QUALITY = with_sequence(SHARD_QUALITY)

DICTIONARY = Table(
    "dictionary",
    "One row per column of every table, this one included.",
    ("table_name", "position"),
    (
        text_column("table_name", "Table that the column is in"),
        Column("position", ColumnType.INT64, "Place of the column in its table, from 1", minimum=1),
        text_column("name", "Name of the column"),
        text_column("type", "Type of the values", allowed=ColumnType),
        text_column("unit", "Unit of the values; 1 for ratios, empty for text, counts and mixed columns"),
        text_column("description", "What the column holds"),
        text_column(
            "definition", "How the value is computed, or what its terms mean; empty if the description is sufficient"
        ),
        text_column("source", "Source of a definition or of its numbers"),
        Column("nullable", ColumnType.BOOL, "Whether values may be missing"),
        Column(
            "published_dice",
            ColumnType.DOUBLE,
            "Mean Dice of the structure that was published of the model; null if there is none",
            "1",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        text_column("published_dice_source", "Who measured published_dice, and on what; empty if there is none"),
    ),
)
