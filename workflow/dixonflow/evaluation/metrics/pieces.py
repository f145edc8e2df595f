"""Connected components of regions."""

from collections.abc import Sequence

import numpy as np

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
    of_label = np.bincount(find_components(labels, COUNTING).label[1:], minlength=size)
    return [
        int(of_label[region.labels[0]]) if len(set(region.labels)) == 1 else _of_union(labels, region, size)
        for region in regions
    ]


def _of_union(labels: Labels, region: Region, size: int) -> int:
    member = np.zeros(size, bool)
    member[list(region.labels)] = True
    mask = member[labels]
    mask = mask[bounding_box(mask)]
    return len(find_components(mask.view(np.uint8), COUNTING).label) - 1 if mask.size else 0
