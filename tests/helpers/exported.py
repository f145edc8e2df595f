"""The command that exports tables, called in this process."""

from pathlib import Path

import typer
from click.testing import Result
from typer.testing import CliRunner

from dixonflow.cli.results.export import export_command

APP = typer.Typer()
APP.command()(export_command)


def called(*words: str, tables: Path, output: Path) -> Result:
    """Call it on a folder of tables."""
    return CliRunner().invoke(APP, [*words, "--tables", str(tables), "--output", str(output)])
