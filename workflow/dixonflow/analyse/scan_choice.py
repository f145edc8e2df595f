"""Scans that a study is made of, and the count of those that it is not made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.analyse.study_data import QUANTITY, Lost

LOSS_COLUMNS = (*QUANTITY, "reason", "n")
"""Columns of a table of losses."""

_UNKNOWN = {"sex": Lost.NO_SEX, "height_cm": Lost.NO_HEIGHT}


@dataclass(frozen=True)
class Choice:
    """Scans of a study.

    Attributes
    ----------
    usable
        Whether what the study must know of a scan is known.
    first
        Whether a scan is the first usable one of its participant and sequence: by age, then by session.
    losses
        `LOSS_COLUMNS`: scans that are not first, each counted by one reason; of the quantity the sequence alone.
    """

    usable: "pd.Series[bool]"
    first: "pd.Series[bool]"
    losses: pd.DataFrame


def choose_scans(scans: pd.DataFrame, needs: Sequence[str], ages: tuple[float, float] | None = None) -> Choice:
    """Choose scans with an age, and the first one of each participant.

    Parameters
    ----------
    scans
        Of `StudyData`.
    needs
        `sex`, `height_cm`: what must be known, too.
    ages
        Lowest and highest age, years; None for all.
    """
    age = scans["age_years"].astype(float)
    tests = [(Lost.NO_AGE, age.notna())]
    if ages is not None:
        tests.append((Lost.AGE_OUTSIDE, age.between(*ages)))
    tests += [(reason, scans[name].notna()) for name, reason in _UNKNOWN.items() if name in needs]
    reason = pd.Series("", scans.index, dtype=object)
    for lost, fine in tests:
        reason[reason.eq("") & ~fine] = lost.value
    usable = reason.eq("")
    order = scans[usable].sort_values(["age_years", "session_id"], kind="stable")
    chosen = order.drop_duplicates(["participant_id", "sequence"]).index
    first = pd.Series(scans.index.isin(chosen), scans.index)
    reason[usable & ~first] = Lost.FURTHER_SCAN.value
    counts = scans[["sequence"]].assign(reason=reason)[~first].value_counts(sort=False).reset_index(name="n")
    losses = counts.assign(model="", structure="", measure="")[list(LOSS_COLUMNS)]
    return Choice(usable, first, losses)


def unfit(values: NDArray[np.float64], fewest: int) -> Lost | None:
    """Why a study cannot be made of these values, NaN where there is none; None where it can."""
    known = values[np.isfinite(values)]
    if len(known) < fewest:
        return Lost.TOO_FEW
    return Lost.CONSTANT if known.min() == known.max() else None


def loss_table(rows: Iterable[tuple[object, ...]], *others: pd.DataFrame) -> pd.DataFrame:
    """Make a table of losses of rows and of other such tables; rows that count nothing are left out."""
    own = pd.DataFrame(list(rows), columns=list(LOSS_COLUMNS))
    parts = [each for each in (own[own["n"] > 0], *others) if len(each)]
    return pd.concat(parts, ignore_index=True) if parts else own[:0]
