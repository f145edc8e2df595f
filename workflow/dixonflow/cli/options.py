"""What commands share: the option that names the configuration, and logging."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.config import demo_config, read_config

ConfigOption = Annotated[
    Path, typer.Option("--config", help="Configuration: config.yaml, or results/config.json of a run.")
]
CONFIG = Path("config.yaml")


def run(main: Callable[..., None]) -> None:
    """Run a development script's `main` with its options from the command line; errors come as plain tracebacks."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    app()


def weights_folder(config: Path) -> Path:
    """Folder of imported weights: as the configuration says, or the default where there is no config.yaml yet.

    Raises
    ------
    ConfigError
        If the configuration is wrong, or another one was named that does not exist.
    """
    not_yet = config == CONFIG and not config.exists()
    return (demo_config() if not_yet else read_config(config)).segment.weights


def file_error(error: OSError) -> str:
    """What went wrong with a file, by its name; a full disk names none."""
    named = f"{error.filename} cannot be read or written: " if error.filename else ""
    return f"{named}{error.strerror or error}"


def start_logging() -> None:
    """Log to standard error, one line per event; the level comes from DIXONFLOW_LOG (default INFO)."""
    level = os.environ.get("DIXONFLOW_LOG", "INFO").upper()
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
