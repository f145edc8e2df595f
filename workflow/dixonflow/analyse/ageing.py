"""The study of ageing of the TotalSegmentator papers: every quantity against age.

As there: participants without an age, under 18 or over 100 are left out, failed and cut structures too; Spearman's
correlation with age; quartiles of age compared by Kruskal-Wallis and by pairwise rank-sum tests with Bonferroni's
correction, significant below 0.0001 (D'Antonoli et al., Radiology 2025, 314:e241613; Wasserthal et al., Radiology:
Artificial Intelligence 2023, 5:e230024). Beyond them: intervals, adjustment for sex and height, and repeated scans.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.diagnostic import lilliefors

from dixonflow.analyse.disclosure import LIMIT
from dixonflow.analyse.mixed_models import COLUMNS as _MIXED
from dixonflow.analyse.mixed_models import mixed_models as fit_mixed_models
from dixonflow.analyse.scan_choice import choose_scans, loss_table, unfit
from dixonflow.analyse.study_data import QUANTITY, StudyData

AGES = (18.0, 100.0)
ALPHA = 0.0001
QUARTILES = ("q1", "q2", "q3", "q4")
FEWEST = 20
"""Fewest values with which a quantity is tested: five in each quartile of age."""


@dataclass(frozen=True)
class AgeingStudy:
    """Tables of the study; one row per quantity and group of participants, and in two of them per quartile or pair.

    Attributes
    ----------
    correlations
        n, Spearman's rho with its 95 % interval and p-value, also after Bonferroni's correction over all quantities;
        Kolmogorov-Smirnov test against a normal distribution with mean and SD of the sample; Kruskal-Wallis test
        between quartiles of age.
    quartiles
        n, range of age, median and quartiles of the quantity.
    pairs
        Rank-sum test between two quartiles of age, also after Bonferroni's correction over all pairs of all quantities.
    repeats
        Change per year in a mixed model with a random intercept of each participant, null where the fit has no
        result; empty where not asked for.
    losses
        Scans and values that are not in the correlations of group `all`, each counted by one reason: of every
        quantity these and its n are the scans of its sequence. Of scans, model, structure and measure are empty.
    """

    correlations: pd.DataFrame
    quartiles: pd.DataFrame
    pairs: pd.DataFrame
    repeats: pd.DataFrame
    losses: pd.DataFrame


def study_ageing(
    data: StudyData,
    *,
    by_sex: bool = False,
    adjust_for: Sequence[str] = (),
    mixed_models: bool = False,
    fewest: int = FEWEST,
) -> AgeingStudy:
    """Compare every quantity with age.

    Parameters
    ----------
    data
        From `read_study_data`.
    by_sex
        Whether women and men are studied apart, too.
    adjust_for
        `sex`, `height_cm`: correlations are partial, by ranks, and mixed models have them as they are.
    mixed_models
        Whether all scans of a participant count, too, in mixed models; the tests are made of the first one.
    fewest
        Quantities with fewer values are left out.
    """
    scans = data.scans
    choice = choose_scans(scans, [*adjust_for, "sex"] if by_sex else adjust_for, AGES)
    groups = {"all": choice.usable}
    if by_sex:
        groups |= {sex: choice.usable & scans["sex"].eq(sex).fillna(False) for sex in ("female", "male")}
    correlations, quartiles, pairs, repeats = [], [], [], []
    for group, usable in groups.items():
        part = data.of_scans(usable & choice.first)
        others = [each for each in adjust_for if group == "all" or each != "sex"]
        for number, values in _columns(part, fewest):
            known = np.isfinite(values)
            keys = [group, *data.quantities.loc[number, [*QUANTITY, "unit"]]]
            people = part.scans[known]
            age = people["age_years"].to_numpy(float)
            correlations.append((*keys, *_correlation(values[known], age, people, others)))
            split = _quartiles(age)
            parts = [values[known][split == place] for place in range(4)]
            quartiles += [(*keys, *row) for row in _of_quartiles(parts, age, split)]
            pairs += [(*keys, *row) for row in _of_pairs(parts)]
        if mixed_models:
            repeats += [(group, *row) for row in fit_mixed_models(data.of_scans(usable), others, fewest)]
    of_first = data.of_scans(choice.first)
    key_names = ["group", *QUANTITY, "unit"]
    return AgeingStudy(
        _corrected(pd.DataFrame(correlations, columns=[*key_names, *_CORRELATION]), "spearman_p"),
        pd.DataFrame(quartiles, columns=[*key_names, *_QUARTILE]),
        _corrected(pd.DataFrame(pairs, columns=[*key_names, *_PAIR]), "p"),
        pd.DataFrame(repeats, columns=["group", *_MIXED]),
        loss_table(_dropped(of_first, fewest), choice.losses, of_first.losses),
    )


_CORRELATION = (
    *("n", "spearman_rho", "rho_low", "rho_high", "spearman_p"),
    *("ks_statistic", "ks_p", "kruskal_h", "kruskal_p"),
)
_QUARTILE = ("quartile", "n", "age_low", "age_high", "median", "lower_quartile", "upper_quartile")
_PAIR = ("first", "second", "n_first", "n_second", "rank_sum_z", "p")


def _columns(data: StudyData, fewest: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for number in range(len(data.quantities)):
        values = data.values[:, number]
        if unfit(values, fewest) is None:
            yield number, values


def _dropped(data: StudyData, fewest: int) -> Iterator[tuple[object, ...]]:
    """Rows of losses for quantities that are not studied though they have values."""
    for number, quantity in data.quantities.iterrows():
        values = data.values[:, int(str(number))]
        if reason := unfit(values, fewest):
            yield *(quantity[name] for name in QUANTITY), reason.value, int(np.isfinite(values).sum())


def _correlation(
    values: NDArray[np.float64], age: NDArray[np.float64], people: pd.DataFrame, adjust_for: Sequence[str]
) -> tuple[float, ...]:
    x, y = stats.rankdata(values), stats.rankdata(age)
    taken = 0
    if adjust_for:
        design = np.column_stack([np.ones(len(x)), *(_ranks(people, name) for name in adjust_for)])
        taken = int(np.linalg.matrix_rank(design)) - 1  # in a cohort of one sex there is none to take out
        x, y = (each - design @ np.linalg.lstsq(design, each, rcond=None)[0] for each in (x, y))
    n = len(values)
    constant = min(np.ptp(x), np.ptp(y)) <= 1e-9 * n
    rho = np.nan if constant else float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    # Bonett and Wright, Psychometrika 2000, 65:23-28
    width = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (n - taken - 3))
    low, high = np.tanh([np.arctanh(min(max(rho, -0.999999), 0.999999)) + side * width for side in (-1, 1)])
    free = n - 2 - taken
    t = rho * np.sqrt(free / max(1 - rho**2, 1e-300))
    p = float(2 * stats.t.sf(abs(t), free))
    distance, normal_p = _against_normal(values)
    split = _quartiles(age)
    filled = [values[split == place] for place in range(4) if (split == place).any()]
    h, kruskal_p = stats.kruskal(*filled) if len(filled) > 1 else (np.nan, np.nan)
    return n, rho, float(low), float(high), p, distance, normal_p, float(h), float(kruskal_p)


def _ranks(people: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name == "sex":
        return np.asarray(people["sex"].eq("male"), float)
    return np.asarray(stats.rankdata(people[name].to_numpy(float)), float)


def _against_normal(values: NDArray[np.float64]) -> tuple[float, float]:
    """Kolmogorov-Smirnov test against a normal distribution with the sample's mean and SD.

    The p-value is that of Lilliefors' table, which ends at 0.001 and at 0.2.
    """
    distance, p = lilliefors(values, dist="norm", pvalmethod="table")
    return float(distance), float(p)


def _quartiles(age: NDArray[np.float64]) -> NDArray[np.intp]:
    """Quartile of each age, 0 to 3; equal ages are never parted."""
    return np.asarray(np.searchsorted(np.quantile(age, [0.25, 0.5, 0.75]), age, side="left"), np.intp)


def _of_quartiles(
    parts: Sequence[NDArray[np.float64]], age: NDArray[np.float64], split: NDArray[np.intp]
) -> Iterator[tuple[object, ...]]:
    for place, (name, part) in enumerate(zip(QUARTILES, parts, strict=True)):
        if len(part) >= LIMIT:  # a box of fewer shows single participants
            low, median, high = np.percentile(part, [25, 50, 75]).tolist()
            ages = age[split == place]
            yield name, len(part), float(ages.min()), float(ages.max()), median, low, high


def _of_pairs(parts: Sequence[NDArray[np.float64]]) -> Iterator[tuple[object, ...]]:
    for first, second in combinations(range(4), 2):
        if len(parts[first]) and len(parts[second]):
            # with the correction for ties, which ages and rounded values have
            result = stats.mannwhitneyu(parts[second], parts[first], method="asymptotic", use_continuity=False)
            sizes = len(parts[first]), len(parts[second])
            z = _z(float(result.statistic), np.concatenate([parts[second], parts[first]]), sizes)
            yield QUARTILES[first], QUARTILES[second], *sizes, z, float(result.pvalue)


def _z(u: float, values: NDArray[np.float64], sizes: tuple[int, int]) -> float:
    """Standard score of a rank-sum statistic, with the correction for ties."""
    n = len(values)
    _, ties = np.unique(values, return_counts=True)
    variance = sizes[0] * sizes[1] / 12 * (n + 1 - float((ties.astype(float) ** 3 - ties).sum()) / (n * (n - 1)))
    return (u - sizes[0] * sizes[1] / 2) / float(np.sqrt(variance)) if variance > 0 else 0.0


def _corrected(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Add p-values after Bonferroni's correction, of each group over all its tests, and what is significant."""
    tests = rows.groupby("group")[column].transform("count")
    corrected = (rows[column] * tests).clip(upper=1)
    return rows.assign(p_bonferroni=corrected, significant=corrected.lt(ALPHA))
