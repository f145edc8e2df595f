"""All cases: matched, evaluated in several processes, and every one of them listed with what became of it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dixonflow.evaluation.masks.case_files import FoundCase
from dixonflow.evaluation.masks.label_files import LabelFiles
from dixonflow.evaluation.masks.one_case import CaseResult, CaseTask, evaluate_safely
from dixonflow.evaluation.masks.preparation import Options
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.processes import results_of
from dixonflow.evaluation.masks.shared_regions import NotCompared, NotComparedReason
from dixonflow.evaluation.masks.systems import System
from dixonflow.evaluation.metrics.overlap import Presence
from dixonflow.evaluation.outputs.case_pictures import plain_name

COMPARED, LEFT_OUT = "compared", "left_out"
"""What became of a case."""

CASE_COLUMNS = [
    "case",
    "participant_id",
    "session_id",
    "system",
    "status",
    "reason",
    "grid",
    "outside_percent",
    "mistaken",
]
NOT_COMPARED_COLUMNS = ["structure", "system", "reason", "detail", "cases"]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation.

    Attributes
    ----------
    rows
        One row per system, case and structure: `system`, `case`, `participant_id`, `session_id` and the columns of
        `compare`. Cases that all systems have, and no others.
    cases
        One row per case and system: `status` (`compared` or `left_out`), `reason` in words, `grid` (`same`, or
        `resampled` to that of the reference by nearest neighbour) and `outside_percent`, the share of the reference
        outside the prediction's field of view; `mistaken` names structures that both call otherwise.
    not_compared
        Structures that were not compared, why, and in how many cases.
    """

    rows: pd.DataFrame
    cases: pd.DataFrame
    not_compared: pd.DataFrame

    def counts(self) -> str:
        """How many cases were compared, and how many were left out for each reason."""
        each = self.cases.drop_duplicates("case")
        compared = int(each["status"].eq(COMPARED).sum())
        left = each.loc[each["status"].eq(LEFT_OUT), "reason"].value_counts()
        reasons = "; ".join(f"{number} x {reason}" for reason, number in left.items())
        return f"{compared} of {len(each)} cases compared" + (f"; left out: {reasons}" if reasons else "")

    def warnings(self) -> list[str]:
        """Say in how many cases a system and the reference call a structure otherwise: one of both is wrong."""
        called = self.cases[self.cases["mistaken"].fillna("").ne("")]
        each = [
            (system, one)
            for system, names in zip(called["system"], called["mistaken"], strict=True)
            for one in names.split(", ")
        ]
        return [
            f"{system}: {one} in {number} cases: are its mapping, that of the reference and both headers right?"
            for (system, one), number in Counter(each).items()
        ]


