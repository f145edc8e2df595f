"""One label map from the label maps of the contrasts.

Each contrast's map is cleaned, then a strategy decides voxel by voxel. `priority` is what VIBESegmentator does
(TotalVibeSegmentator run_TotalVibeSegmentator_multi.py): structure groups are filled in a fixed order and inside a
group contrast by contrast; what comes later fills only empty voxels. It takes the union of the contrasts wherever
structures border on background, so that volumes grow; `majority` does not. The order and the thresholds are the
model's.
"""

import itertools
from collections.abc import Mapping, Sequence

import fastremap
import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.component_rules import ComponentLimit, drop_surplus_then_keep_largest
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast, MergeStrategy


def merge(
    label_maps: Mapping[Contrast, Labels],
    model: Model,
    voxel_mm3: float,
    strategy: MergeStrategy = MergeStrategy.PRIORITY,
) -> Labels:
    """Merge the label maps that a model predicted from each contrast.

    First every map on its own: where the number of components of a structure is not allowed, components of at most its
    per-contrast threshold are dropped (`model.keep_largest`: but never the largest); then single-piece structures keep
    their largest component. Then the strategy, voxel by voxel:

    - `priority`: the first group in `model.group_order` that any of its contrasts has there, in the order of
      `model.group_contrasts`.
    - `first`: the first contrast in `model.input_contrasts` that has a label there.
    - `majority`: what most contrasts have there, background included; of equally frequent ones that of the first
      contrast.

    Parameters
    ----------
    label_maps
        Label map (x, y, z) of each contrast in `model.input_contrasts`, uint8 or uint16, all on one grid. They are not
        changed.
    model
        Labels, groups and thresholds.
    voxel_mm3
        Volume of a voxel.
    strategy
        Any but `mean_scores`, which leaves one map and nothing to merge.

    Returns
    -------
    Labels
        New label map (x, y, z) of the same type.

    Raises
    ------
    ValueError
        If contrasts are missing or not the model's, grids differ, a map holds a label that the model does not have, or
        the strategy is `mean_scores`.
    """
    _check(label_maps, model)
    match strategy:
        case MergeStrategy.PRIORITY:
            return _by_priority(label_maps, model, voxel_mm3)
        case MergeStrategy.FIRST:
            merged = clean(label_maps[model.input_contrasts[0]], model, voxel_mm3)
            for contrast in model.input_contrasts[1:]:
                np.copyto(merged, clean(label_maps[contrast], model, voxel_mm3), where=merged == 0)
            return merged
        case MergeStrategy.MAJORITY:
            return _majority([clean(label_maps[contrast], model, voxel_mm3) for contrast in model.input_contrasts])
        case MergeStrategy.MEAN_SCORES:
            raise ValueError("the segment stage already averaged the contrasts: there is only one label map")


def _by_priority(label_maps: Mapping[Contrast, Labels], model: Model, voxel_mm3: float) -> Labels:
    places, label_of_place = _places(model)
    best: NDArray[np.unsignedinteger] | None = None
    for contrast in model.input_contrasts:
        cleaned = clean(label_maps[contrast], model, voxel_mm3)
        place = _looked_up(cleaned, places[contrast])
        best = place if best is None else np.minimum(best, place, out=best)
    assert best is not None  # a model has at least one contrast
    return _looked_up(best, label_of_place).astype(label_maps[model.input_contrasts[0]].dtype, copy=False)


def _majority(maps: Sequence[Labels]) -> Labels:
    """Most frequent label of each voxel; of equally frequent ones that of the first map."""
    merged = maps[0].copy()
    most = _supporters(maps, 0)
    for place in range(1, len(maps)):
        votes = _supporters(maps, place)
        np.copyto(merged, maps[place], where=votes > most)
        np.maximum(most, votes, out=most)
    return merged


def _supporters(maps: Sequence[Labels], place: int) -> NDArray[np.uint8]:
    """How many other maps agree with one map, at each voxel."""
    votes = np.zeros_like(maps[place], np.uint8)
    for other in itertools.chain(maps[:place], maps[place + 1 :]):
        votes += other == maps[place]
    return votes


def clean(labels: Labels, model: Model, voxel_mm3: float) -> Labels:
    """Return one contrast's label map as it goes into the merge: surplus components dropped, single pieces made
    single. A label that the model does not have is a ValueError.
    """
    limits = {
        label: ComponentLimit(rule.min_components, rule.max_components, rule.drop_mm3_per_contrast)
        for label, rule in model.labels.items()
    }
    single_piece = {label for label, rule in model.labels.items() if rule.single_piece}
    return drop_surplus_then_keep_largest(labels, limits, voxel_mm3, single_piece, spare_largest=model.keep_largest)


def _places(model: Model) -> tuple[dict[Contrast, NDArray[np.unsignedinteger]], NDArray[np.unsignedinteger]]:
    """Place of each (label, contrast) in the filling order.

    Labels of one group and contrast have places of their own, so that the label can be read off the place.

    Returns
    -------
    tuple
        By contrast, the place of each label; labels that are not taken from it, and background, have the last place.
        And the label of each place, 0 for the last.
    """
    order = [
        (contrast, label)
        for group in model.group_order
        for contrast in model.group_contrasts[group]
        for label in sorted(model.labels)
        if model.labels[label].group == group
    ]
    dtype = np.min_scalar_type(max(len(order), *model.labels))  # small, because there is one value per voxel
    last = len(order)
    size = np.iinfo(dtype).max + 1
    tables = {contrast: np.full(size, last, dtype) for contrast in model.input_contrasts}
    label_of_place = np.zeros(size, dtype)
    for place, (contrast, label) in enumerate(order):
        tables[contrast][label] = place
        label_of_place[place] = label
    return tables, label_of_place


def _looked_up(values: NDArray[np.unsignedinteger], table: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Replace `values` by their entry in the table, in place where the types agree."""
    values = values.astype(table.dtype, copy=False)
    fastremap.remap_from_array(values.ravel(order="K"), table, in_place=True)
    return values


def _check(label_maps: Mapping[Contrast, Labels], model: Model) -> None:
    missing = [contrast.value for contrast in model.input_contrasts if contrast not in label_maps]
    surplus = [contrast.value for contrast in label_maps if contrast not in model.input_contrasts]
    if missing or surplus:
        wanted = ", ".join(model.input_contrasts)
        raise ValueError(f"model {model.name} merges {wanted}; missing: {missing}, unexpected: {surplus}")
    first = label_maps[model.input_contrasts[0]]
    for contrast, labels in label_maps.items():
        if labels.shape != first.shape or labels.dtype != first.dtype:
            raise ValueError(
                f"the label map of {contrast} is {labels.shape} {labels.dtype}, not {first.shape} {first.dtype}"
            )
