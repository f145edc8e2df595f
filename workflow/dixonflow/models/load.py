"""The models that a configuration names."""

from pathlib import Path

from dixonflow.config import Config
from dixonflow.models.model import Model, load_model
from dixonflow.models.runnable import check_modality, check_runnable

MODELS = Path(__file__).resolve().parents[2] / "models"
"""Folder of the model files."""


def load_models(config: Config) -> tuple[Model, ...]:
    """Load the models that a configuration names.

    Raises
    ------
    ConfigError, ModelError
        If a model file is wrong, or the model cannot be run.
    """
    models = tuple(load_model(MODELS / f"{name}.yaml") for name in config.segment.models)
    for model in models:
        check_runnable(model, config)
    check_modality(models, config)
    return models
