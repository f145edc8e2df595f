"""Failure mining: scans in which a comparator and the run agree unusually little, and how many of them are faulty.

Two standard deviations below the mean of a structure, as VIBESegmentator's authors (Graf et al. 2025, Eur Radiol, doi
10.1007/s00330-025-12035-9). Mean and deviation are of scans in which both found the structure; one that only one of
them found is listed in any case.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from dixonflow.comparators.agreement_table import Presence
from dixonflow.ratings.judged import Judged, RatedLabelMap
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Verdict

DEVIATIONS = 2.0
DOUBTFUL_DICE = 0.5
"""Mean Dice under which the names of labels are in doubt, and not only the delineation."""

FEWEST_VALUES = 10
"""Scans under which a structure has no threshold: the deviation of ten values is known to a quarter only."""

GROUPS = ("mined", "others")
"""Scans that mining lists, and the others."""

_ONE_SIDED = (Presence.RUN_ONLY.value, Presence.COMPARATOR_ONLY.value)


def thresholds(agreement: pd.DataFrame) -> pd.DataFrame:
    """Mean, deviation and threshold of each structure.

    Parameters
    ----------
    agreement
        Rows of `AGREEMENT`.

    Returns
    -------
    DataFrame
        One row per structure: `structure`, `model`, `n_both`, `n_run_only`, `n_comparator_only`, `mean_dice`,
        `sd_dice` (of those that both have), `threshold`, null under `FEWEST_VALUES` values.
    """
    rows = agreement[agreement["structure"].ne("")]
    found = []
    for (structure, model), own in rows.groupby(["structure", "model"], sort=True, observed=True):
        both = own.loc[own["presence"].eq(Presence.BOTH.value), "dice"].astype(float)
        mean, sd = (both.mean(), both.std(ddof=1)) if len(both) else (np.nan, np.nan)
        threshold = mean - DEVIATIONS * sd if len(both) >= FEWEST_VALUES else np.nan
        counts = own["presence"].value_counts()
        one_sided = [int(counts.get(each, 0)) for each in _ONE_SIDED]
        found.append((structure, model, len(both), *one_sided, mean, sd, threshold))
    names = ["structure", "model", "n_both", "n_run_only", "n_comparator_only", "mean_dice", "sd_dice", "threshold"]
    return pd.DataFrame(found, columns=names)


def mined(agreement: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Scans and structures to look at, the largest disagreement first.

    Parameters
    ----------
    agreement
        Rows of `AGREEMENT`.
    limits
        From `thresholds`.

    Returns
    -------
    DataFrame
        Columns participant_id, session_id, sequence, structure, model, dice, threshold, presence, run_ml,
        comparator_ml.
    """
    rows = agreement[agreement["structure"].ne("")]
    rows = rows.merge(limits[["structure", "model", "threshold"]], on=["structure", "model"], how="left")
    chosen = rows[below_threshold(rows)]
    columns = [*SCAN_KEYS, "structure", "model", "dice", "threshold", "presence", "run_ml", "comparator_ml"]
    return chosen.sort_values(["dice", "structure", *SCAN_KEYS], kind="stable")[columns].reset_index(drop=True)


def below_threshold(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each row, with `dice`, `threshold` and `presence`, is one to look at.

    Without a common voxel it is one in any case: where a mapping swaps sides, the mean and the threshold are 0 too.
    """
    dice = rows["dice"].astype(float)
    return (dice < rows["threshold"]) | dice.eq(0) | rows["presence"].isin(_ONE_SIDED)


def doubtful(limits: pd.DataFrame) -> list[str]:
    """Structures, with their mean Dice, on which both programs agree so little that a mapping may be wrong."""
    low = limits[limits["mean_dice"].lt(DOUBTFUL_DICE)]
    return [f"{name} {mean:.2f}" for name, mean in zip(low["structure"], low["mean_dice"], strict=True)]


def faulty_rates(agreement: pd.DataFrame, listed: pd.DataFrame, judged: Iterable[Judged]) -> pd.DataFrame:
    """Share of label maps that raters called faulty, of the scans that mining lists and of the others.

    A structure counts as faulty where any rater says so of it, or of the whole label map; a rating of an earlier label
    map does not count.

    Parameters
    ----------
    agreement, listed
        Rows of `AGREEMENT`, and those that `mined` gives.
    judged
        Ratings, and what each counts for.

    Returns
    -------
    DataFrame
        One row per structure and group (`mined`, `others`): `n`, `n_rated`, `n_faulty`, `faulty_share` of the rated
        ones with its 95 % interval (Wilson), null where none was rated.
    """
    verdicts: dict[tuple[str, ...], bool] = {}
    for each in judged:
        if each.is_latest and each.label_map is RatedLabelMap.CURRENT:
            rating = each.rating
            scan = (rating.scan.participant, rating.scan.session, rating.scan.sequence.value)
            key = (*scan, rating.model, rating.structure or "")
            verdicts[key] = verdicts.get(key, False) or rating.verdict is Verdict.FAULTY
    rows = agreement[agreement["structure"].ne("") & agreement["presence"].ne(Presence.NEITHER.value)]
    label_maps = list(rows[[*SCAN_KEYS, "model"]].itertuples(index=False, name=None))
    said = [
        [verdicts[key] for key in ((*own, structure), (*own, "")) if key in verdicts]
        for own, structure in zip(label_maps, rows["structure"], strict=True)
    ]
    keys = pd.MultiIndex.from_frame(listed[[*SCAN_KEYS, "structure"]])
    is_mined = pd.MultiIndex.from_frame(rows[[*SCAN_KEYS, "structure"]]).isin(keys)
    table = pd.DataFrame(
        {
            "structure": rows["structure"].to_numpy(),
            "group": np.where(is_mined, *GROUPS),
            "rated": [bool(each) for each in said],
            "faulty": [any(each) for each in said],
        }
    )
    found = []
    for (structure, group), own in table.groupby(["structure", "group"], sort=True):
        rated, faulty = int(own["rated"].sum()), int(own["faulty"].sum())
        low, high = proportion_confint(faulty, rated, method="wilson") if rated else (np.nan, np.nan)
        found.append((structure, group, len(own), rated, faulty, faulty / rated if rated else np.nan, low, high))
    columns = ["structure", "group", "n", "n_rated", "n_faulty", "faulty_share", "faulty_low", "faulty_high"]
    return pd.DataFrame(found, columns=columns)
