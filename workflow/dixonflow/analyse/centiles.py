"""Reference centiles by age, sex and height of a cohort, and where a value lies among them.

Quantile regression with splines (statsmodels), not LMS or GAMLSS: it assumes no distribution, is in a kept library, and
the packages for GAMLSS in Python are young or of a licence that does not go with this one (gamlss, pcntoolkit and ondil
are GPL-3). Its curves can cross where there are few values; they are put in order then (rearrangement: Chernozhukov,
Fernandez-Val and Galichon, Econometrica 2010, 78:1093-1125), and how often is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ConfigDict, with_config
from scipy import stats
from scipy.interpolate import BSpline
from statsmodels.regression.quantile_regression import QuantReg

from dixonflow.analyse.study_data import QUANTITY, StudyData, one_scan_each

CENTILES = (0.03, 0.10, 0.25, 0.50, 0.75, 0.90, 0.97)
"""The centiles of growth charts but for the outermost."""

FEWEST = 200
"""Fewest participants of a sex with which curves are fitted."""

AGE_SHARE = 0.01
"""Share of the participants below the lowest, and above the highest, age that the curves go to."""

SMALLEST_RANGE = 5.0
"""Fewest years that the curves go over."""

LARGEST_Z = 4.0
"""Standard scores beyond are given as this: nobody can say how far out a value lies that no reference comes near."""

_DEGREE = 3
_LOGARITHMIC = ("mL", "cm2")
_TOLERANCE = 1e-5
SEXES = ("female", "male")


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
@dataclass(frozen=True)
class Curves:
    """Centiles of a quantity in one sex.

    Attributes
    ----------
    sequence, model, structure, measure, unit
        The quantity.
    sex
        Of the participants.
    n
        Their number.
    logarithmic
        Whether the curves are of the logarithm.
    knots
        Of the cubic splines in age, years, the ends four times.
    height_cm
        Height at which the splines stand; none where height does not count.
    coefficients
        Of each of `CENTILES`: those of the splines, and last the change per cm of height.
    crossings
        Share of ages, in steps of half a year, at which curves cross before they are put in order.
    """

    sequence: str
    model: str
    structure: str
    measure: str
    unit: str
    sex: str
    n: int
    logarithmic: bool
    knots: tuple[float, ...]
    height_cm: float | None
    coefficients: tuple[tuple[float, ...], ...]
    crossings: float

    @property
    def ages(self) -> tuple[float, float]:
        """Lowest and highest age, in years."""
        return self.knots[0], self.knots[-1]

    def at(
        self, age: NDArray[np.float64], height_cm: NDArray[np.float64] | None, *, ordered: bool = True
    ) -> NDArray[np.float64]:
        """Values of the centiles, shape (values, centiles), in the unit of the quantity.

        Parameters
        ----------
        age
            Years, within `ages`.
        height_cm
            Heights; None for the height at which the splines stand.
        ordered
            Whether crossing curves are put in order.
        """
        design = _design(age, self.knots, height_cm, self.height_cm)
        values = design @ np.array(self.coefficients).T
        values = np.sort(values, axis=1) if ordered else values
        return np.asarray(np.exp(values) if self.logarithmic else values, float)

    def z_scores(
        self, values: NDArray[np.float64], age: NDArray[np.float64], height_cm: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Standard scores: normal quantiles, linear between the centiles and as steep beyond them."""
        curves = self.at(age, height_cm)
        curves, values = (np.log(curves), np.log(np.maximum(values, 1e-300))) if self.logarithmic else (curves, values)
        marks = np.asarray(stats.norm.ppf(CENTILES), float)
        place = np.clip((curves < values[:, None]).sum(axis=1), 1, len(marks) - 1)
        rows = np.arange(len(values))
        low, high = curves[rows, place - 1], curves[rows, place]
        width = np.where(high > low, high - low, 1.0)
        share = np.where(high > low, (values - low) / width, 0.5)
        scores = marks[place - 1] + share * (marks[place] - marks[place - 1])
        return np.asarray(np.clip(scores, -LARGEST_Z, LARGEST_Z), float)


