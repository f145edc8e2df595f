"""Where the values of a cohort lie among reference centiles, and the centiles as a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from dixonflow.analyse.centiles import CENTILES, Curves
from dixonflow.analyse.scan_choice import LOSS_COLUMNS, loss_table
from dixonflow.analyse.study_data import QUANTITY, Lost, StudyData
from dixonflow.errors import ConfigError

NO_VALUE = "no_value"
"""Why there is no score of what there is no value of; `losses` has the reasons of that."""


def centile_rows(curves: Sequence[Curves]) -> pd.DataFrame:
    """The curves as a table, at whole years and the median height: one row per quantity, sex, age and centile."""
    rows = []
    for each in curves:
        ages = np.arange(np.ceil(each.ages[0]), each.ages[1] + 1e-9)
        for age, values in zip(ages, each.at(ages, None), strict=True):
            keys = (each.sequence, each.model, each.structure, each.measure, each.unit, each.sex, float(age))
            rows += [(*keys, centile, float(value)) for centile, value in zip(CENTILES, values, strict=True)]
    return pd.DataFrame(rows, columns=[*QUANTITY, "unit", "sex", "age_years", "centile", "value"])


def apply_centiles(curves: Sequence[Curves], data: StudyData) -> pd.DataFrame:
    """Standard scores of all values of a cohort.

    Returns
    -------
    pandas.DataFrame
        One row per scan and quantity with curves: its ids, `z`, `centile` (0 to 1), and where they are null the
        `missing_reason`: no_value, value_not_positive (where the curves are of logarithms), sex_unknown,
        no_curves_of_sex, age_unknown, age_outside (of the reference) or height_unknown.
    """
    scans = data.scans
    age, height = (scans[name].to_numpy(float) for name in ("age_years", "height_cm"))
    sex = np.array([each if isinstance(each, str) else "" for each in scans["sex"]], str)
    parts = []
    by_quantity: dict[tuple[str, ...], dict[str, Curves]] = {}
    for each in curves:
        by_quantity.setdefault(_quantity(each), {})[each.sex] = each
    for number, quantity in data.quantities.iterrows():
        own = by_quantity.get(tuple(str(quantity[name]) for name in (*QUANTITY, "unit")))
        if own is None:
            continue
        values = data.values[:, int(str(number))]
        here = scans["sequence"].eq(quantity["sequence"]).to_numpy(bool)
        z = np.full(len(scans), np.nan)
        reason = np.full(len(scans), None, object)
        reason[~np.isfinite(values)] = NO_VALUE
        known_sex = np.isin(sex, list(own))
        reason[np.isfinite(values) & ~known_sex] = "no_curves_of_sex"
        reason[np.isfinite(values) & (sex == "")] = Lost.NO_SEX.value
        for name, each in own.items():
            mine = np.isfinite(values) & (sex == name)
            reason[mine & np.isnan(age)] = Lost.NO_AGE.value
            mine &= ~np.isnan(age)
            outside = mine & ((age < each.ages[0]) | (age > each.ages[1]))
            reason[outside] = Lost.AGE_OUTSIDE.value
            mine &= ~outside
            if each.height_cm is not None:
                reason[mine & np.isnan(height)] = Lost.NO_HEIGHT.value
                mine &= ~np.isnan(height)
            if each.logarithmic:
                reason[mine & (values <= 0)] = Lost.NOT_POSITIVE.value
                mine &= values > 0
            if mine.any():
                heights = height[mine] if each.height_cm is not None else None
                z[mine] = each.z_scores(values[mine], age[mine], heights)
        rows = scans.loc[here, ["participant_id", "session_id"]].assign(
            **{name: quantity[name] for name in QUANTITY},
            z=pd.array(z[here], dtype="Float64"),
            centile=pd.array(stats.norm.cdf(z[here]), dtype="Float64"),
            missing_reason=reason[here],
        )
        parts.append(rows)
    columns = ["participant_id", "session_id", *QUANTITY, "z", "centile", "missing_reason"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


def apply_losses(data: StudyData, scores: pd.DataFrame) -> pd.DataFrame:
    """Count the scans of every quantity that have no score, each by one reason: `LOSS_COLUMNS`.

    Parameters
    ----------
    data
        From `read_study_data`.
    scores
        What `apply_centiles` made of it.
    """
    unscored = scores[scores["missing_reason"].notna() & scores["missing_reason"].ne(NO_VALUE)]
    counts = unscored.groupby([*QUANTITY, "missing_reason"], as_index=False).size()
    counts.columns = pd.Index(LOSS_COLUMNS)
    rows = []
    scored = set(scores[QUANTITY].itertuples(index=False, name=None))
    for number, quantity in data.quantities.iterrows():
        key = tuple(quantity[QUANTITY])
        if key not in scored:
            rows.append((*key, "no_curves", int(np.isfinite(data.values[:, int(str(number))]).sum())))
    return loss_table(rows, counts, data.losses)


def check_fit_together(curves: Sequence[Curves], data: StudyData) -> None:
    """Raise ConfigError where no quantity of the curves is one of the tables."""
    there = {tuple(map(str, row)) for row in data.quantities[[*QUANTITY, "unit"]].itertuples(index=False, name=None)}
    if there.isdisjoint(map(_quantity, curves)):
        models = ", ".join(sorted({each.model for each in curves})) or "none"
        own = ", ".join(sorted(set(data.quantities["model"].astype(str)))) or "none"
        raise ConfigError(
            f"no quantity of the file of centiles is in the tables: it has values of the models {models}, the tables "
            f"of {own}; sequence, model, structure, measure and unit must be the same"
        )


def _quantity(curves: Curves) -> tuple[str, ...]:
    return curves.sequence, curves.model, curves.structure, curves.measure, curves.unit
