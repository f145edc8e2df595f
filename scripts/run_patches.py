#!/usr/bin/env python3
"""Swap water and fat in patches at any place of phantom scans, run the workflow on each, and write what is found."""

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dixonflow.errors import DixonflowError
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.trials.defect_folder import DefectFolder
from dixonflow.trials.parallel import run_all
from dixonflow.trials.patches import SCANS, SIZES_ML, patch_row, patch_table

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    folder: Annotated[Path, typer.Option(help="That of run_defects.py, which has to be complete.")],
    table: Annotated[Path, typer.Option(help="The table of patches.")] = Path("docs/patches.csv"),
    jobs: Annotated[int, typer.Option(min=1, help="Scans at a time, one CPU thread each.")] = os.cpu_count() or 1,
) -> None:
    """Run what is missing below the folder, and write the table."""
    cases = [(folder, number, ml) for number in range(SCANS) for ml in SIZES_ML]
    _folder(folder).forget_if_changed()
    try:
        run_all(jobs, _patch, [case for case in cases if not _kept(*case).exists()], "patches")
    except DixonflowError as error:
        sys.exit(f"run_patches: {error}")
    rows = pd.DataFrame([json.loads(_kept(*case).read_text(encoding="utf-8")) for case in cases])
    write_bytes(table, rows.to_csv(index=False).encode())
    typer.echo("\n".join(patch_table(rows)))


@cache
def _folder(path: Path) -> DefectFolder:
    return DefectFolder(path)


def _kept(folder: Path, number: int, ml: float) -> Path:
    return folder / "outcomes" / f"patch-{number}-{ml:g}.json"


def _patch(folder: Path, number: int, ml: float) -> None:
    write_json(_kept(folder, number, ml), patch_row(_folder(folder), number, ml))


if __name__ == "__main__":
    app()
