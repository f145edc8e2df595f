"""Who was lost: the way from the files in the raw folders to values in a study, and whom it lost, by group.

The steps are those of a flow diagram as STROBE asks for (item 13: numbers at each stage, with reasons; von Elm et al.,
Lancet 2007, 370:1453-1457). Each step's number is that before it less what it names, down to what is analysed.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.analyse.disclosure import LIMIT, hidden_totals, suppressed
from dixonflow.analyse.study_data import read_columns
from dixonflow.tables.definitions import FILE_COUNTS
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import read_pieces, read_table
from dixonflow.tables.schema import to_pandas
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Grade, Status

KEPT = "analysed"
OF_SCANS = "scans of these files"
"""Step of the flow from which on scans are counted, not files."""
_AGE_EDGES = (0, 40, 50, 60, 70, 80, 200)
_BMI = ((0.0, 18.5, "under 18.5"), (18.5, 25.0, "18.5 to 24.9"), (25.0, 30.0, "25 to 29.9"), (30.0, 1e9, "30 and more"))
"""Classes of the WHO (Technical Report Series 894, 2000)."""

UNKNOWN = "unknown"
OTHER = "other reasons"
_LEFT = "left after: "
_FILES_LEFT_OUT = "files left out"
_LEFT_OUT = ("replaced by a later delivery", "hold a scan or a part of it again")
_COUNTED = ("n_scans", "n_participants")
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
    columns = [*SCAN_KEYS, *FILE_COUNTS, "status", "reason", "scan_grade"]
    scans = read_columns(tables / "scans.parquet", columns).to_pandas().astype(object)
    scans["outcome"] = _outcomes(scans)
    people = tables / f"{COVARIATE_TABLE.name}.parquet"
    known = to_pandas(read_table(people, COVARIATE_TABLE)) if people.exists() else None
    groups, tests = _of_groups(scans, known, limit)
    measured = tables / f"{MEASUREMENTS.name}.parquet"
    return Loss(_flow(scans, limit), groups, tests, _values(measured, limit) if measured.exists() else None)


def _outcomes(scans: pd.DataFrame) -> pd.Series:
    """What became of each scan: `analysed`, or why it is lost."""
    status, reason = scans["status"].astype(str), scans["reason"].astype(str)
    graded = scans["scan_grade"].astype(str)
    failed_grade = status.eq(Status.OK.value) & graded.eq(Grade.FAIL.value)
    outcome = status + ": " + reason
    outcome = outcome.mask(status.eq(Status.OK.value), KEPT).mask(failed_grade, "failed a check of the whole scan")
    return outcome.mask(status.eq(Status.WITHDRAWN.value), Status.WITHDRAWN.value)


def _flow(scans: pd.DataFrame, limit: int) -> pd.DataFrame:
    status, outcome = scans["status"].astype(str), scans["outcome"]
    steps = {
        "withdrawn": status.eq(Status.WITHDRAWN.value),
        "excluded": status.eq(Status.EXCLUDED.value),
        "failed": status.eq(Status.FAILED.value),
        "failed a check of the whole scan": status.eq(Status.OK.value) & outcome.ne(KEPT),
    }
    left = pd.Series(True, index=scans.index)
    rows = [(OF_SCANS, "", *_sizes(scans[left]))]
    for step, lost in steps.items():
        reasons = outcome[lost].str.removeprefix(f"{step}: ")
        rows += [(step, str(name), *_sizes(scans[lost][reasons.eq(name)])) for name in sorted(reasons.unique())]
        left &= ~lost
        rows.append((f"{_LEFT}{step}", "", *_sizes(scans[left])))
    flow = _flow_without_small(pd.DataFrame(rows, columns=["step", "reason", *_COUNTED]), limit)
    flow.insert(2, "n_files", pd.Series(pd.NA, index=flow.index, dtype="Int64"))
    return pd.concat([_files(scans, limit), flow], ignore_index=True)


def _files(scans: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Steps of the flow before there are scans; none for tables of earlier versions, which did not count files."""
    counts = scans[list(FILE_COUNTS)].apply(pd.to_numeric).astype("Int64")
    if counts.isna().any(axis=None):
        return pd.DataFrame(columns=["step", "reason", "n_files", *_COUNTED, "suppressed"])
    used, *left_out = (int(counts[name].sum()) for name in FILE_COUNTS)
    rows = [("files in the raw folders", "", used + sum(left_out), *_sizes(scans))]
    for reason, (name, number) in zip(_LEFT_OUT, zip(list(FILE_COUNTS)[1:], left_out, strict=True), strict=True):
        if number:
            rows.append((_FILES_LEFT_OUT, reason, number, *_sizes(scans[counts[name].gt(0)])))
    hidden = [row[2] for row in rows[1:] if row[-1] < limit]
    rows.append((f"{_LEFT}{_FILES_LEFT_OUT}", "", used, *_sizes(scans)))
    files = pd.DataFrame(rows, columns=["step", "reason", "n_files", *_COUNTED]).astype({"n_files": "Int64"})
    few = files["reason"].ne("") & files["n_participants"].lt(limit)
    exposes = files["step"].eq(f"{_LEFT}{_FILES_LEFT_OUT}") & any(hidden_totals([hidden], limit))
    numbers = files[["n_files", *_COUNTED]].astype("Int64")
    numbers.loc[few] = pd.NA
    numbers.loc[files["reason"].eq(""), list(_COUNTED)] = pd.NA
    numbers.loc[exposes, "n_files"] = pd.NA
    return files[["step", "reason"]].assign(**numbers, suppressed=few | exposes)


