"""Whether a model can be run: its terms are agreed to, its weights are here, and the scans are of its kind."""

from collections.abc import Sequence

from dixonflow.config import Config
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.model import Model


def check_runnable(model: Model, config: Config) -> None:
    """Refuse a model that would give no result, or a wrong one, before any job starts.

    Raises
    ------
    ConfigError
        If its licence asks for consent and `segment.consent` does not name it.
    ModelError
        If its weights, or those of the rough model that it is cropped by, are not imported.
    """
    if model.consent is not None and model.name not in config.segment.consent:
        raise ConfigError(f"config: segment.consent: {model.consent}. If you have agreed, add {model.name}")
    if not model.is_imported:
        remedy = f": run dixonflow import-model {model.name}" if model.source else ""
        raise ModelError(f"model {model.name} is not imported, {model.weights} does not hold it{remedy}")
    if model.rough is not None:
        check_runnable(model.rough, config)


def check_modality(models: Sequence[Model], config: Config) -> None:
    """Refuse models and sources that are not all of Dixon scans, or all of CT.

    Raises
    ------
    ConfigError
        Naming a model and a source that do not go together.
    """
    kinds = {"mr": "Dixon scans", "ct": "CT"}
    for model in models:
        for number, source in enumerate(config.cohort.sources):
            if source.layout.modality != model.modality:
                raise ConfigError(
                    f"config: segment.models: {model.name} takes {kinds[model.modality]}, and cohort.sources.{number} "
                    f"has {kinds[source.layout.modality]} (layout {source.layout}): process them in separate runs"
                )
