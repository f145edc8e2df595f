"""Ways to do something that a configuration chooses between."""

from enum import StrEnum
from typing import Literal


class MergeStrategy(StrEnum):
    """How the predictions of a model's contrasts become one label map."""

    PRIORITY = "priority"  # as published for VIBESegmentator: groups in an order, each voxel its first taker
    FIRST = "first"  # the first contrast that labels the voxel, in the model's order of contrasts
    MAJORITY = "majority"  # what most contrasts say, background included; a tie goes to the first of them
    MEAN_SCORES = "mean_scores"  # the segment stage averages the contrasts' scores and delivers one map


Interpolate = Literal["scores", "probabilities", "nearest"]
"""How labels reach the image's grid where it is not the network's: `scores` are resampled and then compared, as nnU-Net
does; `probabilities` the same with the scores turned into probabilities of the classes first, contrast by contrast: raw
scores draw an outline towards the class that the network is less sure of, so that thin structures shrink; `nearest`
compares scores on the network's grid and gives each voxel the nearest label, as VIBESegmentator does."""

Backend = Literal["torch", "openvino"]
"""What computes the layers of a network on a CPU. torch is the reference, and computes on every other device."""
