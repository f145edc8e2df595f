"""The step that judges a round: its model and the last one on the frozen test participants, in rounds.csv."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dixonflow.models.model import Model
from dixonflow.retraining.cases import Case, test_cases
from dixonflow.retraining.import_round import trained_cases
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, frozen_participants, read_ledger
from dixonflow.retraining.nnunet.mixture import participant_of
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
from dixonflow.retraining.test_set import evaluate_model

log = logging.getLogger(__name__)

FINAL_ROUND = 100
"""Number of the final model in rounds.csv, after all rounds."""


def evaluate_round(
    project: Project, round_number: int, name: str, rule: StopRule, *, final: bool = False
) -> RoundResult:
    """Measure the model of a round, and the one before on the same cases, and add it to the table of rounds.

    The first round is compared with the model that the project began with, where that has structures in common; the
    final model with that of the round that it takes its cases from.

    Raises
    ------
    LeakageError
        If the training has seen a test participant.
    RetrainingError
        If the model is not imported, or there is no test case.
    """
    workspace = workspace_of(project, round_number, final=final)
    _check_untouched(project, workspace)
    cases = test_cases(project)
    rounds = {each.round: each for each in read_rounds(rounds_file(project))}
    number = FINAL_ROUND if final else round_number
    last = round_number if final else round_number - 1
    model = project.model(name)
    if not model.is_imported:
        raise RetrainingError(f"{name} is not imported: call dixonflow retrain import")
    before = rounds[last].model if last in rounds else project.settings.model if last == 0 else None
    rows = _rows(project, number, model, cases)
    earlier = None
    if before is not None:
        earlier_model = project.model(before)
        if why := _why_not(project, earlier_model):
            log.warning("%s %s: nothing to compare with", before, why)
        else:
            earlier = before, _rows(project, last, earlier_model, cases)
            rounds[last] = rounds.get(last) or summarise_round(last, earlier_model, earlier[1], None, None)
    corrected = {name for name in trained_cases(workspace) if not _is_mixed_in(name)}
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


def _why_not(project: Project, model: Model) -> str:
    """Why an earlier model cannot be measured on the test cases; empty where it can."""
    if not model.is_imported:
        return "is not imported"
    if missing := [each.value for each in model.contrasts_read if each not in project.settings.contrasts]:
        return f"takes {', '.join(missing)}, which the cases do not have"
    return "" if set(model.structures) & set(project.settings.labels) else "has none of the structures"


def _rows(project: Project, number: int, model: Model, cases: list[Case]) -> pd.DataFrame:
    rows = evaluate_model(project, model, cases)
    write_rows(evaluation_file(project, number), rows)
    return rows


def evaluation_file(project: Project, number: int) -> Path:
    """What the model of a round reached on each test case."""
    name = "final" if number == FINAL_ROUND else f"round_{number:02d}"
    return project.root / "evaluation" / f"{name}.csv"


def _is_mixed_in(name: str) -> bool:
    return name.startswith("ct_") or "_elastic" in name or "_lowcontrast" in name


def _check_untouched(project: Project, workspace: Workspace) -> None:
    """Check by the splits of the training itself that no test participant is in it."""
    entries = read_ledger(project.ledger)
    frozen = frozen_participants(entries)
    for name in trained_cases(workspace):
        if not name.startswith("ct_") and participant_of(name, entries) in frozen:
            raise LeakageError(f"{workspace.root} has trained on {name}, which is of a frozen test participant")
