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
from dixonflow.phantom.demo_cohort import DemoOptions, make_demo_cohort
from dixonflow.phantom.demo_scans import DEMO_SCANS, UNEVEN_SCANS, further_scans


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
    uneven: Annotated[
        bool, typer.Option("--uneven", help="12 other scans, of bodies whose organs and muscles are not even inside.")
    ] = False,
    further: Annotated[int, typer.Option(min=0, help="Instead of the demo's: whole scans of so many others.")] = 0,
) -> None:
    """Make the demo cohort, unless it already exists, made by the same code with the same options."""
    started = time.monotonic()
    console = Console(stderr=True)
    scans = further_scans(further) if further else UNEVEN_SCANS if uneven else DEMO_SCANS
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("scanning phantoms", total=len(scans))
            options = DemoOptions(ukb_scale, nako_scale, slice_scale, fine_spacing_mm)
            made = make_demo_cohort(folder, options, jobs, lambda _: progress.advance(task), scans)
            progress.update(task, completed=len(scans))
    except DixonflowError as error:
        console.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    broken = sum(item.breakage is not None for item in scans)
    what = f"{len(scans)} scans in {folder}, {broken} of them broken"
    print(f"{what}, made in {time.monotonic() - started:.0f} s" if made else f"{what}: already exists, nothing to do")


if __name__ == "__main__":
    run(main)
