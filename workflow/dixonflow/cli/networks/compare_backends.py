"""Compare the backends of inference on this machine with torch, for the weights of models."""

import sys
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.importing.backend_comparison import compare_backends, comparison_in_words
from dixonflow.models.load import load_model, model_file, named_models


def compare_backends_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models; all that the configuration names by default.")
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Compare what computes the networks on a CPU with torch, and write down whether segment.backend: auto takes it.

    import-model does so, too. Run it again on nodes with other processors, and after an update of OpenVINO or torch:
    until then such nodes compute with torch.
    """
    start_logging()
    try:
        settings = read_config(config)
        weights = settings.segment.weights
        models = [load_model(model_file(each, weights), weights) for each in names] if names else named_models(settings)
        networks = [each for model in models for each in (model, model.rough, model.swaps) if each]
        for model in {each.name: each for each in networks}.values():
            records = compare_backends(model)
            for record in records:
                typer.echo(f"{model.name}: {comparison_in_words(record)}")
            if not records:
                typer.echo(f"{model.name}: no backend but torch runs it here")
    except DixonflowError as error:
        sys.exit(f"compare-backends: {error}")