def fit_centiles(data: StudyData, *, with_height: bool = True, fewest: int = FEWEST) -> list[Curves]:
    """Fit the centiles of every quantity of which there are enough values, for women and men apart.

    Parameters
    ----------
    data
        From `read_study_data`; of each participant the first scan counts.
    with_height
        Whether height counts; participants without it are left out then.
    fewest
        Fewest participants of a sex.
    """
    scans = data.scans
    usable = scans["age_years"].notna() & scans["sex"].notna()
    if with_height:
        usable &= scans["height_cm"].notna()
    first = data.of_scans(one_scan_each(scans, usable))
    age = first.scans["age_years"].to_numpy(float)
    height = first.scans["height_cm"].to_numpy(float)
    found = []
    for number, quantity in first.quantities.iterrows():
        values = first.values[:, int(str(number))]
        for sex in SEXES:
            known = np.isfinite(values) & first.scans["sex"].eq(sex).to_numpy(bool)
            logarithmic = str(quantity["unit"]) in _LOGARITHMIC
            if logarithmic:
                known &= values > 0
            if known.sum() < fewest or np.ptp(values[known]) == 0:
                continue
            low, high = np.quantile(age[known], [AGE_SHARE, 1 - AGE_SHARE])
            if high - low < SMALLEST_RANGE:
                continue
            keys = [str(quantity[name]) for name in (*QUANTITY, "unit")]
            heights = height[known] if with_height else None
            found.append(_fitted(keys, sex, values[known], age[known], heights, logarithmic=logarithmic))
    return found


def _fitted(
    keys: Sequence[str],
    sex: str,
    values: NDArray[np.float64],
    age: NDArray[np.float64],
    height: NDArray[np.float64] | None,
    *,
    logarithmic: bool,
) -> Curves:
    # whole tenths: a knot must not be the age of one participant
    low, *inner, high = np.round(np.quantile(age, [AGE_SHARE, 1 / 3, 2 / 3, 1 - AGE_SHARE]), 1).tolist()
    knots = (*[low] * (_DEGREE + 1), *inner, *[high] * (_DEGREE + 1))
    inside = (age >= low) & (age <= high)
    centre = None if height is None else float(np.round(np.median(height)))
    design = _design(age[inside], knots, None if height is None else height[inside], centre)
    y = np.log(values[inside]) if logarithmic else values[inside]
    model = QuantReg(y, design)
    coefficients = tuple(
        tuple(float(f"{each:.6g}") for each in model.fit(q=centile, p_tol=_TOLERANCE).params) for centile in CENTILES
    )
    sequence, name, structure, measure, unit = keys
    curves = Curves(
        sequence, name, structure, measure, unit, sex, int(inside.sum()), logarithmic, knots, centre, coefficients, 0.0
    )
    grid = curves.at(np.arange(low, high, 0.5), None, ordered=False)
    crossed = float((np.diff(grid, axis=1) < 0).any(axis=1).mean())
    return replace(curves, crossings=round(crossed, 4))


def _design(
    age: NDArray[np.float64], knots: Sequence[float], height: NDArray[np.float64] | None, centre: float | None
) -> NDArray[np.float64]:
    splines = BSpline.design_matrix(np.clip(age, knots[0], knots[-1]), np.array(knots), _DEGREE).toarray()
    if centre is None:
        return np.asarray(splines, float)
    offset = np.zeros(len(age)) if height is None else height - centre
    return np.column_stack([splines, offset])


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
        `missing_reason`: no_value, sex_unknown, no_curves_of_sex, age_unknown, age_outside (of the reference) or
        height_unknown.
    """
    scans = data.scans
    age, height = (scans[name].to_numpy(float) for name in ("age_years", "height_cm"))
    sex = np.array([each if isinstance(each, str) else "" for each in scans["sex"]], str)
    parts = []
    by_quantity: dict[tuple[str, ...], dict[str, Curves]] = {}
    for each in curves:
        by_quantity.setdefault((each.sequence, each.model, each.structure, each.measure), {})[each.sex] = each
    for number, quantity in data.quantities.iterrows():
        own = by_quantity.get(tuple(str(quantity[name]) for name in QUANTITY))
        if own is None:
            continue
        values = data.values[:, int(str(number))]
        here = scans["sequence"].eq(quantity["sequence"]).to_numpy(bool)
        z = np.full(len(scans), np.nan)
        reason = np.full(len(scans), None, object)
        reason[~np.isfinite(values)] = "no_value"
        known_sex = np.isin(sex, list(own))
        reason[np.isfinite(values) & ~known_sex] = "no_curves_of_sex"
        reason[np.isfinite(values) & (sex == "")] = "sex_unknown"
        for name, each in own.items():
            mine = np.isfinite(values) & (sex == name)
            reason[mine & np.isnan(age)] = "age_unknown"
            mine &= ~np.isnan(age)
            outside = mine & ((age < each.ages[0]) | (age > each.ages[1]))
            reason[outside] = "age_outside"
            mine &= ~outside
            if each.height_cm is not None:
                reason[mine & np.isnan(height)] = "height_unknown"
                mine &= ~np.isnan(height)
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
