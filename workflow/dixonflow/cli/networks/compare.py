"""Compare the label maps of another program with those of a run, and list the scans in which they disagree."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, file_error, start_logging
from dixonflow.comparators.comparison import comparator_files, scans_of, update_agreement, write_findings
from dixonflow.comparators.mining import DOUBTFUL_DICE, doubtful
from dixonflow.comparators.scans import run_scans
from dixonflow.errors import DixonflowError
from dixonflow.evaluation.masks.systems import RunSystem, open_system
from dixonflow.ratings.store import read_ratings


def compare_command(
    name: Annotated[str, typer.Argument(help="Name of the comparator, such as kart: lower-case letters and digits.")],
    source: Annotated[
        Path, typer.Argument(help="Its label maps: a folder, a table of cases, or another run (docs/evaluate.md).")
    ],
    mapping: Annotated[str | None, typer.Option(help="What its labels mean, as for evaluate.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of the run; its first one by default.")] = None,
    config: ConfigOption = CONFIG,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Compare label maps of another program with those of the run in the configuration, scan by scan.

    Writes results/comparators/NAME/: agreement.parquet (Dice per scan and structure), disagreements.csv (scans two
    standard deviations below the mean of a structure, and structures that only one side has) and summary.csv
    (thresholds; shares of faulty label maps among those that were rated). Call it again after rating, or after new
    scans: what was compared is not compared again.
    """
    start_logging()
    try:
        run = open_system(config, model)
        if not isinstance(run, RunSystem):
            sys.exit(f"compare: {config} is no configuration of a run")
        files = comparator_files(run.results, name)
        comparator = open_system(source, mapping, name)
        scans = run_scans(run, comparator)
        if not scans_of(scans.tasks):
            sys.exit(
                f"compare: {source} has no label map of any scan of the run: files are named sub-<participant>_"
                "ses-<session>, or a table says whose they are (docs/evaluate.md)"
            )
        agreement = update_agreement(files, scans, jobs=jobs, progress=_print_progress)
        summary, listed = write_findings(files, agreement, read_ratings(run.results.ratings), scans)
    except DixonflowError as error:
        sys.exit(f"compare: {error}")
    except OSError as error:
        sys.exit(f"compare: {file_error(error)}")
    problems = agreement.loc[agreement["problem"].ne(""), "problem"].value_counts()
    compared = agreement.loc[agreement["problem"].eq("")].drop_duplicates(["participant_id", "session_id", "sequence"])
    print(f"{len(compared)} of {len(scans.tasks)} scans compared, {len(summary)} structures")
    for problem, number in problems.items():
        print(f"  {number} not compared: {problem}")
    if scans.without_label_map:
        print(f"  {scans.without_label_map} scans of the run have no label map of this model, or it is being replaced")
    if scans.further:
        print(f"  {len(scans.further)} label maps of the comparator are of no scan of the run that is ok")
    if low := doubtful(summary):
        more = f" and {len(low) - 10} more" if len(low) > 10 else ""
        named = ", ".join(low[:10]) + more
        print(f"compare: mean Dice under {DOUBTFUL_DICE:g}: {named}: is the mapping right?", file=sys.stderr)
    print(f"{len(listed)} structures of scans to look at: {files.listed}\nsummary: {files.summary}")


def _print_progress(done: int, total: int) -> None:
    print(f"compare: {done} of {total} scans", file=sys.stderr)
