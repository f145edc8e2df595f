"""The step that judges a round: its model and the last one on the frozen test participants, in rounds.csv."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dixonflow.models.model import Model
from dixonflow.retraining.cases import Case, test_cases
from dixonflow.retraining.import_round import check_is_of
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, frozen_participants, read_ledger
from dixonflow.retraining.nnunet.training_cases import corrected_cases, scan_of, trained_cases
from dixonflow.retraining.nnunet.workspace import Workspace, workspace_of
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.retraining.rounds import (
    RoundResult,
    StopRule,
    read_rounds,
    rounds_file,
    should_stop,
    summarise_round,
    write_rounds,
    write_rows,
)
from dixonflow.retraining.test_set import evaluate_model, why_not_measurable
from dixonflow.vocabulary import ScanSequence

log = logging.getLogger(__name__)

FINAL_ROUND = 100
"""Number of the final model in rounds.csv, after all rounds."""


def evaluate_round(
    project: Project, round_number: int, name: str, rule: StopRule, *, final: bool = False
) -> RoundResult:
    """Measure the model of a round, and the one before on the same cases, and add it to the table of rounds.

    It is compared with the last round before it that was evaluated, and where there is none with the model that the
    project began with, if that can be measured on the test cases; the final model with the last round.

    Raises
    ------
    LeakageError
        If the training has seen a test participant.
    RetrainingError
        If the model is not what the round trained, the earlier one is not what was evaluated, or there is no test case.
    """
    workspace = workspace_of(project, round_number, final=final)
    _check_untouched(project, workspace)
    # models are compared on Dixon alone: test cases of other sequences lack the images that a model takes
    cases = [case for case in test_cases(project) if case.scan.sequence is ScanSequence.DIXON]
    rounds = {each.round: each for each in read_rounds(rounds_file(project))}
    number = FINAL_ROUND if final else round_number
    last = max((key for key in rounds if key < number and key <= round_number), default=0)
    check_is_of(project, workspace, name)
    model = project.model(name)
    before = rounds[last].model if last in rounds else project.settings.model
    if 0 < last < round_number - 1 or (last == 0 and round_number > 1):
        log.warning("rounds between %d and %d were not evaluated: compared with %s", last, round_number, before)
    earlier_model = project.model(before)
    why = why_not_measurable(earlier_model, project.settings)
    if not why and last > 0 and earlier_model.weights_hash != rounds[last].model_sha256:
        raise RetrainingError(f"{before} has other weights than when round {last} was evaluated: evaluate that again")
    rows = _rows(project, number, model, cases)
    earlier = None
    if why:
        log.warning("%s %s: nothing to compare with", before, why)
    else:
        earlier = before, _rows(project, last, earlier_model, cases)
        own = summarise_round(last, earlier_model, earlier[1], None, None)
        if last in rounds and own.test_cases != rounds[last].test_cases:
            log.warning(
                "round %d was evaluated on %d test cases, now there are %d: evaluate the rounds in order again, so "
                "that the stop rule judges all on the same cases",
                last,
                rounds[last].test_cases,
                own.test_cases,
            )
        rounds[last] = rounds[last] if last else own
    corrected = corrected_cases(workspace, read_ledger(project.ledger))
    result = summarise_round(number, model, rows, len(corrected), earlier)
    so_far = [*(each for key, each in rounds.items() if key < number), result]
    result = replace(result, stop=not final and should_stop(so_far, rule))
    rounds[number] = result
    write_rounds(rounds_file(project), list(rounds.values()))
    append_to_ledger(
        project.ledger,
        [Entry(Step.EVALUATED, round_number, CaseSet.TEST, each.scan, each.name, note=name) for each in cases],
    )
    return result


def _rows(project: Project, number: int, model: Model, cases: list[Case]) -> pd.DataFrame:
    rows = evaluate_model(project, model, cases)
    write_rows(evaluation_file(project, number), rows)
    return rows


def evaluation_file(project: Project, number: int) -> Path:
    """What the model of a round reached on each test case."""
    name = "final" if number == FINAL_ROUND else f"round_{number:02d}"
    return project.root / "evaluation" / f"{name}.csv"


def _check_untouched(project: Project, workspace: Workspace) -> None:
    """Check by the splits of the training itself that no test participant is in it."""
    entries = read_ledger(project.ledger)
    frozen = frozen_participants(entries)
    for name in trained_cases(workspace):
        if scan_of(name, entries).participant in frozen:
            raise LeakageError(f"{workspace.root} has trained on {name}, which is of a frozen test participant")
