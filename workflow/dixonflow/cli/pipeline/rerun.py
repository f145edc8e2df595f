"""`dixonflow rerun`: the next run processes named scans again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.models.load import load_models
from dixonflow.stages.rerun import request_rerun
from dixonflow.vocabulary import ScanId


def rerun_command(
    scans: Annotated[
        list[str] | None, typer.Argument(help="Scans, sub-<participant>_ses-<session>[_acq-<sequence>].")
    ] = None,
    scan_list: Annotated[Path | None, typer.Option("--list", help="Text file with one such name per line.")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Have the next run process named scans again, from their raw data on.

    Call it while no run is active. Scans that were excluded when their raw data was inspected are inspected again.
    """
    start_logging()
    try:
        names = [*(scans or ()), *_names_in(scan_list)]
        if not names:
            raise ConfigError("name scans, or a file of names with --list")
        settings = read_config(config)
        processed, inspected = request_rerun({_scan(name) for name in names}, settings, load_models(settings))
    except DixonflowError as error:
        sys.exit(f"rerun: {error}")
    print(f"the next run processes {processed} scans again and inspects {inspected} again")


def _names_in(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--list: {path} cannot be read: {error}") from error


def _scan(name: str) -> ScanId:
    try:
        return ScanId.parse(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
