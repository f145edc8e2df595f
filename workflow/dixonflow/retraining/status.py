"""What a retraining project holds: rounds, sets, and what is open in each."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dixonflow.retraining.annotation.export import read_case_file
from dixonflow.retraining.cases import Case, all_cases, is_ct, withdrawn_participants
from dixonflow.retraining.ledger import CaseSet, Entry, Step, frozen_participants, read_ledger
from dixonflow.retraining.project import TEST_ROUND, Project


@dataclass(frozen=True)
class RoundStatus:
    """The state of a round.

    Attributes
    ----------
    round
        Its number; `TEST_ROUND` for the test cases.
    participants, selected
        How many have cases, and how many cases there are, propagated ones left out.
    not_exported, open
        Names of cases that are not exported yet; that are, and did not come back.
    corrected, propagated
        Numbers of cases.
    in_dataset, trained, evaluated
        Number of cases in the raw data to train on, in the training, in the evaluation of the round; CT cases, and
        those of participants who have withdrawn, left out.
    """

    round: int
    participants: int
    selected: int
    not_exported: tuple[str, ...]
    open: tuple[str, ...]
    corrected: int
    propagated: int
    in_dataset: int
    trained: int
    evaluated: int


def round_statuses(project: Project) -> Iterator[RoundStatus]:
    """State of the test cases and of each round, in order; participants who have withdrawn are left out.

    Raises
    ------
    RetrainingError, ConfigError
        As `all_cases`.
    """
    entries, cases, withdrawn = read_ledger(project.ledger), all_cases(project), withdrawn_participants(project)
    for number in sorted({entry.round for entry in entries} | {TEST_ROUND}):
        own = [case for case in cases if case.round == number]
        selected = [case for case in own if not _is_propagated(case)]
        exported = {case.name for case in selected if read_case_file(project, number, case.name)}
        yield RoundStatus(
            round=number,
            participants=len({case.scan.participant for case in own}),
            selected=len(selected),
            not_exported=tuple(case.name for case in selected if case.name not in exported),
            open=tuple(case.name for case in selected if case.name in exported and case.labels is None),
            corrected=sum(case.labels is not None for case in selected),
            propagated=len(own) - len(selected),
            in_dataset=_count(entries, Step.DATASET, number, withdrawn),
            trained=_count(entries, Step.TRAINED, number, withdrawn),
            evaluated=_count(entries, Step.EVALUATED, number, withdrawn),
        )


def current_round(entries: Iterable[Entry]) -> int:
    """Round that scans are selected for next: the last one, or the one after it once its data set is written."""
    last, written = 1, False
    for entry in entries:
        if entry.round > last or (entry.round == last and entry.step in (Step.DATASET, Step.TRAINED)):
            last, written = entry.round, entry.step in (Step.DATASET, Step.TRAINED)
    return last + 1 if written else last


def describe(project: Project) -> list[str]:
    """State of the project in lines for a terminal; no ids."""
    entries = read_ledger(project.ledger)
    lines = [f"test participants  {len(frozen_participants(entries))}, frozen"]
    for status in round_statuses(project):
        name = "test cases" if status.round == TEST_ROUND else f"round {status.round}"
        counts = f"{status.selected} selected, {status.corrected} corrected, {status.propagated} propagated"
        lines.append(f"{name:<17}  {status.participants} participants; {counts}")
        steps = (("in the data set", status.in_dataset), ("trained", status.trained), ("evaluated", status.evaluated))
        done = [f"{count} {word}" for word, count in steps if count]
        lines += [f"{'':<17}  cases: {', '.join(done)}"] if done else []
        lines += [f"{'':<17}  to export: {', '.join(status.not_exported)}"] if status.not_exported else []
        lines += [f"{'':<17}  open: {', '.join(status.open)}"] if status.open else []
    return lines


def _is_propagated(case: Case) -> bool:
    return case.name.count("_") > 1


def _count(entries: Iterable[Entry], step: Step, number: int, withdrawn: Collection[str]) -> int:
    case_set = CaseSet.TEST if step is Step.EVALUATED else CaseSet.TRAIN
    own = (entry for entry in entries if (entry.step, entry.round, entry.set) == (step, number, case_set))
    return len({entry.case for entry in own if not is_ct(entry.case) and entry.scan.participant not in withdrawn})
