"""Values of covariates, made of the text of a file; text that is no value, and why."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

import pandas as pd

from dixonflow.analyse.covariates.columns import is_ukb
from dixonflow.config.cohort import SEX_WORDS, CovariatesConfig, sex_code, whole_number
from dixonflow.errors import ConfigError

_UKB_SEX = {"0": "female", "1": "male"}
"""UK Biobank's coding 9, of field 31."""

_LIMITS = {"age": (0.0, 120.0), "height": (50.0, 250.0), "weight": (10.0, 400.0)}
"""What a person can have, in years, cm and kg; values beyond are no values (UK Biobank's codes are negative)."""


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
            Problem.UNREADABLE_ID: "the id in the file, or its session, is empty or no id; the row is not used",
            Problem.SESSION_UNKNOWN: "the participant has several sessions, and the file does not say of which one the "
            "value is; it is left out",
            Problem.IMPLAUSIBLE: "the value is no number, date or sex, or a person cannot have it; it is left out",
            Problem.CONTRADICTORY: "several rows of the file have different values; none is used",
        }[self]


def parser(
    covariate: str, section: CovariatesConfig, columns: Mapping[str, str]
) -> Callable[[str, str], float | str | Problem]:
    """What makes a value of text and its session, or says that it is none.

    Parameters
    ----------
    covariate
        One of `COVARIATES`.
    section
        The file.
    columns
        Columns that were read, by `<session> <covariate>`.

    Raises
    ------
    ConfigError
        If the codes of sex contradict those of UK Biobank for its own column.
    """
    if covariate in _LIMITS:
        low, high = _LIMITS[covariate]
        return lambda text, _session: _as_number(text, low, high)
    if covariate == "scan_date":
        return lambda text, _session: _as_date(text)
    if covariate == "centre":
        return lambda text, _session: whole_number(text)
    words = {word: sex for sex, names in SEX_WORDS.items() for word in names}
    words |= {code: sex for sex, codes in section.sex_codes.items() for code in codes}
    ukb = {key.removesuffix(" sex") for key, column in columns.items() if key.endswith(" sex") and is_ukb(column)}
    for code, sex in _UKB_SEX.items():
        if ukb and words.get(code, sex) != sex:
            raise ConfigError(
                f"{section.file}: sex_codes has '{code}' for {words[code]}, and UK Biobank's field 31 has it for {sex}"
            )

    def sex_of(text: str, session: str) -> str | Problem:
        known = words if section.sex_codes or session not in ukb else words | _UKB_SEX
        return known.get(sex_code(text), Problem.IMPLAUSIBLE)

    return sex_of


def check_codes(section: CovariatesConfig, texts: "pd.Series[Any]", values: Sequence[object]) -> None:
    """Refuse a column of sex with numbers that nobody has explained.

    Raises
    ------
    ConfigError
        Naming the numbers, if they can be codes.
    """
    if section.sex_codes:
        return  # other codes are what the file has for unknown
    unknown = {
        str(text)
        for text, value in zip(texts, values, strict=True)
        if isinstance(value, Problem) and re.fullmatch(r"-?[0-9]+", whole_number(text))
    }
    if unknown:  # a column of ids, named by mistake, is not to be read in a log
        few = len(unknown) < 5 and max(map(len, unknown)) < 5
        shown = ", ".join(sorted(unknown)) if few else "many numbers"
        raise ConfigError(f"{section.file}: sex has {shown}: say in cohort.covariates.sex_codes what its codes mean")


def _as_number(text: str, low: float, high: float) -> float | Problem:
    try:
        # spreadsheets write a comma where it is the decimal mark; none of these values needs one for thousands
        value = float(re.sub(r"^(-?[0-9]+),([0-9]+)$", r"\1.\2", text))
    except ValueError:
        return Problem.IMPLAUSIBLE
    return value if low <= value <= high else Problem.IMPLAUSIBLE


def _as_date(text: str) -> str | Problem:
    try:
        return date.fromisoformat(text[:10]).isoformat()  # a time may follow
    except ValueError:
        return Problem.IMPLAUSIBLE
