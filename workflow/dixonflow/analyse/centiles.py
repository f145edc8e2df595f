"""Reference centiles by age, sex and height of a cohort, and where a value lies among them.

Quantile regression with splines (statsmodels), not LMS or GAMLSS: it assumes no distribution, is in a kept library, and
the packages for GAMLSS in Python are young or of a licence that does not go with this one (gamlss, pcntoolkit and ondil
are GPL-3). Its curves can cross where there are few values; they are put in order then (rearrangement: Chernozhukov,
Fernandez-Val and Galichon, Econometrica 2010, 78:1093-1125), and how often is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ConfigDict, with_config
from scipy import stats
from scipy.interpolate import BSpline
from statsmodels.regression.quantile_regression import QuantReg

from dixonflow.analyse.scan_choice import Choice, choose_scans, loss_table, unfit
from dixonflow.analyse.study_data import QUANTITY, Lost, StudyData

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
_FEWEST_AGES = 8
"""Fewest different ages, in tenths of a year, for the six splines that curves are made of."""
_KNOTS_APART = 1.0
"""Fewest years between knots: with two at one age the splines have no value there."""
_TIE = 1e-3
"""Share of the range of all centiles within which a value equals one: the fit comes no nearer to tied values."""
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
        """Standard scores: normal quantiles, linear between the centiles and as steep beyond them.

        A value that equals several centiles, as at a floor that many values share, has the score of their middle. Not
        above 0 there is none for logarithms: NaN.
        """
        curves = self.at(age, height_cm)
        whole = self.at(np.linspace(*self.ages, 50), None)
        if self.logarithmic:
            curves, whole, values = np.log(curves), np.log(whole), np.log(np.where(values > 0, values, np.nan))
        marks = np.asarray(stats.norm.ppf(CENTILES), float)
        place = np.clip((curves < values[:, None]).sum(axis=1), 1, len(marks) - 1)
        rows = np.arange(len(values))
        low, high = curves[rows, place - 1], curves[rows, place]
        near = _TIE * float(np.ptp(whole))
        apart = high - low > near
        share = np.where(apart, (values - low) / np.where(apart, high - low, 1.0), values > high)
        scores = marks[place - 1] + share * (marks[place] - marks[place - 1])
        equal = np.abs(curves - values[:, None]) <= near
        tied = equal.sum(axis=1) > 1
        centiles = np.array(CENTILES)
        lowest, highest = equal.argmax(axis=1), len(marks) - 1 - equal[:, ::-1].argmax(axis=1)
        scores[tied] = stats.norm.ppf((centiles[lowest] + centiles[highest]) / 2)[tied]
        scores[np.isnan(values)] = np.nan
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
    first = data.of_scans(_chosen(data, with_height=with_height).first)
    age, height = (first.scans[name].to_numpy(float) for name in ("age_years", "height_cm"))
    found = []
    for part in _parts(first, fewest):
        if part.inside.any():
            keys = [str(part.quantity[name]) for name in (*QUANTITY, "unit")]
            heights = height[part.inside] if with_height else None
            values = part.values[part.inside]
            found.append(_fitted(keys, part.sex, values, age[part.inside], heights, part.ages, part.logarithmic))
    return found


def fit_losses(data: StudyData, *, with_height: bool = True, fewest: int = FEWEST) -> pd.DataFrame:
    """Count what `fit_centiles` leaves out.

    Returns
    -------
    pandas.DataFrame
        `LOSS_COLUMNS`: scans and values that are in no curve, each counted by one reason; of every quantity these and
        the `n` of its curves are the scans of its sequence. Of scans, model, structure and measure are empty.
    """
    choice = _chosen(data, with_height=with_height)
    first = data.of_scans(choice.first)
    rows: dict[tuple[object, ...], int] = {}
    for part in _parts(first, fewest):
        for reason, n in part.lost.items():
            key = (*part.quantity[QUANTITY], reason.value)
            rows[key] = rows.get(key, 0) + n
    return loss_table([(*key, n) for key, n in rows.items()], choice.losses, first.losses)


def _chosen(data: StudyData, *, with_height: bool) -> Choice:
    return choose_scans(data.scans, ("sex", "height_cm") if with_height else ("sex",))


@dataclass(frozen=True)
class _Part:
    """Values of a quantity in one sex: which of them the curves are fitted to, and how many they are not, by reason.

    The ages are those of the knots, each once.
    """

    quantity: "pd.Series"
    sex: str
    values: NDArray[np.float64]
    inside: NDArray[np.bool_]
    ages: tuple[float, ...]
    logarithmic: bool
    lost: dict[Lost, int]


def _parts(first: StudyData, fewest: int) -> Iterator[_Part]:
    age = first.scans["age_years"].to_numpy(float)
    for number, quantity in first.quantities.iterrows():
        values = first.values[:, int(str(number))]
        logarithmic = str(quantity["unit"]) in _LOGARITHMIC
        for sex in SEXES:
            there = np.isfinite(values) & first.scans["sex"].eq(sex).to_numpy(bool)
            known = there & (values > 0) if logarithmic else there
            lost = {Lost.NOT_POSITIVE: int((there & ~known).sum())}
            low, high, inside = 0.0, 0.0, np.zeros(len(values), bool)
            reason = unfit(values[known], fewest)
            if reason is None:
                # whole tenths: a knot must not be the age of one participant
                low, high = np.round(np.quantile(age[known], [AGE_SHARE, 1 - AGE_SHARE]), 1).tolist()
                inside = known & (age >= low) & (age <= high)
                alike = high - low < SMALLEST_RANGE or len(np.unique(np.round(age[inside], 1))) < _FEWEST_AGES
                # where hardly anybody has another value all centiles are the same
                reason = Lost.AGES_ALIKE if alike else unfit(np.quantile(values[inside], CENTILES), 1)
            if reason is not None:
                inside = np.zeros(len(values), bool)
            lost[reason or Lost.AGE_OUTSIDE] = int((known & ~inside).sum())
            yield _Part(
                quantity, sex, values, inside, (low, *_inner_knots(age[known], low, high), high), logarithmic, lost
            )


def _inner_knots(age: NDArray[np.float64], low: float, high: float) -> list[float]:
    """Thirds of the people; where so many share an age that knots coincide, of the ages; else no knots."""
    for ages in (age, np.unique(np.round(age[(age >= low) & (age <= high)], 1))):
        if len(ages):
            thirds: list[float] = np.round(np.quantile(ages, [1 / 3, 2 / 3]), 1).tolist()
            if np.diff([low, *thirds, high]).min() >= _KNOTS_APART:
                return thirds
    return []


def _fitted(
    keys: Sequence[str],
    sex: str,
    values: NDArray[np.float64],
    age: NDArray[np.float64],
    height: NDArray[np.float64] | None,
    ages: Sequence[float],
    logarithmic: bool,
) -> Curves:
    low, *inner, high = ages
    knots = (*[low] * (_DEGREE + 1), *inner, *[high] * (_DEGREE + 1))
    centre = None if height is None else float(np.round(np.median(height)))
    design = _design(age, knots, height, centre)
    y = np.log(values) if logarithmic else values
    model = QuantReg(y, design)
    with np.errstate(divide="ignore", invalid="ignore"):  # of the standard errors, where many values are equal
        fits = [model.fit(q=centile, p_tol=_TOLERANCE).params for centile in CENTILES]
    coefficients = tuple(tuple(float(f"{each:.6g}") for each in fit) for fit in fits)
    sequence, name, structure, measure, unit = keys
    curves = Curves(
        sequence, name, structure, measure, unit, sex, len(values), logarithmic, knots, centre, coefficients, 0.0
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
