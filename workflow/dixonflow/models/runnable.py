"""Whether a model can be run: its terms are agreed to, its weights are here, and there are scans that it takes."""

from collections.abc import Iterable, Sequence

from dixonflow.config import Config
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.model import Model
from dixonflow.vocabulary import ScanSequence

_KINDS = {ScanSequence.DIXON: "Dixon scans", ScanSequence.CT: "CT"}


def check_runnable(model: Model, config: Config) -> None:
    """Refuse a model that would give no result, or a wrong one, before any job starts.

    Raises
    ------
    ConfigError
        If its licence asks for consent and `segment.consent` does not name it, or single stations are to be segmented
        and it crops the whole image first.
    ModelError
        If its weights, or those of the rough model that it is cropped by or of the network that looks for swaps, are
        not imported.
    """
    if model.consent is not None and model.name not in config.segment.consent:
        raise ConfigError(f"config: segment.consent: {model.consent}. If you have agreed, add {model.name}")
    if not model.is_imported:
        remedy = f": run dixonflow import-model {model.name}" if model.source else ""
        raise ModelError(f"model {model.name} is not imported, {model.weights} does not hold it{remedy}")
    if model.rough is not None:
        if config.segment.unstitched:
            raise ConfigError(
                f"config: segment.unstitched: {model.name} looks for the body in the whole image first and cannot take "
                "single stations: set it to false"
            )
        check_runnable(model.rough, config)
    if model.swaps is not None:
        if config.segment.unstitched:
            raise ConfigError(
                f"config: segment.unstitched: {model.swaps.name} looks at the stitched images: set it to false, or "
                "segment.swap_model to null"
            )
        check_runnable(model.swaps, config)


def models_for(sequence: ScanSequence, models: Sequence[Model], config: Config) -> tuple[Model, ...]:
    """Models that segment scans of a sequence, as they are used on them.

    Parameters
    ----------
    models
        All models of the run, as `load_models` gives them.
    """
    if sequence in config.segment.labels_of_dixon:
        of_dixon = models_for(ScanSequence.DIXON, models, config)
        return tuple(model.with_labels_for(sequence) for model in of_dixon)
    named = config.segment.models_of.get(sequence)
    by_name = {model.name: model for model in models}
    chosen = [by_name[name] for name in named or config.segment.models]
    return tuple(model.for_sequence(sequence) for model in chosen if named or model.takes(sequence))


def models_by_sequence(models: Sequence[Model], config: Config) -> dict[ScanSequence, tuple[Model, ...]]:
    """`models_for` of every sequence that is looked for."""
    return {sequence: models_for(sequence, models, config) for sequence in sequences_of(config)}


def sequences_of(config: Config) -> tuple[ScanSequence, ...]:
    """Sequences that are looked for in the sources of a run."""
    wanted = {sequence for source in config.cohort.sources for sequence in source.looked_for}
    return tuple(sequence for sequence in ScanSequence if sequence in wanted)


def _named(sequences: Iterable[ScanSequence]) -> str:
    return ", ".join(_KINDS.get(sequence, sequence.value) for sequence in sequences)


def check_sequences(models: Sequence[Model], config: Config) -> None:
    """Refuse models and sources that do not go together.

    Raises
    ------
    ConfigError
        If a sequence has no model, a model does not take the sequence that it is named for, or no sequence at all.
    """
    used = set()
    for sequence in config.segment.labels_of_dixon:
        where = f"config: segment.labels_of_dixon: {sequence}"
        if sequence is ScanSequence.DIXON or not {sequence, ScanSequence.DIXON} <= set(sequences_of(config)):
            raise ConfigError(f"{where}: cohort.sources must look for this sequence and for dixon")
        if sequence in config.segment.models_of:
            raise ConfigError(
                f"{where}: segment.models_of names models that would segment it: leave out one of the two"
            )
    for sequence in sequences_of(config):
        for name in config.segment.models_of.get(sequence, ()):
            if not next(model for model in models if model.name == name).takes(sequence):
                raise ConfigError(f"config: segment.models_of.{sequence}: {name} does not take scans of this sequence")
        chosen = models_for(sequence, models, config)
        used |= {model.name for model in chosen}
        if not chosen:
            takers = "name one in segment.models_of; docs/models.md says which sequences a model takes"
            raise ConfigError(f"config: segment.models: no model takes {_KINDS.get(sequence, sequence)}: {takers}")
    for model in models:
        if model.name not in used:
            taken = _named(each for each in ScanSequence if model.takes(each))
            there = _named(sequences_of(config))
            raise ConfigError(f"config: segment.models: {model.name} takes {taken}, and cohort.sources have {there}")
