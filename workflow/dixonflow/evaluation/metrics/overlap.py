"""Voxels that each region has in one map, in the other and in both."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dixonflow.evaluation.metrics.label_pair import LabelPair
from dixonflow.labelmap.dice import dice_of, joint_counts


class Presence(StrEnum):
    """Which of the two maps have a region."""

    BOTH = "both"
    MISSED = "missed"
    INVENTED = "invented"
    NEITHER = "neither"


@dataclass(frozen=True)
class Overlap:
    """Overlap of one region.

    Attributes
    ----------
    predicted, reference, shared
        Voxels of the prediction P, of the reference R, and of both.
    dice
        2 |P and R| / (|P| + |R|) (Dice 1945); 0 where one map has the region and the other does not, NaN where neither
        has it.
    """

    predicted: int
    reference: int
    shared: int
    dice: float

    @property
    def presence(self) -> Presence:
        """Which of the maps have the region."""
        if self.reference:
            return Presence.BOTH if self.predicted else Presence.MISSED
        return Presence.INVENTED if self.predicted else Presence.NEITHER

    @property
    def under_fraction(self) -> float:
        """Part of R that P lacks, |R - P| / |R|; NaN where R is empty."""
        return (self.reference - self.shared) / self.reference if self.reference else np.nan

    @property
    def over_fraction(self) -> float:
        """What P has outside R, relative to R, |P - R| / |R|: above 1 where it is larger. NaN where R is empty."""
        return (self.predicted - self.shared) / self.reference if self.reference else np.nan


def overlaps(pair: LabelPair) -> list[Overlap]:
    """Count the voxels of each region, in the order of the regions."""
    joint = joint_counts(pair.predicted, pair.reference, pair.size, pair.size)
    result = []
    for region in pair.regions:
        labels = sorted(set(region.labels))
        dice = dice_of(joint, labels, labels)
        result.append(
            Overlap(
                predicted=int(joint[labels].sum()),
                reference=int(joint[:, labels].sum()),
                shared=int(joint[np.ix_(labels, labels)].sum()),
                dice=np.nan if dice is None else dice,
            )
        )
    return result
