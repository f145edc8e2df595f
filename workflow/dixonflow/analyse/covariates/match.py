"""The tables covariates and covariate_problems: who was scanned, joined to scans in analyses and to no image table."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from dixonflow.analyse.covariates.columns import says_no_session
from dixonflow.analyse.covariates.file import ID, ROW, SESSION, read_covariate_file, restored
from dixonflow.analyse.covariates.values import Problem, check_codes, parser
from dixonflow.config.cohort import COVARIATES, SEX_WORDS, CovariatesConfig
from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import PARTICIPANT
from dixonflow.tables.definitions import SESSION as SESSION_COLUMN

_COLUMNS = {
    "age": "age_years",
    "sex": "sex",
    "height": "height_cm",
    "weight": "weight_kg",
    "centre": "centre",
    "scan_date": "scan_date",
}


def _number(name: str, description: str, unit: str) -> Column:
    return Column(name, ColumnType.DOUBLE, f"{description}; null if unknown", unit, nullable=True, minimum=0)


COVARIATE_TABLE = Table(
    "covariates",
    "One row per participant and session with a scan that the file of covariates has a value for.",
    (ID, SESSION),
    (
        PARTICIPANT,
        SESSION_COLUMN,
        _number("age_years", "Age at the scan", "years"),
        text_column("sex", "Sex; null if unknown", nullable=True, allowed=SEX_WORDS),
        _number("height_cm", "Height", "cm"),
        _number("weight_kg", "Weight", "kg"),
        Column(
            "bmi_kg_per_m2",
            ColumnType.DOUBLE,
            "Body mass index; null if height or weight is unknown",
            "kg/m2",
            "weight_kg / (height_cm / 100)^2",
            nullable=True,
            minimum=0,
        ),
        text_column("centre", "Centre of the examination, as in the file; null if unknown", nullable=True),
        text_column("scan_date", "Date of the examination, YYYY-MM-DD; null if unknown", nullable=True),
    ),
    since=2,
)

PROBLEM_TABLE = Table(
    "covariate_problems",
    "One row per participant, session and covariate that could not be used, of scans and of the file.",
    (ID, SESSION, "covariate", "problem"),
    (
        text_column(ID, "Id as in the tables, or as in the file; empty if it has none"),
        text_column(SESSION, "Session as in the tables, or as in the file; empty if the row says none"),
        text_column("covariate", "Column of covariates; empty where all are meant", allowed=("", *_COLUMNS.values())),
        text_column(
            "problem",
            "What is wrong",
            "; ".join(f"{problem}: {problem.description}" for problem in Problem),
            allowed=Problem,
        ),
        Column(
            "occurrences",
            ColumnType.INT64,
            "How many rows of the file are not used; 1 where a scan, or a value of a scan, has the problem",
            minimum=1,
        ),
    ),
    since=2,
)


@dataclass(frozen=True)
class Covariates:
    """Rows of both tables, and how many participants of the file are unused because they have withdrawn."""

    rows: pd.DataFrame
    problems: pd.DataFrame
    withdrawn: int

    def counts(self) -> dict[str, int]:
        """Number of rows of the file, or scans, or values, with each problem."""
        found = self.problems.groupby("problem")["occurrences"].sum()
        return {problem.value: int(found.get(problem.value, 0)) for problem in Problem}


def covariates(section: CovariatesConfig, scans: pd.DataFrame, withdrawn: Collection[str]) -> Covariates:
    """Match the file of covariates to the scans.

    Parameters
    ----------
    section
        The file.
    scans
        participant_id and session_id of all scans but those of withdrawn participants, whatever became of them.
    withdrawn
        Participants who are in no table: their rows of the file are counted and not kept.

    Raises
    ------
    ConfigError
        If the file cannot be read, its columns are not clear, none is a covariate's, or the codes of sex are unknown
        or contradict UK Biobank's.
    """
    wanted = scans[[ID, SESSION]].dropna().drop_duplicates().astype(str)
    raw, columns, has_sessions = read_covariate_file(section, wanted[SESSION])
    of_no_session = {
        f"{session} {covariate}": not has_sessions and says_no_session(covariate, column, section)
        for session in set(wanted[SESSION])
        for covariate in COVARIATES
        if (column := columns.get(f"{session} {covariate}"))
    }
    problems: list[tuple[str, str, str, Problem]] = []
    raw[ID] = restored(raw[ID], {*wanted[ID], *withdrawn})
    gone = raw[ID].isin(withdrawn)
    n_withdrawn = raw.loc[gone, ID].nunique()
    raw = raw[~gone]
    readable = raw[ID].map(lambda text: isinstance(text, str) and text.isascii() and text.isalnum()).astype(bool)
    if has_sessions:
        readable &= raw[SESSION].notna()
    problems += _unused(raw[~readable], Problem.UNREADABLE_ID, has_sessions=has_sessions)
    raw = raw[readable]
    scanned = raw[[ID, SESSION]].merge(wanted, on=[ID, SESSION], how="left", indicator=True)["_merge"].eq("both")
    of_no_scan = raw[~raw[ROW].isin(raw.loc[scanned.to_numpy(), ROW])]
    problems += _unused(of_no_scan, Problem.NO_SCAN, has_sessions=has_sessions)
    rows = wanted.merge(raw, on=[ID, SESSION], how="left", indicator=True)
    missing = rows["_merge"].eq("left_only")
    problems += [(*key, "", Problem.NOT_IN_FILE) for key in rows.loc[missing, [ID, SESSION]].itertuples(index=False)]
    rows = rows[~missing].drop(columns="_merge")
    several = rows.groupby(ID)[SESSION].transform("nunique").gt(1)
    for covariate in COVARIATES:
        unknown = several & pd.Series(
            [
                isinstance(text, str) and of_no_session.get(f"{session} {covariate}", False)
                for text, session in zip(rows[covariate], rows[SESSION], strict=True)
            ],
            rows.index,
            bool,
        )
        problems += [
            (*key, _COLUMNS[covariate], Problem.SESSION_UNKNOWN)
            for key in rows.loc[unknown, [ID, SESSION]].drop_duplicates().itertuples(index=False)
        ]
        rows[covariate] = rows[covariate].where(~unknown, None)
        parse = parser(covariate, section, columns)
        values = [
            parse(text, session) if isinstance(text, str) else None
            for text, session in zip(rows[covariate], rows[SESSION], strict=True)
        ]
        if covariate == "sex":
            check_codes(section, rows[covariate], values)
        bad = [isinstance(value, Problem) for value in values]
        problems += [
            (*key, _COLUMNS[covariate], Problem.IMPLAUSIBLE)
            for key in rows.loc[bad, [ID, SESSION]].drop_duplicates().itertuples(index=False)
        ]
        rows[_COLUMNS[covariate]] = pd.Series(
            [None if isinstance(value, Problem) else value for value in values], rows.index, dtype=object
        )
    rows, different = _one_row_each(rows)
    problems += different
    empty = rows[list(_COLUMNS.values())].isna().all(axis=1)
    told = {(who, session) for who, session, *_ in problems}
    problems += [
        (*key, "", Problem.NO_VALUES)
        for key in rows.loc[empty, [ID, SESSION]].itertuples(index=False)
        if tuple(key) not in told
    ]
    rows = rows[~empty]
    numbers = {name: rows[name].astype(float) for name in ("age_years", "height_cm", "weight_kg")}
    rows = rows.assign(**numbers)
    rows["bmi_kg_per_m2"] = rows["weight_kg"] / (rows["height_cm"] / 100) ** 2
    found = pd.DataFrame([(who, when, of, problem.value) for who, when, of, problem in problems],
                         columns=list(PROBLEM_TABLE.keys), dtype=object)  # fmt: skip
    counted = found.groupby(list(PROBLEM_TABLE.keys), as_index=False).size().rename(columns={"size": "occurrences"})
    return Covariates(
        rows[list(COVARIATE_TABLE.names)].sort_values([ID, SESSION], ignore_index=True),
        counted,
        int(n_withdrawn),
    )


def _unused(rows: pd.DataFrame, problem: Problem, *, has_sessions: bool) -> list[tuple[str, str, str, Problem]]:
    """The problem of each row of the file, once."""
    keys = rows.drop_duplicates(ROW)[[ID, SESSION]].fillna("")
    return [(who, when if has_sessions else "", "", problem) for who, when in keys.itertuples(index=False)]


def _one_row_each(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str, str, Problem]]]:
    """Join rows of the same scan: values that only some have count, those that differ do not."""
    names = list(_COLUMNS.values())
    groups = rows.groupby([ID, SESSION], sort=False)
    counts = groups[names].nunique()
    joined = groups[names].first()
    problems = []
    for name in names:
        several = counts[name].gt(1)
        problems += [(str(who), str(when), name, Problem.CONTRADICTORY) for who, when in joined.index[several]]
        joined[name] = joined[name].astype(object).where(~several, None)
    return joined.reset_index(), problems
