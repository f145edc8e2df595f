"""Import the published weights of a segmentation model."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging, weights_folder
from dixonflow.errors import DixonflowError
from dixonflow.importing.backend_comparison import compare_backends, comparison_in_words
from dixonflow.importing.install import import_model
from dixonflow.models.load import MODELS, load_model


def import_model_command(
    name: Annotated[str, typer.Argument(help="Name of the model, as in docs/models.md.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Folder with unpacked weights or with the published zips, a zip, or an address; repeat it for "
            "several zips. Default: a copy of another program on this machine, otherwise the published address.",
        ),
    ] = None,
    consent: Annotated[
        bool, typer.Option("--consent", help="I agree to the conditions of the model's licence.")
    ] = False,
    config: ConfigOption = CONFIG,
    models: Annotated[Path, typer.Option(help="Folder of your own model files; their weights go there too.")] = MODELS,
) -> None:
    """Import the published weights of a segmentation model into the folder segment.weights of the configuration.

    Every file is checked before it is opened, no code is run, and the folder appears complete or not at all. After
    an interruption run the same command again: the download resumes. A machine without a network needs only a copy of
    the imported folder.
    """
    start_logging()
    path = models / f"{name}.yaml"
    try:
        weights = weights_folder(config) if models == MODELS else models
        model = load_model(path, weights)
        new = import_model(model, source or (), consent=consent)
        model = load_model(path, weights)  # resolves what only the weights' own files say
        compared = compare_backends(model) if new else []
    except DixonflowError as error:
        sys.exit(f"import-model: {error}")
    for record in compared:
        typer.echo(f"{name}: {comparison_in_words(record)}", err=True)
    typer.echo(f"{model.weights}: {'imported' if new else 'already imported, unchanged'}")
