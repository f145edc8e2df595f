"""Repeatability: how much a measure differs between scans of a person in whom nothing has changed."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from dixonflow.system.package_table import package_table

COLUMNS = ("structure", "measure", "unit", "sd_within", "cv_percent", "participants", "scans")
UNITS = ("mL", "cm2", "1")
STUDIED = ("volume", "area", "fat_volume", "lean_volume", "fat_fraction", "fat_fraction_eroded_mean")
"""Measures whose repeatability is kept with the package."""


def phantom_repeatability() -> pd.DataFrame:
    """Within-person SDs of the demo network on phantoms that were scanned again at another breath, `COLUMNS`."""
    rows = pd.DataFrame(package_table(__package__, "repeatability.csv"))
    return rows.replace({"cv_percent": {"": "nan"}}).astype({"sd_within": float, "cv_percent": float})


def repeatability(rows: pd.DataFrame, units: Collection[str] = UNITS) -> pd.DataFrame:
    """Within-person standard deviation and coefficient of variation of every measure.

    Parameters
    ----------
    rows
        Values of repeated scans: participant_id, session_id, structure, measure, unit, value; of each participant two
        scans or more.
    units
        Units of the measures that are compared.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. `sd_within` is the root of the mean variance within participants, weighted by their degrees
        of freedom, in the unit of the measure; `cv_percent` the root mean square of SD over mean (Bland and Altman, BMJ
        1996, 313:744 and 313:106), null for measures without a zero of their own.
    """
    used = rows[rows["unit"].isin(list(units)) & rows["value"].notna()]
    used = used.assign(value=used["value"].astype(float))
    groups = used.groupby(["structure", "measure", "unit", "participant_id"])["value"]
    each = pd.DataFrame({"variance": groups.var(), "mean": groups.mean(), "n": groups.size()}).reset_index()
    each = each[each["n"] >= 2]
    found = []
    for (structure, measure, unit), own in each.groupby(["structure", "measure", "unit"], sort=True):
        weights = (own["n"] - 1).to_numpy(float)
        variance, mean = own["variance"].to_numpy(float), own["mean"].to_numpy(float)
        sd = float(np.sqrt(np.average(variance, weights=weights)))
        positive = bool((mean > 0).all())
        cv = 100 * float(np.sqrt(np.average(variance / mean**2, weights=weights))) if positive else np.nan
        found.append((structure, measure, unit, sd, cv, len(own), int(own["n"].sum())))
    return pd.DataFrame(found, columns=list(COLUMNS))


def repeatability_file(rows: pd.DataFrame) -> str:
    """Content of `repeatability.csv`: four digits, those of `STUDIED` that differ at all."""
    found = repeatability(rows[rows["measure"].isin(STUDIED)])
    found = found[found["sd_within"] > 0].reset_index(drop=True)
    for name in ("sd_within", "cv_percent"):
        found[name] = found[name].map(lambda value: float(f"{value:.4g}"))
    return str(found.to_csv(index=False, lineterminator="\n"))
