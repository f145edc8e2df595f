"""Pictures of the worst and best cases of every structure, on the label maps as they were read."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.evaluation.masks.case_files import FoundCase
from dixonflow.evaluation.masks.label_files import LabelFiles, StructureMap, read_structures, same_grid
from dixonflow.evaluation.masks.mapping import structure_ids
from dixonflow.evaluation.masks.preparation import boxes_of, joint_box, on_grid
from dixonflow.evaluation.masks.problem import CaseProblem
from dixonflow.evaluation.masks.processes import results_of
from dixonflow.evaluation.masks.systems import System
from dixonflow.evaluation.outputs.case_pictures import ChosenCase, case_picture, choose_cases
from dixonflow.imaging.nifti import read_nifti
from dixonflow.models.anatomy import is_within
from dixonflow.report.close_up import MARGIN_MM
from dixonflow.resample.label_maps import labels_by_headers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureTask:
    """The pictures of a case.

    Attributes
    ----------
    reference, predictions
        Label maps.
    image
        What is shown below the outlines; None for nothing.
    chosen
        The pictures.
    """

    reference: LabelFiles
    predictions: Mapping[str, LabelFiles]
    image: Path | None
    chosen: tuple[ChosenCase, ...]


def draw_cases(
    rows: pd.DataFrame, cases: Sequence[FoundCase], systems: Sequence[System], number: int, jobs: int
) -> dict[ChosenCase, bytes]:
    """Draw the worst and the best cases of each structure and system, by Dice.

    Parameters
    ----------
    rows
        Of the evaluation.
    cases
        Those of the reference.
    systems
        Whose predictions were compared.
    number
        Of each kind; 0 for none.
    jobs
        Processes.
    """
    chosen: dict[str, list[ChosenCase]] = {}
    single = rows[~rows["composite"].astype(bool)]
    pairs = single[["system", "structure"]].drop_duplicates() if number else single[:0]
    for system, structure in zip(pairs["system"], pairs["structure"], strict=True):
        for each in choose_cases(rows, system, structure, number=number):
            chosen.setdefault(each.case, []).append(each)
    tasks = [_task(case, systems, chosen[case.name]) for case in cases if case.name in chosen]
    drawn: dict[ChosenCase, bytes] = {}
    for _, result in results_of(draw_case, tasks, jobs):
        if result is None:
            log.warning("pictures of a case are missing: its process ended, is memory short?")
        else:
            drawn |= result
    return drawn


def _task(case: FoundCase, systems: Sequence[System], chosen: Iterable[ChosenCase]) -> PictureTask:
    found = {system.name: system.prediction(case) for system in systems}
    predictions = {name: each for name, each in found.items() if isinstance(each, LabelFiles)}
    images = [case.image, *(system.image(case) for system in systems)]
    assert case.files is not None
    return PictureTask(case.files, predictions, next(filter(None, images), None), tuple(chosen))


def draw_case(task: PictureTask) -> dict[ChosenCase, bytes]:
    """Draw the pictures of a case. What cannot be drawn is missing: the numbers do not depend on it."""
    drawn = {}
    try:
        reference = read_structures(task.reference)
        image = _image(task.image, reference)
        spacing = np.linalg.norm(reference.affine[:3, :3], axis=0).tolist()
        x, y, z = (math.ceil(MARGIN_MM / each) for each in spacing)
        margin = x, y, z
        for system in dict.fromkeys(each.system for each in task.chosen):
            predicted, _ = on_grid(read_structures(task.predictions[system]), reference)
            boxes = boxes_of(reference.ids, predicted)
            for each in (one for one in task.chosen if one.system == system):
                labels = [number for name, number in structure_ids().items() if is_within(name, each.structure)]
                box = joint_box(boxes, labels, margin)  # what the picture shows: the rest only takes time
                shown = None if image is None else image[box]
                picture = case_picture(shown, reference.ids[box], predicted[box], spacing, labels)
                if picture is not None:
                    drawn[each] = picture
    except (CaseProblem, ValueError, MemoryError) as problem:
        log.warning("pictures of a case are missing: %s", problem)
    return drawn


def _image(path: Path | None, reference: StructureMap) -> NDArray[Any] | None:
    """The image on the reference's grid; None where it cannot be read: outlines alone say enough."""
    if path is None:
        return None
    try:
        image = read_nifti(path)
    except (ScanExcluded, OSError):
        return None
    if same_grid(reference.affine, reference.ids.shape, image.affine, image.data.shape):
        return image.data
    to_image = np.linalg.inv(image.affine) @ reference.affine
    return labels_by_headers(image.data, to_image, reference.ids.shape)
