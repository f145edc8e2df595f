"""The tables scans, timings, quality and dictionary."""

import pandas as pd

from dixonflow.measure.checks import CHECKS
from dixonflow.tables.columns import Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.outcome_rules import reason_fits_status
from dixonflow.vocabulary import Grade, Layout, Reason, Stage, Status

STATUS_DEFINITION = (
    "ok: has values; excluded: the data does not allow it, and trying again is pointless until the input changes; "
    "failed: should have worked, the next run tries again; withdrawn: the participant took back consent"
)
REASON_DEFINITION = "; ".join(f"{reason.value}: {reason.description}" for reason in Reason)
CHECK_DEFINITION = " | ".join(
    f"{check.name}{f' ({check.unit})' if check.unit else ''}: {check.definition} Threshold: {check.source}."
    for check in CHECKS.values()
)
OF_COHORT = ", ".join(check.name for check in CHECKS.values() if check.of_cohort)
OF_STRUCTURES = ", ".join(check.name for check in CHECKS.values() if check.each_structure)
GRADE_DEFINITION = "pass: no objection; review: a person should look at the scan; fail: not to be used"


PARTICIPANT = text_column(
    "participant_id", "Participant id as the cohort gives it: a string, leading zeros are part of it"
)
SESSION = text_column("session_id", "Session of the participant: UK Biobank instance, NAKO wave or BIDS session")

