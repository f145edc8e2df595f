"""A model on the frozen test participants: its label maps against the reference masks."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from dixonflow.config import Config
from dixonflow.errors import ScanExcluded
from dixonflow.evaluation.accuracy import evaluate
from dixonflow.evaluation.regions import Region
from dixonflow.imaging.nifti import read_labels, read_nifti
from dixonflow.imaging.types import Labels
from dixonflow.merge.strategies import clean, merge
from dixonflow.models.comparison import merge_strategy_of
from dixonflow.models.model import Model
from dixonflow.postprocess.label_map import postprocess
from dixonflow.retraining.cases import Case
from dixonflow.retraining.project import Project, RetrainingError, Settings
from dixonflow.segment import PartsPredictor
from dixonflow.segment.networks import load_networks, options_of_file
from dixonflow.vocabulary import Contrast, MergeStrategy

log = logging.getLogger(__name__)

_GRID_MM = 1e-3


def why_not_measurable(model: Model, settings: Settings) -> str:
    """Why a model cannot be measured on test cases; empty where it can. The words follow the name of the model."""
    if not model.is_imported:
        return "is not imported"
    if missing := [each.value for each in model.contrasts_read if each not in settings.contrasts]:
        return f"takes {', '.join(missing)}, which the cases do not have"
    if model.resampling != "nnunet" or model.crop is not None:
        return "resamples or crops in its own way: run snakemake with it, then dixonflow evaluate"
    return "" if set(model.structures) & set(settings.labels) else "has none of the project's structures"


def segment_case(model: Model, predictor: PartsPredictor, case: Case, config: Config) -> Labels:
    """Label map of a case by a model, merged and postprocessed as in a run; RAS+, in the model's numbers.

    Raises
    ------
    RetrainingError
        If an image cannot be read, or the case has not all images that the model takes.
    """
    if any(contrast not in case.images for contrast in model.contrasts_read):
        raise RetrainingError(f"{model.name} takes images that {case.name} does not have")
    try:
        images = {contrast: read_nifti(case.images[contrast]) for contrast in model.contrasts_read}
    except (ScanExcluded, OSError) as error:
        raise RetrainingError(f"{case.name}: an image cannot be read: call dixonflow retrain export") from error
    spacing_mm = images[model.contrasts_read[0]].spacing_mm
    voxel_mm3 = float(np.prod(spacing_mm))

    def predicted(contrasts: Sequence[Contrast]) -> Labels:
        data = [images[contrast].data for contrast in model.channels or contrasts]
        prepared = predictor.prepare([np.stack(data)] if model.channels else data, spacing_mm)
        return predictor.restore(prepared, predictor.infer(prepared))

    strategy = merge_strategy_of(model, config.merge)
    if strategy is MergeStrategy.MEAN_SCORES:
        merged = clean(predicted(model.input_contrasts), model, voxel_mm3)
    else:
        maps = {contrast: predicted([contrast]) for contrast in model.input_contrasts}
        merged = merge(maps, model, voxel_mm3, strategy)
    return postprocess(merged, model, spacing_mm, repair_sides=config.postprocess.repair_sides).labels


def evaluate_model(project: Project, model: Model, cases: Sequence[Case]) -> pd.DataFrame:
    """Compare a model with the reference masks of the frozen test participants.

    Returns
    -------
    DataFrame
        Rows of `evaluation.accuracy.evaluate` for the project's structures that the model has, with `case` and
        `participant`.

    Raises
    ------
    RetrainingError
        If there is no test case, a file of one cannot be used, or the model cannot be measured on them.
    """
    if not cases:
        raise RetrainingError("no frozen test participant has a reference mask: export and return round 0 first")
    if why := why_not_measurable(model, project.settings):
        raise RetrainingError(f"{model.name} {why}")
    numbers = project.settings.labels
    shared = {name: number for name, number in numbers.items() if name in model.structures}
    predictor = load_networks(model, options_of_file(model, project.config.segment))
    table = np.zeros(max(model.labels) + 1, np.uint16)
    for name, number in shared.items():
        table[model.structures[name]] = number
    regions = [Region(name, (number,)) for name, number in sorted(shared.items(), key=lambda item: item[1])]
    frames = []
    for case in cases:
        predicted = table[segment_case(model, predictor, case, project.config)]
        frames.append(_compared(case, predicted, regions))
        log.info("%s: %s is compared with its reference mask", model.name, case.name)
    return pd.concat(frames, ignore_index=True)


def _compared(case: Case, predicted: Labels, regions: Sequence[Region]) -> pd.DataFrame:
    if case.labels is None:
        raise RetrainingError(f"{case.name} has no reference mask")
    try:
        true, affine = read_labels(case.labels)
        image = read_nifti(next(iter(case.images.values())))
    except (ScanExcluded, OSError) as error:
        raise RetrainingError(f"{case.name}: its reference mask cannot be read: return it again") from error
    if true.shape != predicted.shape or not np.allclose(affine, image.affine, atol=_GRID_MM):
        raise RetrainingError(f"{case.name}: reference mask and image are on different grids: return it again")
    rows = evaluate(predicted, true, image.spacing_mm, regions)
    return rows.assign(case=case.name, participant=case.scan.participant)
