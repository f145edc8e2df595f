#!/usr/bin/env python3
"""Scan phantoms again, at another breath, run the workflow on each scan, and write how much every measure differs."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dixonflow.errors import DixonflowError
from dixonflow.evaluation.repeatability import repeatability_file
from dixonflow.system.atomic import write_bytes
from dixonflow.trials.defect_folder import DefectFolder
from dixonflow.trials.parallel import run_all
from dixonflow.trials.repeat_scans import repeat_scans

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    folder: Annotated[Path, typer.Option(help="For raw data and results; what is finished there is not done again.")],
    table: Annotated[Path, typer.Option(help="The table of within-person SDs.")] = Path(
        "workflow/dixonflow/evaluation/repeatability.csv"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Scans at a time, one CPU thread each.")] = os.cpu_count() or 1,
) -> None:
    """Run what is missing below the folder, and write the table."""
    _folder(folder).forget_if_changed()
    scans = repeat_scans()
    try:
        run_all(jobs, _scan, [(folder, place) for place in range(len(scans))], "scans")
        rows = [
            _folder(folder)
            .runs.clean(item)
            .measurements.assign(participant_id=item.scan.participant, session_id=item.scan.session)
            for item in scans
        ]
    except DixonflowError as error:
        sys.exit(f"run_repeats: {error}")
    write_bytes(table, repeatability_file(pd.concat(rows, ignore_index=True)).encode())
    typer.echo(f"written to {table}")


@cache
def _folder(path: Path) -> DefectFolder:
    return DefectFolder(path)


def _scan(folder: Path, place: int) -> None:
    _folder(folder).runs.clean(repeat_scans()[place])


if __name__ == "__main__":
    app()