_STAGE_COLUMNS = tuple(
    column
    for stage in Stage
    for column in (
        text_column(
            f"{stage.value}_status",
            f"What became of the scan at stage {stage.value}",
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
    return (known | rows["reason"].eq(Reason.UNPARSABLE_NAME.value)).astype(bool)


def _one_row_each(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (~rows.duplicated(["participant_id", "session_id"], keep=False) | rows["participant_id"].isna()).astype(bool)


def _last_stage_decides(rows: pd.DataFrame) -> "pd.Series[bool]":
    agrees = pd.Series(False, index=rows.index)
    for stage in Stage:
        here = rows["last_stage"].eq(stage.value) & rows[f"{stage.value}_status"].eq(rows["status"])
        agrees |= (here & rows[f"{stage.value}_reason"].eq(rows["reason"])).astype(bool)
    measured = rows["status"].ne(Status.OK.value) | rows["last_stage"].eq(Stage.MEASURE.value)
    return (agrees & measured).astype(bool)


def _stage_rule(stage: Stage) -> Rule:
    prefix = f"{stage.value}_"
    return Rule(f"{prefix}status and {prefix}reason agree", lambda rows: reason_fits_status(rows, prefix))


SCANS = Table(
    "scans",
    "One row per scan that was found in the raw folders, whatever became of it.",
    ("participant_id", "session_id", "source"),
    (
        text_column(
            PARTICIPANT.name, PARTICIPANT.description, "null only where reason is unparsable_name", nullable=True
        ),
        text_column(SESSION.name, SESSION.description, "null only where reason is unparsable_name", nullable=True),
        text_column("layout", "Shape in which the raw data came", allowed=Layout),
        text_column(
            "source",
            "File or folder that the scan was found in",
            "tells apart entries whose name gives no ids",
        ),
        text_column("raw_key", "Fingerprint of the raw data; null where it was not read", nullable=True),
        text_column("shard", "Set of scans that one job processed; null where the scan went to no job", nullable=True),
        Column("n_stations", ColumnType.INT64, "Number of stations; null where unknown", nullable=True, minimum=0),
        Column(
            "n_slices", ColumnType.INT64, "Number of slices of a contrast; null where unknown", nullable=True, minimum=0
        ),
        text_column("status", "What became of the scan", STATUS_DEFINITION, allowed=Status),
        text_column("reason", "Why the scan is not ok", REASON_DEFINITION, allowed=Reason),
        text_column("message", "What was seen, for a person; empty for ok"),
        text_column("note", "What is worth knowing of a scan and no reason to exclude it; mostly empty"),
        text_column(
            "last_stage",
            "Stage that decided the status",
            "the first stage whose status is not ok, measure where all are ok",
            allowed=Stage,
        ),
        text_column(
            "content_key",
            "Key over inputs, parameters, model and code at the last stage; null where none was formed",
            "equal keys, equal results",
            nullable=True,
        ),
        *_STAGE_COLUMNS,
    ),
    (
        Rule("status and reason agree", reason_fits_status),
        Rule("ids are missing for unparsable names only", _ids_known),
        Rule("a scan has one row", _one_row_each),
        Rule("the last stage has the status of the scan, and is measure where that is ok", _last_stage_decides),
        *(_stage_rule(stage) for stage in Stage),
    ),
)

TIMINGS = Table(
    "timings",
    "One row per scan and stage that worked on it. All that differs between equal runs is here and nowhere else.",
    ("participant_id", "session_id", "stage"),
    (
        PARTICIPANT,
        SESSION,
        text_column("stage", "Stage of the workflow", allowed=Stage),
        Column("seconds", ColumnType.DOUBLE, "Wall time spent on the scan", "s", minimum=0),
        Column(
            "peak_memory_mb", ColumnType.DOUBLE, "Largest resident memory of the process at this scan", "MB", minimum=0
        ),
        Column("gpu_seconds", ColumnType.DOUBLE, "Time of the scan on the GPU", "s", minimum=0),
        Column("attempt", ColumnType.INT64, "Which try gave the row, from 1; 0 where the stage never began", minimum=0),
    ),
)


def _structure_fits_check(rows: pd.DataFrame) -> "pd.Series[bool]":
    of_structures = rows["check"].isin([check.name for check in CHECKS.values() if check.each_structure])
    return of_structures.eq(rows["structure"].ne("")).astype(bool)


QUALITY = Table(
    "quality",
    "One row per scan, model and check; of checks of single structures, one for each structure.",
    ("participant_id", "session_id", "check", "structure", "model"),
    (
        PARTICIPANT,
        SESSION,
        text_column("check", "What was checked", CHECK_DEFINITION, allowed=CHECKS),
        text_column(
            "structure",
            "Structure or composite of the model that was checked; an empty text where it was the scan as a whole",
            f"given for {OF_STRUCTURES}, empty for all others",
        ),
        text_column("model", "Segmentation model whose label map was checked"),
        Column(
            "value",
            ColumnType.DOUBLE,
            "What was found, in the unit of the check; null where it does not apply or its structures were not found",
            nullable=True,
        ),
        Column(
            "threshold",
            ColumnType.DOUBLE,
            "Bound that the value is held against; null for a value that is reported without a verdict",
            definition=f"follows from all scans of the run for {OF_COHORT}: it changes, and verdicts with it, when "
            "scans come or go",
            nullable=True,
        ),
        text_column("grade", "Verdict", GRADE_DEFINITION, allowed=Grade),
    ),
    (Rule("a structure is named exactly where the check is of single structures", _structure_fits_check),),
)

DICTIONARY = Table(
    "dictionary",
    "One row per column of every table, this one included.",
    ("table_name", "position"),
    (
        text_column("table_name", "Table that the column is in"),
        Column("position", ColumnType.INT64, "Place of the column in its table, from 1", minimum=1),
        text_column("name", "Name of the column"),
        text_column("type", "Plain type of the values", allowed=ColumnType),
        text_column("unit", "Unit of the values; 1 for ratios, empty for text, counts and mixed columns"),
        text_column("description", "What the column holds"),
        text_column(
            "definition", "How the value is computed, or what its words mean; empty where the description says all"
        ),
        text_column("source", "Where a definition or its numbers come from"),
        Column("nullable", ColumnType.BOOL, "Whether values may be missing"),
        Column(
            "published_dice",
            ColumnType.DOUBLE,
            "Mean Dice of the structure that the authors of the model published; null where there is none",
            "1",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
    ),
)
