"""Import the published weights of a segmentation model."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import start_logging
from dixonflow.errors import DixonflowError
from dixonflow.importing.install import import_model
from dixonflow.models.load import MODELS, load_model


def import_model_command(
    name: Annotated[str, typer.Argument(help="Model: the name of a file in workflow/models/.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Folder with unpacked weights or with the published zips, a zip, or an address; more than once for "
            "several zips. Default: a copy that another program keeps on this machine, else the published address.",
        ),
    ] = None,
    consent: Annotated[
        bool, typer.Option("--consent", help="I agree to the conditions of the model's licence.")
    ] = False,
    models: Annotated[Path, typer.Option(help="Folder of the model files; the weights go there too.")] = MODELS,
) -> None:
    """Import the published weights of a segmentation model into workflow/models/<name>/.

    Every file is checked before it is opened, nothing in it is run, and the folder appears whole or not at all. Run it
    again after an interruption: a download goes on where it stopped. A machine without a network needs only a copy of
    the imported folder.
    """
    start_logging()
    path = models / f"{name}.yaml"
    try:
        model = load_model(path)
        new = import_model(model, source or (), consent=consent)
        load_model(path)  # resolves what only the weights' own files say
    except DixonflowError as error:
        sys.exit(f"import-model: {error}")
    typer.echo(f"{model.weights}: {'imported' if new else 'imported before, and as it was then'}")
