"""Connected components of regions."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import label

from dixonflow.evaluation.regions import Region
from dixonflow.imaging.types import Labels
from dixonflow.labelmap.component_rules import COUNTING
from dixonflow.labelmap.components import bounding_box, find_components


def component_counts(labels: Labels, regions: Sequence[Region]) -> list[int]:
    """Count the connected components of each region of a label map.

    Voxels that share a face, an edge or a corner are connected (26 neighbours), as everywhere in this package. In a
    composite its structures connect each other.

    Parameters
    ----------
    labels
        Label map (x, y, z).
    regions
        What is counted, in the order of the result.
    """
    size = 1 + max(int(labels.max(initial=0)), *(max(each.labels) for each in regions))
    try:
        of_label = np.bincount(find_components(labels, COUNTING).label[1:], minlength=size)
    except RuntimeError:  # connected-components-3d reserves too little for some noise: "maximum length exception"
        each = [label(labels == number, np.ones((3, 3, 3)))[1] for number in range(1, size)]
        of_label = np.array([0, *each])
    return [
        int(of_label[region.labels[0]]) if len(set(region.labels)) == 1 else _of_union(labels, region, size)
        for region in regions
    ]


def _of_union(labels: Labels, region: Region, size: int) -> int:
    member = np.zeros(size, bool)
    member[list(region.labels)] = True
    mask = member[labels]
    mask = mask[bounding_box(mask)]
    return int(label(mask, np.ones((3, 3, 3)))[1]) if mask.size else 0
