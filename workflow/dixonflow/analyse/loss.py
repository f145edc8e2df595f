"""Who was lost: the way from the files in the raw folders to values in a study, and whom it lost, by group.

The steps are those of a flow diagram as STROBE asks for (item 13: numbers at each stage, with reasons; von Elm et al.,
Lancet 2007, 370:1453-1457). Each step's number is that before it less what it names, down to what is analysed.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.analyse.disclosure import LIMIT, Hidden, suppressed
from dixonflow.analyse.loss_flow import KEPT, UNKNOWN, flow, hidden_outcomes, joined_levels, outcomes, values
from dixonflow.analyse.study_data import read_columns
from dixonflow.tables.definitions import FILE_COUNTS
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import column_names, read_table
from dixonflow.tables.schema import to_pandas
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Status

_AGE_EDGES = (0, 40, 50, 60, 70, 80, 200)
_BMI = ((0.0, 18.5, "under 18.5"), (18.5, 25.0, "18.5 to 24.9"), (25.0, 30.0, "25 to 29.9"), (30.0, 1e9, "30 and more"))
"""Classes of the WHO (Technical Report Series 894, 2000)."""

OTHER = "other reasons"
"""Those that the flow does not show one by one."""

_GROUPS = ("sex", "age_group", "bmi_class", "centre")


@dataclass(frozen=True)
class Loss:
    """Tables of who was lost. A count that is left out for being small is null, with `suppressed` true.

    Attributes
    ----------
    flow
        One row per step and reason: `step`, `reason`, `n_files`, `n_scans`, `n_participants` (of all that is left
        after the step, with an empty reason; of what it takes out, by reason). Files are those of the conservation law:
        found = used + left out; they are counted up to the scans that are read from them, and scans from there.
    groups
        One row per variable, level and outcome (`analysed`, or the reason): `n`, `share` of the level.
    values
        What became of the values of the scans that are ok, of all structures and measures: one row per outcome (`pass`,
        `review`, or the reason why there is none): `n_values`, null where it is that of few participants. None where
        the table of measurements is not among those handed over.
    tests
        One row per variable: chi-squared test of analysed against lost, over the levels that are known; where counts
        are hidden, the p-value alone, with one digit.
    """

    flow: pd.DataFrame
    groups: pd.DataFrame
    tests: pd.DataFrame
    values: pd.DataFrame | None


def study_loss(tables: Path, limit: int = LIMIT) -> Loss:
    """Follow all scans of a run.

    Parameters
    ----------
    tables
        Folder of the tables.
    limit
        Smallest count that is shown.

    Raises
    ------
    ConfigError
        If the table of scans is not there.
    TableError
        If a table is damaged.
    """
    path = tables / "scans.parquet"
    counted = FILE_COUNTS if path.exists() and set(FILE_COUNTS) <= set(column_names(path)) else ()
    columns = [*SCAN_KEYS, *counted, "status", "reason", "scan_grade"]
    scans = read_columns(path, columns).to_pandas().astype(object)
    scans["outcome"] = outcomes(scans)
    hidden = hidden_outcomes(scans, limit)
    people = tables / f"{COVARIATE_TABLE.name}.parquet"
    known = to_pandas(read_table(people, COVARIATE_TABLE)) if people.exists() else None
    groups, tests = _of_groups(scans, known, hidden, limit)
    measured = tables / f"{MEASUREMENTS.name}.parquet"
    return Loss(flow(scans, hidden, limit), groups, tests, values(measured, limit) if measured.exists() else None)


def _of_groups(
    scans: pd.DataFrame, people: pd.DataFrame | None, lost: Hidden, limit: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["variable", "level", "outcome", "n", "share", "suppressed"]
    test_columns = ["variable", "levels", "chi_squared", "degrees_of_freedom", "p"]
    if people is None:
        return pd.DataFrame(columns=columns), pd.DataFrame(columns=test_columns)
    # with the entries whose name gives no participant: the sums are those of the flow
    mine = scans[scans["status"].ne(Status.WITHDRAWN.value)]
    both = mine.merge(people, on=["participant_id", "session_id"], how="left").assign(
        age_group=lambda rows: _age_groups(rows["age_years"]), bmi_class=lambda rows: _bmi(rows["bmi_kg_per_m2"])
    )
    rows, tests = [], []
    person = both["participant_id"].where(both["participant_id"].notna(), both.index.to_series())
    merged = both["outcome"].where(~both["outcome"].isin(lost.names), OTHER)
    for variable in _GROUPS:
        known = both[variable].astype(object).where(both[variable].notna(), UNKNOWN).astype(str)
        levels = joined_levels(known, both, limit)
        counts = _kept_first(pd.crosstab(levels, merged).sort_index())
        once = pd.DataFrame({"level": levels, "outcome": merged, "person": person}).drop_duplicates()
        people_of = pd.crosstab(once["level"], once["outcome"]).reindex(index=counts.index, columns=counts.columns)
        numbers = counts.to_numpy(int)
        if lost.names and not lost.safe:  # the number of all who are lost is one of few
            hidden = np.ones_like(numbers, bool)
        else:
            hidden = suppressed(numbers, limit, people_of.to_numpy(int))
        for place, level in enumerate(counts.index):
            total = int(counts.loc[level].sum())
            for number, outcome in enumerate(counts.columns):
                n, gone = int(numbers[place, number]), bool(hidden[place, number])
                rows.append((variable, level, outcome, pd.NA if gone else n, np.nan if gone else n / total, gone))
        exact = pd.crosstab(known, merged).drop(index=UNKNOWN, errors="ignore")
        tests.append((variable, *_test(exact, coarse=bool(hidden.any()) or not levels.equals(known))))
    groups = pd.DataFrame(rows, columns=columns).astype({"n": "Int64"})
    return groups, pd.DataFrame(tests, columns=test_columns)


def _kept_first(counts: pd.DataFrame) -> pd.DataFrame:
    return counts[[KEPT, *(name for name in counts if name != KEPT)]] if KEPT in counts else counts


def _test(counts: pd.DataFrame, *, coarse: bool) -> tuple[int, float, float, float]:
    """Chi-squared test; `coarse` where counts are hidden, which a statistic of many digits would give back."""
    kept = counts[KEPT] if KEPT in counts else pd.Series(0, index=counts.index)
    both = np.stack([kept.to_numpy(float), (counts.sum(axis=1) - kept).to_numpy(float)])
    both = both[:, both.sum(axis=0) > 0]
    if both.shape[1] < 2 or (both.sum(axis=1) == 0).any():
        return both.shape[1], np.nan, np.nan, np.nan
    result = stats.chi2_contingency(both, correction=False)
    if coarse:
        return both.shape[1], np.nan, float(result.dof), float(f"{result.pvalue:.1g}")
    return both.shape[1], float(result.statistic), float(result.dof), float(result.pvalue)


def _age_groups(age: pd.Series) -> pd.Series:
    names = [f"{low} to {high - 1}" for low, high in pairwise(_AGE_EDGES)]
    names[0], names[-1] = f"under {_AGE_EDGES[1]}", f"{_AGE_EDGES[-2]} and more"
    return pd.cut(age.astype(float), list(_AGE_EDGES), right=False, labels=names).astype(object)


def _bmi(values: pd.Series) -> pd.Series:
    edges = [low for low, *_ in _BMI] + [_BMI[-1][1]]
    return pd.cut(values.astype(float), edges, right=False, labels=[name for *_, name in _BMI]).astype(object)
