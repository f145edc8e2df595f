"""Folds of the cross-validation: all cases of a participant are in one, and stay in it over all rounds."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dixonflow.retraining.cases import Case
from dixonflow.retraining.ledger import Entry, Step
from dixonflow.retraining.project import RetrainingError

_FOLD = re.compile(r"fold ([0-9]+)")


def fold_of_participants(
    cases: Iterable[Case], folds: int, seed: int, earlier: Mapping[str, int] = MappingProxyType({})
) -> dict[str, int]:
    """Fold of each participant. Those who have one keep it; new ones go, in an order by the seed, to the smallest.

    Parameters
    ----------
    cases
        All that are trained on.
    folds
        Number of folds.
    earlier
        Folds of earlier rounds, by participant.

    Raises
    ------
    RetrainingError
        If a fold would be empty.
    """
    participants = {case.scan.participant for case in cases}
    found = {participant: fold for participant, fold in earlier.items() if participant in participants}
    for participant in sorted(participants - set(found), key=lambda each: _random(seed, each)):
        sizes = [sum(fold == number for fold in found.values()) for number in range(folds)]
        found[participant] = sizes.index(min(sizes))
    if len(set(found.values())) < folds:
        raise RetrainingError(f"{len(found)} participants came back, too few for {folds} folds: return more cases")
    return found


def folds_in_ledger(entries: Iterable[Entry]) -> dict[str, int]:
    """Fold that each participant had in the last data set that was written."""
    found = {}
    for entry in entries:
        if entry.step is Step.DATASET and (match := _FOLD.fullmatch(entry.note)):
            found[entry.scan.participant] = int(match[1])
    return found


def fold_note(fold: int) -> str:
    """What the ledger says of a case in a data set."""
    return f"fold {fold}"


def _random(seed: int, participant: str) -> bytes:
    return hashlib.sha256(f"{seed} fold {participant}".encode()).digest()
