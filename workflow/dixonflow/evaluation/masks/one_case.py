"""One case: the reference and the predictions of all systems, read, prepared and compared."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from dixonflow.evaluation.masks.label_files import LabelFiles, StructureMap, box_sizes, read_structures
from dixonflow.evaluation.masks.mapping import structure_ids
from dixonflow.evaluation.masks.preparation import (
    GridChange,
    Options,
    around,
    boxes_of,
    covers_body,
    joint_box,
    on_grid,
    trunk,
)
from dixonflow.evaluation.masks.problem import CaseProblem
from dixonflow.evaluation.masks.shared_regions import NotCompared, shared_regions
from dixonflow.evaluation.metrics.compare import compare
from dixonflow.evaluation.regions import Region
from dixonflow.imaging.types import Mask, Spacing
from dixonflow.labelmap.dice import joint_counts

log = logging.getLogger(__name__)

MISTAKEN_DICE = 0.5
"""Where a predicted structure agrees more than this with another one of the reference, one of both has a wrong name."""


@dataclass(frozen=True)
class CaseTask:
    """What a process needs to evaluate a case.

    Attributes
    ----------
    number
        Place of the case, from 1.
    reference
        Its reference.
    predictions
        Its prediction by each system.
    options
        How they are compared.
    """

    number: int
    reference: LabelFiles
    predictions: dict[str, LabelFiles]
    options: Options


@dataclass(frozen=True)
class CaseResult:
    """What came of a case.

    Attributes
    ----------
    number
        Place of the case.
    rows
        Those of `compare`, with the column `system`; none where there is a problem.
    grids
        How the prediction of each system came onto the reference's grid.
    mistaken
        What the prediction of each system calls otherwise than the reference, as `mistaken_names` gives it.
    not_compared
        Structures that only one side has.
    problem, system
        Why it could not be compared, and the system at fault; empty where all is well, or the reference is at fault.
    """

    number: int
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    grids: dict[str, GridChange] = field(default_factory=dict)
    mistaken: dict[str, str] = field(default_factory=dict)
    not_compared: tuple[NotCompared, ...] = ()
    problem: str = ""
    system: str = ""


def evaluate_safely(task: CaseTask) -> CaseResult:
    """Evaluate a case; whatever goes wrong costs this case alone."""
    try:
        return evaluate_case(task)
    except CaseProblem as problem:
        return CaseResult(task.number, problem=str(problem), system=problem.system)
    except MemoryError:
        return CaseResult(task.number, problem="memory ran out: use fewer --jobs")
    except Exception as error:
        log.debug("case %d", task.number, exc_info=True)
        name = type(error).__name__
        return CaseResult(task.number, problem=f"unexpected error {name}; DIXONFLOW_LOG=DEBUG shows it")


def evaluate_case(task: CaseTask) -> CaseResult:
    """Compare the predictions of all systems with the reference.

    Raises
    ------
    CaseProblem
        If a label map cannot be used.
    """
    options = task.options
    have = {name: files.structures for name, files in task.predictions.items()}
    regions, left = shared_regions(
        task.reference.structures, have, classes=options.classes, join_lobes=options.join_lobes
    )
    if not regions:
        raise CaseProblem("no structure is in the reference and in every prediction")
    reference, spacing = _reference(task.reference)
    maps, grids = {}, {}
    for name, files in task.predictions.items():
        maps[name], grids[name] = _prediction(name, files, reference)
    true = reference.ids
    mistaken = {name: mistaken_names(ids, true, regions) for name, ids in maps.items()}
    if options.without_arms_and_legs:
        mask = _trunk(task, reference, maps)
        true, maps = true * mask, {name: ids * mask for name, ids in maps.items()}
    if options.crop_mm is not None:
        box = around(true, reference.affine, options.crop_mm)
        true, maps = true[box], {name: ids[box] for name, ids in maps.items()}
    compared = _eroded if options.erode else _whole
    rows = [compared(ids, true, spacing, regions, options).assign(system=name) for name, ids in maps.items()]
    return CaseResult(task.number, pd.concat(rows, ignore_index=True), grids, mistaken, tuple(left))


def mistaken_names(predicted: NDArray[np.uint8], true: NDArray[np.uint8], regions: Sequence[Region]) -> str:
    """Name the predicted structures that lie where the reference has another one, as swapped sides or labels do.

    Returns
    -------
    `kidney_left is kidney_right of the reference`, and others after commas: those whose Dice with the other one is
    above 0.5, and above that with their own. Empty where there are none.
    """
    single = [region for region in regions if not region.composite]
    size = len(structure_ids()) + 1
    member = np.zeros((len(single), size), np.int64)
    for row, region in zip(member, single, strict=True):
        row[list(region.labels)] = 1
    joint = joint_counts(predicted, true, size, size)
    volumes = (member @ joint.sum(axis=1))[:, None] + member @ joint.sum(axis=0)
    dice = 2 * (member @ joint @ member.T) / np.maximum(volumes, 1)
    found = []
    for own, row in enumerate(dice):
        other = int(row.argmax())
        if row[other] > MISTAKEN_DICE and row[other] > row[own]:
            found.append(f"{single[own].name} is {single[other].name} of the reference")
    return ", ".join(found)


def _reference(files: LabelFiles) -> tuple[StructureMap, Spacing]:
    try:
        found = read_structures(files)
        if files.label_map is not None and len(files.structures) > 1 and not found.ids.any():
            raise CaseProblem("the label map holds none of its structures: was it annotated?")
        return found, box_sizes(found.affine)
    except CaseProblem as problem:
        raise CaseProblem(f"reference: {problem}") from problem


def _prediction(name: str, files: LabelFiles, reference: StructureMap) -> tuple[NDArray[np.uint8], GridChange]:
    try:
        return on_grid(read_structures(files), reference)
    except CaseProblem as problem:
        raise CaseProblem(f"prediction: {problem}", name) from problem


def _trunk(task: CaseTask, reference: StructureMap, maps: dict[str, NDArray[np.uint8]]) -> Mask:
    """The trunk, of the first label map that covers the body: the same for all systems."""
    if covers_body(task.reference.structures):
        return trunk(reference.ids, reference.affine)
    for name, files in task.predictions.items():
        if covers_body(files.structures):
            try:
                return trunk(maps[name], reference.affine)
            except CaseProblem as problem:
                raise CaseProblem(f"prediction: {problem}", name) from problem
    raise CaseProblem(
        "arms and legs cannot be left out: neither the reference nor a prediction has hip bones and subcutaneous fat"
    )


def _whole(
    predicted: NDArray[np.uint8],
    true: NDArray[np.uint8],
    spacing: Spacing,
    regions: Sequence[Region],
    options: Options,
) -> pd.DataFrame:
    return compare(predicted, true, spacing, regions, tolerance_mm=options.tolerance_mm, surfaces=options.surfaces)


def _eroded(
    predicted: NDArray[np.uint8],
    true: NDArray[np.uint8],
    spacing: Spacing,
    regions: Sequence[Region],
    options: Options,
) -> pd.DataFrame:
    """Compare structures one by one without their outermost voxels: unions are eroded as one.

    The border of the image is no surface.
    """
    boxes = boxes_of(predicted, true)
    rows = []
    for region in regions:
        box = joint_box(boxes, region.labels, (1, 1, 1))
        pair = [np.isin(ids[box], region.labels) for ids in (predicted, true)]
        one, other = (binary_erosion(mask, border_value=1).view(np.uint8) for mask in pair)
        alone = Region(region.name, (1,), region.composite)
        rows.append(_whole(one, other, spacing, [alone], options))
    return pd.concat(rows, ignore_index=True)
