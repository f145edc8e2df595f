#!/usr/bin/env python3
"""Train the demo network on phantom participants and write its weights with the model files."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import run
from dixonflow.models.load import MODELS
from dixonflow.training.cases import TRAINING_SEED
from dixonflow.training.demo_model import Effort, train_demo_model
from dixonflow.training.export import export_model
from dixonflow.training.plan import Workspace

# glibc gives the memory of every large tensor back at once and the kernel clears it again: 30 % of the time of an
# iteration
_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**36),
    "MALLOC_TOP_PAD_": str(2**28),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def main(
    folder: Annotated[Path, typer.Option(help="Working folder; git ignores it.")] = Path("training"),
    deadline: Annotated[datetime | None, typer.Option(help="When training must end, UTC. Default: in 2 hours.")] = None,
    cases: Annotated[int, typer.Option(help="Training participants.")] = 200,
    workers: Annotated[int, typer.Option(help="Processes that simulate participants.")] = 2,
    start_from: Annotated[
        Path | None, typer.Option(help="Weights (safetensors) of an earlier training to start from.")
    ] = None,
    first_seed: Annotated[
        int, typer.Option(help="First seed of the training participants; another seed gives new participants.")
    ] = TRAINING_SEED,
    export: Annotated[bool, typer.Option("--export", help="Only export the latest checkpoint.")] = False,
    target: Annotated[Path, typer.Option(help="Model folder to write.")] = MODELS / "demo",
) -> None:
    """Train the demo network on phantom participants and write its weights with the model files.

    Run it again with a later deadline to resume. Participants of the demo and of the tests have other seeds.
    """
    workspace = Workspace(folder.resolve())
    if not export:
        if any(os.environ.get(name) != value for name, value in _ALLOCATOR.items()):
            os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _ALLOCATOR)
        end = deadline.replace(tzinfo=UTC).timestamp() if deadline else time.time() + 7200
        train_demo_model(workspace, Effort(cases, 4, 40, workers, end, start_from, first_seed))
    typer.echo(export_model(workspace, target))


if __name__ == "__main__":
    run(main)
