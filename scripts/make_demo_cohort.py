#!/usr/bin/env python3
"""Make the demo cohort: 16 phantom scans in the shapes of UK Biobank and NAKO, four of them broken."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dixonflow.cli.options import run
from dixonflow.errors import DixonflowError
from dixonflow.phantom.demo_cohort import DEMO_SCANS, DemoOptions, make_demo_cohort


def main(
    folder: Annotated[
        Path, typer.Option(help="Raw folder. Truth, expected outcomes and withdrawn.txt go to its parent.")
    ] = Path("demo/raw"),
    ukb_scale: Annotated[
        float, typer.Option(help="Factor on UK Biobank's matrices; 1 is the true geometry.")
    ] = DemoOptions.ukb_scale,
    nako_scale: Annotated[
        float, typer.Option(help="Factor on NAKO's matrices; 1 is the true geometry.")
    ] = DemoOptions.nako_scale,
    slice_scale: Annotated[
        float, typer.Option(help="Factor on the number of slices of both.")
    ] = DemoOptions.slice_scale,
    fine_spacing_mm: Annotated[
        float, typer.Option(min=0.5, max=5, help="Voxel size for rendering the bodies, mm.")
    ] = DemoOptions.fine_spacing_mm,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, about 0.6 GB each.")] = 2,
) -> None:
    """Make the demo cohort, unless it already exists, made by the same code with the same options."""
    started = time.monotonic()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("scanning phantoms", total=len(DEMO_SCANS))
            options = DemoOptions(ukb_scale, nako_scale, slice_scale, fine_spacing_mm)
            made = make_demo_cohort(folder, options, jobs, lambda _: progress.advance(task))
            progress.update(task, completed=len(DEMO_SCANS))
    except DixonflowError as error:
        console.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    broken = sum(item.breakage is not None for item in DEMO_SCANS)
    what = f"{len(DEMO_SCANS)} scans in {folder}, {broken} of them broken"
    print(f"{what}, made in {time.monotonic() - started:.0f} s" if made else f"{what}: already exists, nothing to do")


if __name__ == "__main__":
    run(main)
