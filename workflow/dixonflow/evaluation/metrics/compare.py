"""How far a predicted and a reference label map agree, structure by structure.

What each metric says where a map lacks a structure is one rule:

========= ===== ===== ======= ============== ============= =============== ====================
presence  dice  nsd   hd95_mm under_fraction over_fraction volume_error_ml volume_error_percent
========= ===== ===== ======= ============== ============= =============== ====================
both      value value value   value          value         value           value
missed    0     0     null    1              0             value           -100
invented  0     0     null    null           null          value           null
neither   null  null  null    null           null          null            null
========= ===== ===== ======= ============== ============= =============== ====================

A distance to a surface that is not there is infinite: it is null and never a number that a mean could swallow. What has
the reference volume below it is null where that is 0. Where neither map has the structure nothing was judged.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from dixonflow.evaluation.metrics.label_pair import LabelPair, label_pair
from dixonflow.evaluation.metrics.overlap import Presence, overlaps
from dixonflow.evaluation.metrics.pieces import component_counts
from dixonflow.evaluation.metrics.surfaces import SurfaceDistances, surface_distances
from dixonflow.evaluation.regions import Region
from dixonflow.imaging.types import Box

TOLERANCE_MM = 3.0
"""Distance within which surfaces agree."""

HAUSDORFF_PERCENT = 95.0


def compare(
    predicted: NDArray[np.integer],
    reference: NDArray[np.integer],
    spacing_mm: Sequence[float],
    regions: Sequence[Region],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    surfaces: bool = True,
) -> pd.DataFrame:
    """Compare a predicted label map with a reference on the same grid.

    Parameters
    ----------
    predicted, reference
        Label maps of shape (x, y, z), integers, 0 is background.
    spacing_mm
        Voxel size (x, y, z).
    regions
        What is compared: structures and unions of structures. Labels of no region count as background.
    tolerance_mm
        Distance within which surfaces agree, for the normalised surface distance.
    surfaces
        Whether the surface metrics are computed, which is most of the work; without them `nsd` and `hd95_mm` are null.

    Returns
    -------
    pandas.DataFrame
        One row per region, in order. Unknown numbers are NaN (the table of this module says which).

        structure, composite
            From the region.
        presence
            both, missed (only the reference has it), invented (only the prediction has it) or neither.
        dice
            Of volumes, 0 to 1.
        nsd
            Normalised surface distance: the part of both surfaces within `tolerance_mm` of each other, 0 to 1.
        hd95_mm
            95th percentile of the distances from either surface to the other, the larger of both.
        under_fraction, over_fraction
            Missed and surplus volume, both relative to the reference volume.
        components_reference, components_predicted
            Connected components, 26 neighbours.
        reference_ml, predicted_ml, volume_error_ml, volume_error_percent
            Volumes; errors are signed, prediction minus reference, percent of the reference.

    Raises
    ------
    ValueError
        If the maps are not integers of 0 and above on one three-dimensional grid, spacing or tolerance are not
        positive, or there are no regions or two of one name.
    """
    if not (np.isfinite(tolerance_mm) and tolerance_mm > 0):
        raise ValueError(f"the tolerance must be a positive number of millimetres, not {tolerance_mm}")
    pair = label_pair(predicted, reference, spacing_mm, regions)
    components = [component_counts(labels, pair.regions) for labels in (pair.reference, pair.predicted)]
    boxes = _boxes(pair) if surfaces else []
    rows = []
    for region, overlap, in_reference, in_predicted in zip(pair.regions, overlaps(pair), *components, strict=True):
        known = overlap.presence is not Presence.NEITHER
        nsd, hd95_mm = np.nan, np.nan
        if surfaces and overlap.presence is Presence.BOTH:
            distances = _distances(pair, region, boxes)
            nsd, hd95_mm = distances.within(tolerance_mm), distances.percentile(HAUSDORFF_PERCENT)
        elif surfaces and known:
            nsd = 0.0
        error = overlap.predicted - overlap.reference
        rows.append(
            {
                "structure": region.name,
                "composite": region.composite,
                "presence": overlap.presence.value,
                "dice": overlap.dice,
                "nsd": nsd,
                "hd95_mm": hd95_mm,
                "under_fraction": overlap.under_fraction,
                "over_fraction": overlap.over_fraction,
                "components_reference": in_reference,
                "components_predicted": in_predicted,
                "reference_ml": overlap.reference * pair.voxel_ml,
                "predicted_ml": overlap.predicted * pair.voxel_ml,
                "volume_error_ml": error * pair.voxel_ml if known else np.nan,
                "volume_error_percent": 100 * error / overlap.reference if overlap.reference else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _boxes(pair: LabelPair) -> list[list[Box]]:
    """Boxes around each label: at most one of each map, none where it lacks the label."""
    found = [find_objects(labels, max_label=pair.size - 1) for labels in (pair.predicted, pair.reference)]
    return [[], *([box for box in boxes if box is not None] for boxes in zip(*found, strict=True))]


def _distances(pair: LabelPair, region: Region, boxes: list[list[Box]]) -> SurfaceDistances:
    own = [box for label in region.labels for box in boxes[label]]
    box = tuple(slice(min(each[a].start for each in own), max(each[a].stop for each in own)) for a in range(3))
    member = np.zeros(pair.size, bool)
    member[list(region.labels)] = True
    return surface_distances(member[pair.predicted[box]], member[pair.reference[box]], pair.spacing_mm)
