"""Which columns of a file of covariates hold what: the names that cohorts give them, in capitals or not."""

import re
from collections.abc import Iterable, Sequence

from dixonflow.config.cohort import COVARIATES, Covariate, CovariatesConfig
from dixonflow.errors import ConfigError

_FIELDS = {"age": 21003, "sex": 31, "height": 50, "weight": 21002, "scan_date": 53, "centre": 54}
"""UK Biobank's fields; all but sex have an instance (https://biobank.ndph.ox.ac.uk/showcase)."""

_UKB = (
    "p{field}{_i}",
    "participant.p{field}{_i}",
    "f.{field}.{i}.0",
    "{field}-{i}.0",
    "n_{field}_{i}_0",
    "s_{field}_{i}_0",
    "ts_{field}_{i}_0",
)
"""Names of a field: on the Research Analysis Platform, and as the older converters write them for R, CSV and Stata."""

_NAKO = {
    "age": ("basis_age",),
    "sex": ("basis_sex",),
    "centre": ("basis_uort",),
    "height": ("anthro_groe", "a_anthro_groe"),
    "weight": ("anthro_gew", "a_anthro_gew"),
}
"""NAKO's names, of the baseline visit (as projects with NAKO data read them; the codes of sex vary: `sex_codes`)."""

_NAKO_BASELINE = frozenset({"20", "25", "30"})
"""NAKO's visits at baseline; 60 is the follow-up (the deliveries of its MRI)."""

_PLAIN = {
    "age": ("age", "age_years"),
    "sex": ("sex",),
    "height": ("height_cm",),
    "weight": ("weight_kg",),
    "centre": ("centre", "center"),
    "scan_date": ("scan_date",),
}
_PARTICIPANT = ("participant_id", "eid", "participant.eid", "f.eid", "n_eid", "ID")
_SESSION = ("session_id",)


def participant_column(columns: Sequence[str], section: CovariatesConfig) -> str:
    """Column of the participants' ids.

    Raises
    ------
    ConfigError
        If there is none, or several could be.
    """
    return _only(columns, section.participant, _PARTICIPANT, "participant", section) or _raise(
        section, "no column of participants' ids: name it in cohort.covariates.participant"
    )


def session_column(columns: Sequence[str], section: CovariatesConfig) -> str | None:
    """Column of sessions, in a file with a row for each; None in one with a row for each participant."""
    return _only(columns, section.session, _SESSION, "session", section)


def value_columns(columns: Sequence[str], section: CovariatesConfig, session: str) -> dict[str, str]:
    """Column of each covariate that the file has for a session.

    Raises
    ------
    ConfigError
        If a column that the configuration names is not there, or several could be the same covariate.
    """
    found: dict[str, str] = {}
    for covariate in COVARIATES:
        named = section.columns.get(covariate)
        column = _only(
            columns,
            named.replace("{session}", session) if named else None,
            known_names(covariate, session),
            f"columns.{covariate}",
            section,
            # a file may well have no columns of the second visit
            may_lack=bool(named and "{session}" in named),
        )
        if column is not None:
            found[covariate] = column
    return found


def known_names(covariate: str, session: str) -> list[str]:
    """Names that cohorts give the column of a covariate in a session."""
    field, instanced = _FIELDS[covariate], covariate != "sex"
    names = []
    if not instanced or re.fullmatch(r"[0-9]", session):
        instance = session if instanced else "0"
        suffix = f"_i{session}" if instanced else ""
        names += [pattern.format(field=field, i=instance, _i=suffix) for pattern in _UKB]
    if session in _NAKO_BASELINE or covariate == "sex":
        names += _NAKO.get(covariate, ())
    return [*names, *_PLAIN[covariate]]


def none_known(section: CovariatesConfig, sessions: Sequence[str]) -> ConfigError:
    """What to do about a file without any column of a covariate for the sessions of the scans."""
    shown = ", ".join(sessions[:3]) + (" ..." if len(sessions) > 3 else "")
    plain = ", ".join(name for names in _PLAIN.values() for name in names)
    return ConfigError(
        f"{section.file} has no column of a covariate for session {shown}: known are {plain}, UK Biobank's with the "
        "instance of the session (p21003_i2) and NAKO's of the baseline visit (basis_age); name others in "
        "cohort.covariates.columns, as in {age: alter, sex: gender}"
    )


def says_no_session(covariate: Covariate, column: str, section: CovariatesConfig) -> bool:
    """Whether a column holds what changes between sessions, and its name does not say of which session it is."""
    if covariate in ("sex", "centre"):
        return False
    named = section.columns.get(covariate)
    return column.casefold() in _PLAIN[covariate] if named is None else "{session}" not in named


def is_ukb(column: str) -> bool:
    """Whether a column of sex is UK Biobank's field 31, which has 0 for female and 1 for male (its coding 9)."""
    return column.casefold() in {pattern.format(field=_FIELDS["sex"], i="0", _i="") for pattern in _UKB}


def _only(
    columns: Sequence[str],
    named: str | None,
    known: Iterable[str],
    what: str,
    section: CovariatesConfig,
    *,
    may_lack: bool = False,
) -> str | None:
    if named in columns:
        return named
    folded: dict[str, list[str]] = {}
    for column in dict.fromkeys(columns):
        folded.setdefault(column.casefold(), []).append(column)
    looked_for = known if named is None else [named]
    there = [column for name in looked_for for column in folded.get(name.casefold(), [])]
    if named is not None and not there and not may_lack:
        _raise(section, f"no column {named!r}, which cohort.covariates.{what} names")
    if len(there) > 1:
        _raise(section, f"columns {', '.join(there)}: name the right one in cohort.covariates.{what}")
    return there[0] if there else None


def _raise(section: CovariatesConfig, problem: str) -> str:
    raise ConfigError(f"{section.file} has {problem}")