def evaluate_all(
    cases: Sequence[FoundCase],
    systems: Sequence[System],
    options: Options,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Compare the predictions of systems with the reference, on the cases that all of them have.

    Parameters
    ----------
    cases
        Those of the reference.
    systems
        Whose predictions are compared, each with a name of its own.
    options
        How.
    jobs
        Processes.
    progress
        Called with the number of cases that are done, and of all that can be compared.

    Raises
    ------
    EvaluationError
        If no case can be compared; it says why.
    """
    names = [system.name for system in systems]
    in_files = [plain_name(name).casefold() for name in names]
    if len(set(in_files)) < len(names):
        name = names[in_files.index(max(in_files, key=in_files.count))]
        raise EvaluationError(f"two systems are called {name}, or alike: give them names (NAME=PATH)")
    problems: dict[str, tuple[str, str]] = {}
    tasks = []
    for number, case in enumerate(cases):
        found = _task(number, case, systems, options)
        if isinstance(found, CaseTask):
            tasks.append(found)
        else:
            problems[case.name] = found
    results: dict[str, CaseResult] = {}
    for done, result in enumerate(_evaluated(tasks, jobs), start=1):
        results[cases[result.number].name] = result
        progress(done, len(tasks))
    problems |= {name: (each.system, each.problem) for name, each in results.items() if each.problem}
    listed = _case_list(cases, names, problems, results)
    known = {case.name for case in cases}
    further = [(case, system.name) for system in systems for case in system.further(known)]
    listed = pd.concat([listed, _without_reference(further)], ignore_index=True) if further else listed
    rows = _rows(cases, problems, results)
    left = [each for result in results.values() for each in result.not_compared]
    if not rows.empty:
        rows, absent = _without_absent(rows)
        left += absent
    evaluation = Evaluation(rows, listed, _not_compared(left))
    if rows.empty:
        why = "no label map has any of the structures" if left and not problems else evaluation.counts()
        raise EvaluationError(f"nothing could be compared: {why}")
    return evaluation


def _task(number: int, case: FoundCase, systems: Sequence[System], options: Options) -> CaseTask | tuple[str, str]:
    """Work of a case, or the system at fault (none for the reference) and why there is none."""
    if case.files is None or case.problem:
        return "", f"reference: {case.problem or 'no label map'}"
    predictions: dict[str, LabelFiles] = {}
    for system in systems:
        found = system.prediction(case)
        if isinstance(found, str):
            return system.name, found
        if case.files.shares_file(found):
            return system.name, "the prediction is the file of the reference"
        predictions[system.name] = found
    return CaseTask(number, case.files, predictions, options)


def _evaluated(tasks: Sequence[CaseTask], jobs: int) -> Iterator[CaseResult]:
    for task, result in results_of(evaluate_safely, tasks, jobs):
        yield result or CaseResult(task.number, problem="its process ended without a result: is memory short?")


def _case_list(
    cases: Sequence[FoundCase],
    systems: Sequence[str],
    problems: Mapping[str, tuple[str, str]],
    results: Mapping[str, CaseResult],
) -> pd.DataFrame:
    records: list[dict[str, Any]] = []
    for case in cases:
        at_fault, problem = problems.get(case.name, ("", ""))
        blamed = f"{at_fault}: {problem}" if at_fault and len(systems) > 1 else problem
        for system in systems:
            record: dict[str, Any] = {"case": case.name, "participant_id": case.participant}
            record |= {
                "session_id": case.session or None,
                "system": system,
                "status": LEFT_OUT if problem else COMPARED,
                "reason": blamed,
            }
            change = results[case.name].grids.get(system) if case.name in results else None
            if change is not None:
                record["grid"] = "resampled" if change.resampled else "same"
                record["outside_percent"] = change.outside_percent
                record["mistaken"] = results[case.name].mistaken[system]
            records.append(record)
    return pd.DataFrame(records, columns=CASE_COLUMNS)


def _without_reference(further: Sequence[tuple[str, str]]) -> pd.DataFrame:
    records = [
        {"case": case, "system": system, "status": LEFT_OUT, "reason": "no reference"}
        for case, system in sorted(further)
    ]
    return pd.DataFrame(records, columns=CASE_COLUMNS)


def _rows(
    cases: Sequence[FoundCase], problems: Mapping[str, tuple[str, str]], results: Mapping[str, CaseResult]
) -> pd.DataFrame:
    tables = []
    for case in cases:
        if case.name in problems or case.name not in results:
            continue
        rows = results[case.name].rows
        known = {"case": case.name, "participant_id": case.participant, "session_id": case.session or None}
        tables.append(rows.assign(**known))
    if not tables:
        return pd.DataFrame()
    every = pd.concat(tables, ignore_index=True)
    # masks may differ by case: a union that has its parts in one case enters no mean in any
    every["composite"] = every.groupby("structure")["composite"].transform("any")
    first = ["system", "case", "participant_id", "session_id"]
    return every[[*first, *(name for name in every if name not in first)]]


def _without_absent(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[NotCompared]]:
    """Rows of structures that some map has, and those that none has, once for each case."""
    present = rows["presence"].ne(Presence.NEITHER).groupby(rows["structure"]).transform("any")
    absent = rows.loc[~present, ["structure", "case"]].drop_duplicates()["structure"]
    detail = "neither a reference nor a prediction has it in any case"
    left = [NotCompared(name, "", NotComparedReason.IN_NO_CASE, detail) for name in absent]
    return rows[present].reset_index(drop=True), left


def _not_compared(left: Sequence[NotCompared]) -> pd.DataFrame:
    """How many cases each structure was not compared in, by reason."""
    if not left:
        return pd.DataFrame(columns=NOT_COMPARED_COLUMNS)
    records = [
        {"structure": each.structure, "system": each.system, "reason": each.reason.value, "detail": each.detail}
        for each in left
    ]
    keys = NOT_COMPARED_COLUMNS[:-1]
    return pd.DataFrame(records).groupby(keys, as_index=False, sort=False).size().rename(columns={"size": "cases"})
