"""Verify published models with their real weights: import them, compare them with the model files, run one scan."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, weights_folder
from dixonflow.errors import DixonflowError, ModelError
from dixonflow.importing.verification import Project, verify_model, write_scan
from dixonflow.models.load import MODELS, load_model


def verify_models_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models, as in docs/models.md. Default: all published.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--from", help="Source of the weights, as for import-model.")
    ] = None,
    consent: Annotated[
        bool, typer.Option("--consent", help="I agree to the conditions of the models' licences.")
    ] = False,
    config: ConfigOption = CONFIG,
    folder: Annotated[Path, typer.Option(help="Folder for the scan and the results.")] = Path("verified"),
    scale: Annotated[float, typer.Option(min=0.1, max=1, help="Scale of the matrix; 1 is NAKO's geometry.")] = 1.0,
    cores: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
) -> None:
    """Import published models, compare hashes, label tables and plans with the model files, run one phantom scan.

    Needs the internet, or copies of the weights. Models are imported as by import-model and stay. The scan is
    a phantom's: it shows that a network runs to the end, not how good it is. Ends with status 1 if a model failed.
    """
    failed = False
    try:
        project = Project(MODELS, weights_folder(config), folder, cores)
        names = names or [path.stem for path in sorted(MODELS.glob("*.yaml")) if load_model(path).source]
        write_scan(project, scale)
        for name in names:
            try:
                lines = verify_model(project, name, source or (), consent=consent)
            except ModelError as error:
                failed = True
                typer.echo(f"{name}: FAILED\n    {error}")
            else:
                typer.echo("\n    ".join([f"{name}: ok", *lines]))
    except DixonflowError as error:
        sys.exit(f"verify-models: {error}")
    if failed:
        sys.exit(1)
