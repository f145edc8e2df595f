"""What must fit together in a model, beyond the types of its fields. All raise ValueError."""

from typing import TYPE_CHECKING

from dixonflow.vocabulary import ScanSequence

if TYPE_CHECKING:
    from dixonflow.models.model import Model


def check_labels(model: "Model") -> None:
    """Names, groups, composites and inputs."""
    names = [rule.name for rule in model.labels.values()]
    if len(set(names)) != len(names):
        raise ValueError("two labels have the same structure name")
    if model.name in {sequence.acq for sequence in ScanSequence}:
        raise ValueError(f"{model.name} is a sequence: the names of tables would not tell which is meant")
    groups = {rule.group for rule in model.labels.values()}
    if groups - set(model.group_order) or len(set(model.group_order)) != len(model.group_order):
        raise ValueError("group_order must name every group of the labels once")
    if set(model.group_contrasts) != set(model.group_order):
        raise ValueError("group_contrasts must have an entry for every group in group_order")
    for group, contrasts in model.group_contrasts.items():
        if set(contrasts) - set(model.input_contrasts) or len(set(contrasts)) != len(contrasts):
            raise ValueError(f"group_contrasts of {group!r} must be a choice from input_contrasts, each once")
        if not contrasts:
            raise ValueError(f"group_contrasts of {group!r} names no contrast")
    for composite, parts in model.composites.items():
        if composite in names or set(parts) - set(names) or not parts:
            raise ValueError(f"composite {composite!r} must combine structures of the model under a new name")
    if (model.resampling == "nnunet") != (model.spacing_mm is None):
        raise ValueError("spacing_mm goes with resampling first or first_zoom, and only with them")
    if not model.input_contrasts or set(model.contrasts_read) - set(model.sequence.contrasts):
        raise ValueError(f"input_contrasts must name images of modality {model.modality!r}")
    if (model.source is None) != (not model.parts):
        raise ValueError("source and parts go together")


def check_contrasts(model: "Model") -> None:
    """What it takes of other sequences, and its channels."""
    for sequence, accepted in model.accepts.items():
        contrasts = accepted.contrasts
        maps = [contrast for contrast in contrasts if contrast.is_map and sequence is not ScanSequence.CT]
        if sequence is model.own_sequence or maps or set(contrasts) - set(sequence.contrasts):
            raise ValueError(f"accepts: {sequence} must be another sequence, with images that all its scans have")
        if len(set(contrasts)) != len(contrasts):
            raise ValueError(f"accepts: {sequence} names a contrast twice")
        if set(accepted.labels) & set(model.labels):
            raise ValueError(f"accepts: {sequence} has a label that the model has in any case")
    if model.channels and (
        len(set(model.channels)) != len(model.channels) or model.input_contrasts != model.channels[:1]
    ):
        raise ValueError("channels must be different contrasts, and input_contrasts only the first of them")
    if set(model.contrast_weights) - set(model.input_contrasts):
        raise ValueError("contrast_weights names a contrast that is not in input_contrasts")


def check_parts(model: "Model") -> None:
    """Every class of every network is one label, or unused."""
    names = [part.name for part in model.parts]
    if len(set(names)) != len(names):
        raise ValueError("two parts have the same name")
    for label, rule in model.labels.items():
        if (rule.part is None) != (len(names) < 2) or (rule.part is not None and rule.part not in names):
            raise ValueError(f"label {label}: part must be one of {names} in a model of several parts, else absent")
    for part in model.parts:
        classes = [
            *(rule.network_class or label for label, rule in model.labels_of(part)),
            *part.unused_classes,
        ]
        if sorted(classes) != list(range(1, len(classes) + 1)):
            raise ValueError(f"part {part.name}: its classes must be 1, 2, ... {len(classes)}, each once")
        published = [rule.published_name for _, rule in model.labels_of(part)]
        if len(set(published)) != len(published):
            raise ValueError(f"part {part.name}: two of its labels have the same published name")