def _values(path: Path, limit: int) -> pd.DataFrame:
    """Count the values by outcome, a piece of the table at a time."""
    counts, people = Counter[str](), defaultdict[str, set[str]](set)
    for piece in read_pieces(path, ["participant_id", "missing_reason", "grade"]):
        text = [piece[name].cast(pa.string()) for name in ("missing_reason", "grade")]
        table = pa.table({"outcome": pc.coalesce(*text, UNKNOWN), "participant": piece["participant_id"]})
        for row in table.group_by(["outcome", "participant"]).aggregate([([], "count_all")]).to_pylist():
            counts[row["outcome"]] += row["count_all"]
            people[row["outcome"]].add(row["participant"])
    rows = [(name, n, len(people[name]) < limit) for name, n in counts.most_common()]
    found = pd.DataFrame(rows, columns=["outcome", "n_values", "suppressed"])
    return found.assign(n_values=found["n_values"].astype("Int64").mask(found["suppressed"].astype(bool)))


def _sizes(rows: pd.DataFrame) -> tuple[int, int]:
    return len(rows), int(rows["participant_id"].nunique())


def _flow_without_small(flow: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Hide reasons of few scans or participants, and the totals that would give them back."""
    of_reasons = flow["reason"].ne("")
    hidden = of_reasons & flow["n_participants"].lt(limit)
    steps = [str(step).removeprefix(_LEFT) for step in flow.loc[~of_reasons, "step"].iloc[1:]]
    counts = [flow.loc[hidden & flow["step"].eq(step), "n_scans"].tolist() for step in steps]
    people = [flow.loc[hidden & flow["step"].eq(step), "n_participants"].tolist() for step in steps]
    by_scans, by_people = hidden_totals(counts, limit), hidden_totals(people, limit)
    for step, *unsafe in zip(steps, by_scans, by_people, strict=True):
        is_hidden = any(unsafe)
        hidden |= flow["step"].eq(f"{_LEFT}{step}") & is_hidden
    numbers = flow[["n_scans", "n_participants"]].astype("Int64")
    numbers[hidden.to_numpy()] = pd.NA
    return flow.assign(**{str(name): column for name, column in numbers.items()}, suppressed=hidden)


def _of_groups(scans: pd.DataFrame, people: pd.DataFrame | None, limit: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["variable", "level", "outcome", "n", "share", "suppressed"]
    test_columns = ["variable", "levels", "chi_squared", "degrees_of_freedom", "p"]
    if people is None:
        return pd.DataFrame(columns=columns), pd.DataFrame(columns=test_columns)
    mine = scans[scans["status"].ne(Status.WITHDRAWN.value) & scans["participant_id"].notna()]
    both = mine.merge(people, on=["participant_id", "session_id"], how="left").assign(
        age_group=lambda rows: _age_groups(rows["age_years"]), bmi_class=lambda rows: _bmi(rows["bmi_kg_per_m2"])
    )
    rows, tests = [], []
    for variable in _GROUPS:
        levels = both[variable].astype(object).where(both[variable].notna(), UNKNOWN).astype(str)
        outcomes = _joined(both["outcome"], both["participant_id"], limit)
        counts = pd.crosstab(levels, outcomes).sort_index()
        counts = counts[[KEPT, *(name for name in counts if name != KEPT)]] if KEPT in counts else counts
        once = both.assign(level=levels, outcome=outcomes).drop_duplicates(["participant_id", "level", "outcome"])
        people_of = pd.crosstab(once["level"], once["outcome"]).reindex(index=counts.index, columns=counts.columns)
        numbers = counts.to_numpy(int)
        hidden = suppressed(numbers, limit, people_of.to_numpy(int))
        for place, level in enumerate(counts.index):
            total = int(counts.loc[level].sum())
            for number, outcome in enumerate(counts.columns):
                n, gone = int(numbers[place, number]), bool(hidden[place, number])
                rows.append((variable, level, outcome, pd.NA if gone else n, np.nan if gone else n / total, gone))
        tests.append((variable, *_test(counts.drop(index=UNKNOWN, errors="ignore"), coarse=bool(hidden.any()))))
    groups = pd.DataFrame(rows, columns=columns).astype({"n": "Int64"})
    return groups, pd.DataFrame(tests, columns=test_columns)


def _joined(outcomes: pd.Series, people: pd.Series, limit: int) -> pd.Series:
    """Outcomes of few people as one: an interval of a count can be no wider than the total of its outcome."""
    sizes = people.groupby(outcomes).nunique().drop(KEPT, errors="ignore").sort_values(kind="stable")
    small, total = set[str](), 0
    for name, size in sizes.items():  # the smallest first
        if size < limit or (small and total < limit):
            small.add(str(name))
            total += int(size)
    return outcomes.where(~outcomes.isin(small), OTHER)


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
