"""Change between visits: of every participant from one scan to the next, next to the measurement error."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dixonflow.analyse.study_data import QUANTITY, StudyData
from dixonflow.errors import ConfigError
from dixonflow.evaluation.repeatability import COLUMNS

ERROR_COLUMNS = COLUMNS[:4]
"""Columns of within-person SDs that the study needs."""

FEWEST = 10
"""Fewest pairs of scans of which a mean change is given."""

_TWO_SIDED = 1.96


@dataclass(frozen=True)
class Change:
    """Tables of the study.

    Attributes
    ----------
    changes
        One row per participant, quantity and pair of scans that follow each other: both sessions, years between them
        where both ages are known, change, change per year, and whether it is larger than measurement error explains
        (1.96 times the root of two times the within-person SD); null where that SD is not known.
    summary
        One row per quantity: pairs, mean change per year with its 95 % interval, Wilcoxon's signed-rank test, SD of the
        change, the within-person SD, and the share of pairs beyond measurement error.
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
    before = order.groupby(["participant_id", "sequence"])["row"].shift()
    pairs = order[before.notna()].assign(before=before[before.notna()].astype(int))
    first, second = pairs["before"].to_numpy(int), pairs["row"].to_numpy(int)
    when = scans["at"].to_numpy(float)
    years = when[second] - when[first]
    years = np.where(years > 0, years, np.nan)
    known = errors.set_index(["structure", "measure"])
    changes, summary = [], []
    for number, quantity in data.quantities.iterrows():
        here = pairs["sequence"].eq(quantity["sequence"]).to_numpy(bool)
        values = data.values[:, int(str(number))]
        change = np.where(here, values[second] - values[first], np.nan)
        there = np.isfinite(change)
        if not there.any():
            continue
        key = (str(quantity["structure"]), str(quantity["measure"]))
        fits = key in known.index and known.at[key, "unit"] == quantity["unit"]
        sd = float(str(known.at[key, "sd_within"])) if fits else np.nan
        beyond = np.abs(change) > _TWO_SIDED * np.sqrt(2) * sd
        own = pd.DataFrame(
            {
                "participant_id": pairs["participant_id"].to_numpy()[there],
                "session_before": data.scans["session_id"].to_numpy()[first[there]],
                "session_after": data.scans["session_id"].to_numpy()[second[there]],
                **{name: quantity[name] for name in (*QUANTITY, "unit")},
                "years": pd.array(years[there], dtype="Float64"),
                "change": change[there],
                "change_per_year": pd.array((change / years)[there], dtype="Float64"),
                "beyond_error": pd.array(
                    [None] * int(there.sum()) if np.isnan(sd) else beyond[there].tolist(), dtype="boolean"
                ),
            }
        )
        changes.append(own)
        summary.append(_summary(quantity, change[there], (change / years)[there], sd, beyond[there]))
    names = [*QUANTITY, "unit", "pairs", "per_year", "per_year_low", "per_year_high", "signed_rank_p", "sd_change",
             "sd_within", "share_beyond_error"]  # fmt: skip
    columns = ["participant_id", "session_before", "session_after", *QUANTITY, "unit", "years", "change",
               "change_per_year", "beyond_error"]  # fmt: skip
    return Change(
        pd.concat(changes, ignore_index=True) if changes else pd.DataFrame(columns=columns),
        pd.DataFrame(summary, columns=names),
    )


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
