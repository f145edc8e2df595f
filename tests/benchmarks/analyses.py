"""`python -m benchmarks.analyses`: what studies and exports of a cohort without images cost, on two cores.

Tables of 20,000 participants are drawn from stated distributions (tests/helpers/synthetic_cohort.py), with every
structure and composite of the demo's model, and correlations with age that are planted. Each command is a process of
its own, as its user types it; what is planted has to be found.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from synthetic_cohort import PUBLISHED, draw_cohort, write_cohort

from dixonflow.measure.structures import structures_of
from dixonflow.models.load import MODELS, load_model

COMMANDS = (
    ("analyse", "ageing"),
    ("analyse", "centiles"),
    ("analyse", "loss"),
    ("export", "stata", "--table", "measurements", "--table", "covariates"),
    ("export", "regenie", "--normalise"),
)


def main(participants: Annotated[int, typer.Option(min=200, help="Size of the cohort.")] = 20_000) -> None:
    """Print seconds and largest memory of each command, and their sum."""
    names = {each.name: 0.0 for each in structures_of(load_model(MODELS / "demo.yaml"))} | PUBLISHED
    with tempfile.TemporaryDirectory(prefix="analyses-") as folder:
        tables = write_cohort(Path(folder) / "tables", draw_cohort(participants, names, seed=1, sex_factor=1.0))
        total, largest = 0.0, 0.0
        for command in COMMANDS:
            seconds, peak_mb = _run([*command, "--tables", str(tables)])
            total, largest = total + seconds, max(largest, peak_mb)
            print(f"{' '.join(command[:2]):30s} {seconds:8.1f} s {peak_mb:8.0f} MB", flush=True)
        print(f"{'together':30s} {total:8.1f} s {largest:8.0f} MB")
        rows = pd.read_parquet(Path(folder) / "analyses/ageing/correlations.parquet").set_index("structure")
        for name, rho in PUBLISHED.items():
            if not rows.at[name, "rho_low"] <= rho <= rows.at[name, "rho_high"]:
                sys.exit(f"{name}: a correlation of {rho} was planted, {rows.at[name, 'spearman_rho']:.3f} found")


def _run(command: list[str]) -> tuple[float, float]:
    """Run a command on two cores; seconds, and its largest resident memory (MB)."""
    environment = os.environ | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dixonflow", *command], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    typer.run(main)
