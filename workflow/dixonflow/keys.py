"""Content keys: what a result was made from, as one hash per scan and stage.

A stage's key chains the key of the stage before it, down to the fingerprint of the raw data. Work is done again when
its key differs, and only then: file dates play no part.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from dixonflow.config import Config, SegmentConfig
from dixonflow.measures.structures import compared_models, vertebrae_of
from dixonflow.model import Model
from dixonflow.structures import is_muscle, structures
from dixonflow.vocabulary import Interpolate, MergeStrategy, Stage

STAGE_VERSIONS: dict[Stage, int] = {
    Stage.STITCH: 1,
    Stage.RESAMPLE: 1,
    Stage.SEGMENT: 2,
    Stage.MERGE: 1,
    Stage.POSTPROCESS: 1,
    Stage.MEASURE: 4,
}
"""Raise a number when a change of the code changes what the stage computes."""

_PREDICTION = ("orientation", "tile_step", "mirroring", "pad_voxels", "input_contrasts", "channels", "modality", "crop")
_COMPONENT_RULES = {
    *("name", "group", "min_components", "max_components", "single_piece", "drop_mm3_per_contrast", "drop_mm3"),
}


def interpolate_of(model: Model, segment: SegmentConfig) -> Interpolate:
    """What is interpolated: what the configuration says, else the model file."""
    return segment.interpolate or model.interpolate


def settings(stage: Stage, config: Config, model: Model) -> dict[str, Any]:
    """Everything in the configuration and the model file that the results of `stage` depend on."""
    dump = model.model_dump(mode="json")
    match stage:
        case Stage.STITCH:
            return config.stitch.model_dump(mode="json")
        case Stage.RESAMPLE:
            chosen = {name: dump[name] for name in ("resampling", "spacing_mm", "input_contrasts")}
            if model.resampling == "first":  # which end of the image keeps its place
                chosen["orientation"] = model.orientation
            if model.channels:
                chosen["channels"] = dump["channels"]
            return chosen
        case Stage.SEGMENT:
            chosen = {name: dump[name] for name in _PREDICTION}
            ids = model.structures
            mean = config.merge.strategy is MergeStrategy.MEAN_SCORES
            interpolate = interpolate_of(model, config.segment)
            run: dict[str, Any] = {"folds": config.segment.folds, "interpolate": interpolate, "mean": mean}
            if mean and model.contrast_weights:
                run["weights_of_contrasts"] = model.weights_of(model.input_contrasts)
            parts = [[part.name, model.classes_of(part)] for part in model.parts]
            if model.rough is not None:
                run["rough"] = [settings(each, config, model.rough) for each in (Stage.RESAMPLE, Stage.SEGMENT)]
            return {**chosen, **run, "weights": model.weights_hash, "ids": ids, "parts": parts}
        case Stage.MERGE | Stage.POSTPROCESS:
            rules = {name: dump[name] for name in ("group_order", "group_contrasts", "keep_largest")}
            rules["labels"] = {label: rule.model_dump(include=_COMPONENT_RULES) for label, rule in model.labels.items()}
            section = config.merge if stage is Stage.MERGE else config.postprocess
            if stage is Stage.POSTPROCESS:  # its check of the sides goes by the vocabulary
                rules["anatomy"] = [
                    (name, structures()[name].side, structures()[name].group) for name in model.structures
                ]
            return rules | section.model_dump(mode="json")
        case Stage.MEASURE:
            chosen = {"name": model.name, "ids": model.structures, "composites": dump["composites"]}
            cutoffs = {rule.name: rule.lower_cutoff_ml for rule in model.labels.values()}
            muscles = [name for name in model.structures if is_muscle(name)]
            vertebrae = vertebrae_of(model)
            levels = {"vertebrae": vertebrae} if vertebrae else {}
            return {**chosen, "cutoffs": cutoffs, "muscles": muscles, **levels}
        case Stage.COHORT:
            return {}


def stage_key(stage: Stage, raw_key: str, config: Config, model: Model, models: Sequence[Model]) -> str:
    """Content key of a scan at `stage`, for one model.

    Parameters
    ----------
    raw_key
        Fingerprint of the scan's raw data; empty for the part of the key that all scans share.
    models
        All models of the run. Where there are several, `measure` compares their label maps, and makes the picture of a
        scan with the first.

    Returns
    -------
    64 hexadecimal digits (SHA-256).
    """
    key = raw_key
    for current, version in STAGE_VERSIONS.items():
        content: list[Any] = [current.value, version, settings(current, config, model), key]
        if current is Stage.MEASURE and len(models) > 1:
            compared = compared_models(model, models)
            others = [stage_key(Stage.POSTPROCESS, raw_key, config, other, models) for other in compared]
            content.append([model.name == models[0].name, others])
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if current is stage:
            return key
    raise ValueError(f"stage {stage} has no content key of its own")
