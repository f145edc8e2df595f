"""`dixonflow calibrate`: how the proton density fat fraction follows from the signal fat fraction."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.evaluation.calibration import calibration
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.fat_comparison import FAT_FRACTION_COMPARISON
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import to_pandas


class Estimator(StrEnum):
    """Signal fat fractions."""

    FAT_FRACTION = "fat_fraction"
    ERODED_MEAN = "fat_fraction_eroded_mean"
    OF_SUMS = "fat_fraction_of_sums"


def calibrate_command(
    estimator: Annotated[
        Estimator, typer.Option(help="Signal fat fraction that the PDFF is predicted from.")
    ] = Estimator.FAT_FRACTION,
    output: Annotated[
        Path | None, typer.Option(help="CSV file; by default calibration.csv in the results folder.")
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Fit the proton density fat fraction to the signal fat fraction, for each structure.

    Needs a run with the sequences dixon and me_vibe. The fit is written to a file; no table is changed by it.
    """
    start_logging()
    try:
        results = read_config(config).paths
        path = results.tables / f"{FAT_FRACTION_COMPARISON.name}.parquet"
        if not path.exists():
            sys.exit(f"calibrate: there is no {path}: it comes from a run with the sequences dixon and me_vibe")
        fits = calibration(to_pandas(read_table(path, FAT_FRACTION_COMPARISON)), estimator.value)
    except DixonflowError as error:
        sys.exit(f"calibrate: {error}")
    target = output or results.root / "calibration.csv"
    try:
        write_bytes(target, fits.to_csv(index=False).encode())
    except OSError as error:
        sys.exit(f"calibrate: {target} cannot be written: {error.strerror}")
    fitted = int(fits["slope"].notna().sum())
    print(f"{fitted} of {len(fits)} structures have enough sessions for a line, see {target}")
