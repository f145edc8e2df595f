"""The scans whose costs are estimated: a number of them, or those that the cohort stage has listed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dixonflow.cohort.table import read_scans
from dixonflow.evaluation.statistics.bootstrap import bootstrap_means, percentile_interval
from dixonflow.paths import Results
from dixonflow.run.estimate.pilot import EstimateError, Pilot
from dixonflow.vocabulary import Status

CONFIDENCE = 0.95
FEWEST = 10
"""Participants below which a bootstrap interval is too narrow to be shown."""

_DRAWS, _SEED = 2000, 20260101
_ANY = "any"


@dataclass(frozen=True)
class Amount:
    """An estimate and its 95 % interval; None for what the pilot does not tell."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Target:
    """Scans to estimate.

    Attributes
    ----------
    counts
        Number of scans of each kind, `layout/sequence`; a single kind where the mix of the pilot is assumed.
    kinds
        Kind of each scan of the pilot that stands for them; the index is that of the pilot's scans.
    groups
        Participant of each of these.
    shards
        Jobs of a stage; None where it follows from the scans that the pilot lets expect.
    """

    counts: Mapping[str, int]
    kinds: pd.Series
    groups: pd.Series
    shards: int | None

    @property
    def scans(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    def totals(self, costs: pd.DataFrame) -> dict[str, Amount]:
        """Costs of all scans, from those of the pilot's.

        Percentile bootstrap over participants (`evaluation.statistics.bootstrap`), each kind by itself.

        Parameters
        ----------
        costs
            A row per scan of the pilot, a column per cost; NaN where it was not measured.
        """
        costs = costs.loc[self.kinds.index]
        values = costs.to_numpy(float)
        of_kind = [self.kinds.eq(kind).to_numpy() for kind in self.counts]
        numbers = np.array(list(self.counts.values()), float)
        parts = np.stack([np.where(chosen[:, None], values, np.nan) for chosen in of_kind], axis=2)
        flat = parts.reshape(len(values), -1)
        drawn = bootstrap_means(flat, self.groups.tolist(), draws=_DRAWS, seed=_SEED)
        low, high = percentile_interval(drawn.reshape(-1, *parts.shape[1:]) @ numbers, CONFIDENCE)
        amounts = {}
        for place, name in enumerate(costs.columns):
            known = [part[~np.isnan(part)] for part in parts[:, place].T]
            if not all(part.size for part in known):
                amounts[str(name)] = Amount(None)
                continue
            value = float(sum(part.mean() * number for part, number in zip(known, numbers, strict=True)))
            measured = ~np.isnan(values[:, place])
            wide = all(self.groups[measured & chosen].nunique() >= FEWEST for chosen in of_kind)
            amounts[str(name)] = Amount(value, float(low[place]), float(high[place])) if wide else Amount(value)
        return amounts


def number_of_scans(pilot: Pilot, scans: int) -> Target:
    """So many scans in the raw folders, of the pilot's mix; some of them will be excluded, as in the pilot."""
    kinds = pd.Series(_ANY, index=pilot.scans.index)
    return Target({_ANY: scans}, kinds, _groups(pilot), None)


def listed_scans(pilot: Pilot, results: Results) -> Target:
    """Scans that the cohort stage has listed for jobs in another results folder.

    Raises
    ------
    EstimateError
        If there is no list, it holds no scan for a job, or the pilot had none of a layout or sequence.
    TableError
        If the list is damaged.
    """
    if not results.scans.exists():
        raise EstimateError(
            f"no scans are listed in {results.root}: run the cohort stage of the configuration, or give --scans"
        )
    listed = [row for row in read_scans(results.scans) if row.status is Status.OK and row.shard and row.scan]
    if not listed:
        raise EstimateError(f"the list of scans in {results.root} has none that goes to a job: see its reasons")
    assigned = pilot.scans[pilot.scans["shard"].notna()]
    counts = Counter(f"{row.entry.layout}/{row.scan.sequence}" for row in listed if row.scan)
    kinds = assigned["layout"] + "/" + assigned["sequence"]
    unknown = sorted(set(counts) - set(kinds))
    if unknown:
        raise EstimateError(
            f"the pilot has no scans of {', '.join(unknown)} (layout/sequence): run one that has, of each about 20"
        )
    return Target(counts, kinds, _groups(pilot).loc[assigned.index], len({row.shard for row in listed}))


def _groups(pilot: Pilot) -> pd.Series:
    """The participant of each scan; an entry whose name gives none is one by itself."""
    names = pilot.scans["participant_id"].astype(object)
    return names.where(names.notna(), pd.Series(pilot.scans.index, pilot.scans.index).map("entry {}".format))
