"""What the steps of `dixonflow retrain` share: options, the round in progress, errors as one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import start_logging
from dixonflow.errors import DixonflowError
from dixonflow.retraining.ledger import read_ledger
from dixonflow.retraining.project import TEST_ROUND, Project, RetrainingError

ProjectOption = Annotated[Path, typer.Option("--project", help="Folder of the retraining project.")]
RoundOption = Annotated[
    int | None, typer.Option("--round", min=1, max=99, help="Round; by default the one in progress.")
]
PROJECT = Path("retraining")


@contextmanager
def errors(step: str) -> Iterator[None]:
    """Log to standard error, and end a step with one line where it cannot be done."""
    start_logging()
    try:
        yield
    except DixonflowError as error:
        sys.exit(f"retrain {step}: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""  # a full disk names no file
        sys.exit(f"retrain {step}: {where}{error.strerror or error}; repeat the same command")


def refuse_round_of_test(asked: int | None, *, test: bool) -> None:
    """The test set is the same in all rounds: a round next to it is a misunderstanding."""
    if test and asked is not None:
        raise RetrainingError("the test set belongs to no round: give --test or --round, not both")


def last_round(project: Project, asked: int | None, *, test: bool = False) -> int:
    """Round whose cases are exported, returned, written or trained on: the last with any."""
    refuse_round_of_test(asked, test=test)
    return TEST_ROUND if test else asked or max(1, *(entry.round for entry in read_ledger(project.ledger)), 1)
