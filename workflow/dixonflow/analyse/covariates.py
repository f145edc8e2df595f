"""The tables covariates and covariate_problems: who was scanned, joined to scans in analyses and to no image table."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import pandas as pd

from dixonflow.analyse.covariate_columns import is_ukb, says_no_session
from dixonflow.analyse.covariate_file import ID, SESSION, read_covariate_file
from dixonflow.config.cohort import COVARIATES, CovariatesConfig
from dixonflow.errors import ConfigError
from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import PARTICIPANT
from dixonflow.tables.definitions import SESSION as SESSION_COLUMN

SEXES = {"female": ("female", "f", "w", "weiblich", "frau"), "male": ("male", "m", "männlich", "maennlich", "mann")}
"""Words for the sexes, in English and German, in small letters."""

_UKB_SEX = {"0": "female", "1": "male"}
"""UK Biobank's coding 9, of field 31."""

_LIMITS = {"age": (0.0, 120.0), "height": (50.0, 250.0), "weight": (10.0, 400.0)}
"""What a person can have, in years, cm and kg; values beyond are no values (UK Biobank's codes are negative)."""

_COLUMNS = {
    "age": "age_years",
    "sex": "sex",
    "height": "height_cm",
    "weight": "weight_kg",
    "centre": "centre",
    "scan_date": "scan_date",
}


class Problem(StrEnum):
    """Why there is no covariate."""

    NOT_IN_FILE = "not_in_file"
    NO_SCAN = "no_scan"
    NO_VALUES = "no_values"
    UNREADABLE_ID = "unreadable_id"
    SESSION_UNKNOWN = "session_unknown"
    IMPLAUSIBLE = "implausible_value"
    CONTRADICTORY = "contradictory_values"

    @property
    def description(self) -> str:
        """What it means, for a reader of the tables."""
        return {
            Problem.NOT_IN_FILE: "the file has no row of the participant, or of the session",
            Problem.NO_SCAN: "the file has a participant, or a session, without a scan",
            Problem.NO_VALUES: "all values of the scan are empty in the file",
            Problem.UNREADABLE_ID: "the id in the file is empty or no id; the row is not used",
            Problem.SESSION_UNKNOWN: "the participant has several sessions, and the file does not say of which one the "
            "value is; it is left out",
            Problem.IMPLAUSIBLE: "the value is no number, date or sex, or a person cannot have it; it is left out",
            Problem.CONTRADICTORY: "several rows of the file have different values; none is used",
        }[self]


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
        text_column("sex", "Sex; null if unknown", nullable=True, allowed=SEXES),
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
        text_column(SESSION, "Session; empty where a participant has no scan at all"),
        text_column("covariate", "Column of covariates; empty where all are meant", allowed=("", *_COLUMNS.values())),
        text_column(
            "problem",
            "What is wrong",
            "; ".join(f"{problem}: {problem.description}" for problem in Problem),
            allowed=Problem,
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
        found = self.problems["problem"].value_counts()
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
        If the file cannot be read, its columns are not clear, or sex has codes that nobody has explained.
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
    readable = pd.Series(
        [isinstance(text, str) and text.isascii() and text.isalnum() for text in raw[ID]], raw.index, bool
    )
    unreadable = raw.loc[~readable, ID].unique()
    problems += [(text if isinstance(text, str) else "", "", "", Problem.UNREADABLE_ID) for text in unreadable]
    raw = raw[readable].copy()
    raw[ID] = _matched(raw[ID], {*wanted[ID], *withdrawn})
    gone = raw[ID].isin(withdrawn)
    n_withdrawn = raw.loc[gone, ID].nunique()
    raw = raw[~gone]
    problems += [(each, "", "", Problem.NO_SCAN) for each in sorted(set(raw[ID]) - set(wanted[ID]))]
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
        parse = _parser(covariate, section, columns)
        values = [
            parse(text, session) if isinstance(text, str) else None
            for text, session in zip(rows[covariate], rows[SESSION], strict=True)
        ]
        if covariate == "sex":
            _check_codes(section, rows[covariate], values)
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
                         columns=list(PROBLEM_TABLE.names), dtype=object)  # fmt: skip
    return Covariates(
        rows[list(COVARIATE_TABLE.names)].sort_values([ID, SESSION], ignore_index=True),
        found.drop_duplicates().sort_values(list(PROBLEM_TABLE.keys), ignore_index=True),
        int(n_withdrawn),
    )


def _matched(ids: "pd.Series[str]", known: Collection[str]) -> "pd.Series[str]":
    """Ids as scans and the list of the withdrawn have them: a file of numbers has lost their leading zeros."""
    bare: dict[str, list[str]] = {}
    for participant in known:
        bare.setdefault(participant.lstrip("0"), []).append(participant)
    sure = {short: full[0] for short, full in bare.items() if len(full) == 1}
    return ids.map(lambda text: text if text in known else sure.get(text, text))


def _check_codes(section: CovariatesConfig, texts: "pd.Series[Any]", values: Sequence[object]) -> None:
    """Refuse a column of sex with numbers that nobody has explained."""
    if section.sex_codes:
        return  # other codes are what the file has for unknown
    unknown = {
        str(text)
        for text, value in zip(texts, values, strict=True)
        if isinstance(value, Problem) and re.fullmatch(r"-?[0-9]+(\.0+)?", text)
    }
    if unknown:  # a column of ids, named by mistake, is not to be read in a log
        few = len(unknown) < 5 and max(map(len, unknown)) < 5
        shown = ", ".join(sorted(unknown)) if few else "many numbers"
        raise ConfigError(f"{section.file}: sex has {shown}: say in cohort.covariates.sex_codes what its codes mean")


def _parser(
    covariate: str, section: CovariatesConfig, columns: Mapping[str, str]
) -> Callable[[str, str], float | str | Problem]:
    """What makes a value of text, or says that it is none."""
    if covariate in _LIMITS:
        low, high = _LIMITS[covariate]
        return lambda text, _session: _as_number(text, low, high)
    if covariate == "scan_date":
        return lambda text, _session: _as_date(text)
    if covariate == "centre":
        return lambda text, _session: text
    words = {word: sex for sex, names in SEXES.items() for word in names}
    words |= {code.strip().lower(): sex for sex, codes in section.sex_codes.items() for code in codes}

    def sex_of(text: str, session: str) -> str | Problem:
        ukb = {} if section.sex_codes or not is_ukb(columns[f"{session} sex"]) else _UKB_SEX
        word = re.sub(r"\.0+$", "", text.lower())
        return (ukb | words).get(word, Problem.IMPLAUSIBLE)

    return sex_of


def _as_number(text: str, low: float, high: float) -> float | Problem:
    try:
        value = float(text)
    except ValueError:
        return Problem.IMPLAUSIBLE
    return value if low <= value <= high else Problem.IMPLAUSIBLE


def _as_date(text: str) -> str | Problem:
    try:
        return date.fromisoformat(text[:10]).isoformat()  # a time may follow
    except ValueError:
        return Problem.IMPLAUSIBLE


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
