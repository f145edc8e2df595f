"""Change between visits: of every participant from one scan to the next, next to the measurement error."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dixonflow.analyse.study_data import QUANTITY, StudyData
from dixonflow.errors import ConfigError
from dixonflow.evaluation.repeatability import COLUMNS

ERROR_COLUMNS = COLUMNS[:4]
"""Columns of within-person SDs that the study needs."""

FEWEST = 10
"""Fewest participants of whom a mean change is given."""

_TWO_SIDED = 1.96


@dataclass(frozen=True)
class Change:
    """Tables of the study.

    Attributes
    ----------
    changes
        One row per participant, quantity and pair of scans with a value that follow each other: both sessions, years
        between them where both ages are known, change, change per year, and whether it is larger than measurement error
        explains (1.96 times the root of two times the within-person SD); null where that SD is not known.
    summary
        One row per quantity, of one pair per participant, the first and the last scan with a value: consecutive changes
        of one person are not independent. Pairs, mean change per year with its 95 % interval, Wilcoxon's signed-rank
        test, SD of the change, the within-person SD, and the share of pairs beyond measurement error.
    """

    changes: pd.DataFrame
    summary: pd.DataFrame


def read_repeatability(path: Path) -> pd.DataFrame:
    """Read a table of within-person SDs. Raises ConfigError."""
    try:
        rows = pd.read_csv(path, dtype={"structure": str, "measure": str, "unit": str, "sd_within": float})
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from error
    if missing := sorted({*ERROR_COLUMNS} - set(rows.columns)):
        raise ConfigError(f"{path} has no column {missing[0]}")
    if rows.duplicated(["structure", "measure"]).any() or not (rows["sd_within"] > 0).all():
        raise ConfigError(f"{path}: each structure and measure needs one row, with an sd_within above 0")
    return rows


def check_units(errors: pd.DataFrame, data: StudyData) -> None:
    """Raise ConfigError where no structure, measure and unit of a table of within-person SDs is in the data."""
    keys = ["structure", "measure", "unit"]
    own, there = (set(rows[keys].itertuples(index=False, name=None)) for rows in (errors, data.quantities))
    if own.isdisjoint(there):
        example = " ".join(map(str, min(own))) if own else "nothing"
        raise ConfigError(
            f"--repeatability: no structure, measure and unit of it is in the tables (it has {example}): nothing "
            "could be compared with it"
        )


def study_change(data: StudyData, errors: pd.DataFrame) -> Change:
    """Compare the scans of each participant.

    Parameters
    ----------
    data
        From `read_study_data`.
    errors
        Within-person SDs, columns structure, measure, unit and sd_within.
    """
    scans = data.scans.assign(row=range(len(data.scans)), at=_place_in_time(data.scans))
    scans["number"] = pd.to_numeric(scans["session_id"], errors="coerce")
    order = scans.sort_values(["participant_id", "sequence", "at", "number", "session_id"], kind="stable")
    people, sessions = (scans[name].to_numpy(object) for name in ("participant_id", "session_id"))
    when = scans["at"].to_numpy(float)
    known = errors.set_index(["structure", "measure"])
    changes, summary = [], []
    for number, quantity in data.quantities.iterrows():
        values = data.values[:, int(str(number))]
        rows = order.loc[order["sequence"].eq(quantity["sequence"]), "row"].to_numpy(int)
        rows = rows[np.isfinite(values[rows])]
        further = people[rows[1:]] == people[rows[:-1]]
        if not further.any():
            continue
        first, second = rows[:-1][further], rows[1:][further]
        change, years = _between(first, second, values, when)
        key = (str(quantity["structure"]), str(quantity["measure"]))
        fits = key in known.index and known.at[key, "unit"] == quantity["unit"]
        sd = float(str(known.at[key, "sd_within"])) if fits else np.nan
        limit = _TWO_SIDED * np.sqrt(2) * sd
        own = pd.DataFrame(
            {
                "participant_id": people[first],
                "session_before": sessions[first],
                "session_after": sessions[second],
                **{name: quantity[name] for name in (*QUANTITY, "unit")},
                "years": pd.array(years, dtype="Float64"),
                "change": change,
                "change_per_year": pd.array(change / years, dtype="Float64"),
                "beyond_error": pd.array(
                    [None] * len(change) if np.isnan(sd) else (np.abs(change) > limit).tolist(), dtype="boolean"
                ),
            }
        )
        changes.append(own)
        begins, ends = np.append(True, ~further), np.append(~further, True)
        many = ~(begins & ends)  # of one scan alone there is no change
        change, years = _between(rows[begins & many], rows[ends & many], values, when)
        summary.append(_summary(quantity, change, change / years, sd, np.abs(change) > limit))
    names = [*QUANTITY, "unit", "pairs", "per_year", "per_year_low", "per_year_high", "signed_rank_p", "sd_change",
             "sd_within", "share_beyond_error"]  # fmt: skip
    columns = ["participant_id", "session_before", "session_after", *QUANTITY, "unit", "years", "change",
               "change_per_year", "beyond_error"]  # fmt: skip
    return Change(
        pd.concat(changes, ignore_index=True) if changes else pd.DataFrame(columns=columns),
        pd.DataFrame(summary, columns=names),
    )


def _between(
    first: NDArray[np.intp], second: NDArray[np.intp], values: NDArray[np.float64], when: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change and years from one scan to another; years are NaN where they are not above 0."""
    years = when[second] - when[first]
    return values[second] - values[first], np.where(years > 0, years, np.nan)


def _place_in_time(scans: pd.DataFrame) -> "pd.Series[float]":
    """Years of each scan on a scale of its participant: dates where all have one, else ages, else nothing.

    An unknown age in between must not put visits in another order.
    """
    keys = [scans["participant_id"], scans["sequence"]]
    dates = pd.to_datetime(scans["scan_date"], errors="coerce")
    of_dates = (dates - pd.Timestamp("1970-01-01")).dt.days / 365.25
    ages = scans["age_years"].astype(float)
    place = pd.Series(np.nan, index=scans.index)
    for values in (ages, of_dates):
        whole = values.notna().groupby(keys).transform("all")
        place = values.where(whole, place)
    return place


def _summary(
    quantity: "pd.Series", change: np.ndarray, per_year: np.ndarray, sd: float, beyond: np.ndarray
) -> tuple[object, ...]:
    keys = [quantity[name] for name in (*QUANTITY, "unit")]
    n = len(change)
    yearly = per_year[np.isfinite(per_year)]
    mean = low = high = p = spread = np.nan
    if n >= FEWEST:
        spread = float(change.std(ddof=1))
        p = float(stats.wilcoxon(change).pvalue) if np.any(change) else 1.0
    if len(yearly) >= FEWEST:
        mean = float(yearly.mean())
        width = float(stats.t.ppf(0.975, len(yearly) - 1)) * float(yearly.std(ddof=1)) / np.sqrt(len(yearly))
        low, high = mean - width, mean + width
    share = np.nan if np.isnan(sd) or n < FEWEST else float(beyond.mean())
    return *keys, n, mean, low, high, p, spread, sd, share
