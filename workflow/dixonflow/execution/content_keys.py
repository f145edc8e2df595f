"""Content keys: what a result was made from, as one hash per scan and stage.

A stage's key chains the key of the stage before it, down to the fingerprint of the raw data. Work is done again when
its key differs, and only then: file dates play no part.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from dixonflow.config import Config, MergeConfig
from dixonflow.measure.compartments.compartment import consulted_models
from dixonflow.models.anatomy import is_muscle, structures
from dixonflow.models.backend_record import gives_labels_of_torch
from dixonflow.models.comparison import interpolate_of, merge_strategy_of, vertebrae_of
from dixonflow.models.model import Model
from dixonflow.vocabulary import MergeStrategy, Stage

STAGE_VERSIONS: dict[Stage, int] = {
    Stage.STITCH: 1,
    Stage.RESAMPLE: 1,
    Stage.SEGMENT: 2,
    Stage.MERGE: 1,
    Stage.POSTPROCESS: 1,
    Stage.MEASURE: 8,
}
"""Raise a number when a change of the code changes what the stage computes."""

_FIRST_OPTIONS = {
    "stitch": {"drop_end_slices", "match_intensities", "exclude_swaps"},
    "merge": {"strategy"},
    "postprocess": {"repair_sides"},
}
"""Options that have been part of the keys from the beginning, by section of the configuration."""

NEUTRAL_OPTIONS: dict[str, dict[str, Any]] = {"stitch": {}, "merge": {}, "postprocess": {}}
"""Options that came later, each with the value under which a stage does what it did without it: at that value, which
need not be its default for ever, the option is not part of the key. No results are recomputed for an option that
they do not use. An option that is renamed keeps its first name here and in `_NAMES_IN_KEYS`."""

_NAMES_IN_KEYS: dict[str, str] = {"repair_swaps": "exclude_swaps"}
"""First names of options that were renamed, by their present name. Where nothing is swapped, what is done with swaps
changes no result."""

_OPTIONS_OF_OTHER_STAGES: dict[str, set[str]] = {"stitch": {"check_contrasts"}}
"""Options that a section holds and that the results of its own stage do not depend on."""

_PREDICTION = ("orientation", "tile_step", "mirroring", "pad_voxels", "input_contrasts", "channels", "modality", "crop")
_COMPONENT_RULES = {
    *("name", "group", "min_components", "max_components", "single_piece", "drop_mm3_per_contrast", "drop_mm3"),
}


def section_in_key(name: str, section: BaseModel) -> dict[str, Any]:
    """Options of a section of the configuration as they count in keys.

    Raises
    ------
    KeyError
        If an option is in none of the lists above: whether old results stand must have been decided.
    """
    chosen = {}
    for option, value in section.model_dump(mode="json").items():
        if option in _OPTIONS_OF_OTHER_STAGES.get(name, ()):
            continue
        key = _NAMES_IN_KEYS.get(option, option)
        if key in _FIRST_OPTIONS[name] or value != NEUTRAL_OPTIONS[name][key]:
            chosen[key] = value
    return chosen


def _folds_in_key(config: Config, model: Model) -> tuple[str, ...] | None:
    """Folds as they count in keys: None for all that the model has, whether they are named or not."""
    folds = config.segment.folds
    return None if folds is None or folds == model.folds else folds


def _segment_settings(config: Config, model: Model) -> dict[str, Any]:
    """Part of `settings` for the segment stage."""
    dump = model.model_dump(mode="json")
    chosen = {name: dump[name] for name in _PREDICTION}
    ids = model.structures
    mean = merge_strategy_of(model, config.merge) is MergeStrategy.MEAN_SCORES
    interpolate = interpolate_of(model, config.segment)
    run: dict[str, Any] = {"folds": _folds_in_key(config, model), "interpolate": interpolate, "mean": mean}
    if config.segment.unstitched:
        run["unstitched"] = True
    backend = config.segment.backend
    if backend != "auto" and not gives_labels_of_torch(model, backend):
        run["backend"] = backend
    if mean and model.contrast_weights:
        run["weights_of_contrasts"] = model.weights_of(model.input_contrasts)
    parts = [[part.name, model.classes_of(part)] for part in model.parts]
    if model.rough is not None:
        run["rough"] = [settings(each, config, model.rough) for each in (Stage.RESAMPLE, Stage.SEGMENT)]
    if model.swaps is not None:
        run["swaps"] = [settings(each, config, model.swaps) for each in (Stage.RESAMPLE, Stage.SEGMENT)]
    return {**chosen, **run, "weights": model.weights_hash, "ids": ids, "parts": parts}


def settings(stage: Stage, config: Config, model: Model) -> dict[str, Any]:
    """Everything in the configuration and the model file that the results of `stage` depend on."""
    dump = model.model_dump(mode="json")
    match stage:
        case Stage.STITCH:
            return section_in_key("stitch", config.stitch)
        case Stage.RESAMPLE:
            chosen = {name: dump[name] for name in ("resampling", "spacing_mm", "input_contrasts")}
            if model.resampling == "first":  # which end of the image keeps its place
                chosen["orientation"] = model.orientation
            if model.channels:
                chosen["channels"] = dump["channels"]
            return chosen
        case Stage.SEGMENT:
            return _segment_settings(config, model)
        case Stage.MERGE | Stage.POSTPROCESS:
            rules = {name: dump[name] for name in ("group_order", "group_contrasts", "keep_largest")}
            rules["labels"] = {label: rule.model_dump(include=_COMPONENT_RULES) for label, rule in model.labels.items()}
            if stage is Stage.POSTPROCESS:  # its check of the sides goes by the vocabulary
                rules["anatomy"] = [
                    (name, structures()[name].side, structures()[name].group) for name in model.structures
                ]
            resolved = MergeConfig(strategy=merge_strategy_of(model, config.merge))
            section = resolved if stage is Stage.MERGE else config.postprocess
            return rules | section_in_key(stage.value, section)
        case Stage.MEASURE:
            chosen = {"name": model.name, "ids": model.structures, "composites": dump["composites"]}
            cutoffs = {rule.name: rule.lower_cutoff_ml for rule in model.labels.values()}
            muscles = [name for name in model.structures if is_muscle(name)]
            vertebrae = vertebrae_of(model)
            more: dict[str, Any] = {"vertebrae": vertebrae} if vertebrae else {}
            if not config.stitch.check_contrasts:  # it changes no pixel: the check of what is stitched is made here
                more["check_contrasts"] = False
            if config.measure.incomplete_composites != "missing":
                more["incomplete_composites"] = config.measure.incomplete_composites
            if config.measure.profiles:
                more["profiles"] = True
            return {**chosen, "cutoffs": cutoffs, "muscles": muscles, **more}
        case Stage.COHORT:
            return {}


def stage_key(
    stage: Stage,
    raw_key: str,
    config: Config,
    model: Model,
    models: Sequence[Model],
    known: Mapping[tuple[str, Stage], str] | None = None,
) -> str:
    """Content key of a scan at `stage`, for one model.

    Parameters
    ----------
    raw_key
        Fingerprint of the scan's raw data; empty for the part of the key that all scans share.
    models
        All models of the run. Where there are several, `measure` compares their label maps, takes landmarks of one from
        another, and makes the picture of a scan with the first.
    known
        Keys to use instead of those that follow from `raw_key`, by model name and stage; the key of `stage`
        itself is never taken from it.

    Returns
    -------
    64 hexadecimal digits (SHA-256).
    """
    key, known = raw_key, known or {}
    for current, version in STAGE_VERSIONS.items():
        content: list[Any] = [current.value, version, settings(current, config, model), key]
        if current is Stage.MEASURE and len(models) > 1:
            consulted = consulted_models(model, models)
            others = [
                known.get((other.name, Stage.POSTPROCESS))
                or stage_key(Stage.POSTPROCESS, raw_key, config, other, models, known)
                for other in consulted
            ]
            content.append([model.name == models[0].name, others])
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if current is stage:
            return key
        key = known.get((model.name, current), key)
    raise ValueError(f"stage {stage} has no content key of its own")
