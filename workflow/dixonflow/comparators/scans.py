"""Which scans of a run are compared with a comparator, and what was compared before."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from dixonflow.aggregate.build import read_scans
from dixonflow.comparators.agreement import ScanTask
from dixonflow.evaluation.masks.case_files import identified
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.systems import RunSystem, System
from dixonflow.execution.label_map_keys import LabelMapKeys, label_map_keys
from dixonflow.vocabulary import ScanId, ScanSequence, Status

_SCAN = ["participant_id", "session_id", "sequence"]


@dataclass(frozen=True)
class RunScans:
    """Scans of a run whose label maps can be compared.

    Attributes
    ----------
    tasks
        One per scan.
    equal_keys
        Key of the label map by every key that stands for the same one.
    further
        Names of cases of the comparator that are no scan of the run.
    """

    tasks: list[ScanTask]
    equal_keys: dict[str, str]
    further: list[str]


def run_scans(run: RunSystem, comparator: System) -> RunScans:
    """Find the scans of a run that are ok, and what the comparator has of each.

    Raises
    ------
    EvaluationError
        If the run has no tables yet.
    """
    if not run.results.scan_table.is_file():
        raise EvaluationError("the run has no tables yet: finish it with snakemake first")
    scans = read_scans(run.results.scan_table)
    ok = scans[scans["status"].eq(Status.OK.value)]
    keys: dict[ScanId, LabelMapKeys] = {}
    for shard in sorted(ok["shard"].dropna().unique()):
        keys |= label_map_keys(run.results, str(shard), run.model.name)
    tasks: list[ScanTask] = []
    equal_keys: dict[str, str] = {}
    names = set()
    for participant, session, sequence in ok[_SCAN].itertuples(index=False):
        scan = ScanId(participant, session, ScanSequence(sequence))
        names.add(scan.name)
        case = identified(scan.name)
        own = run.prediction(case)
        if scan not in keys or isinstance(own, str):
            continue  # of another model, or being replaced just now
        equal_keys |= dict.fromkeys(keys[scan].equal, keys[scan].key)
        tasks.append(ScanTask(scan, run.model.name, keys[scan].key, own, comparator.prediction(case)))
    return RunScans(tasks, equal_keys, comparator.further(names))


def still_valid(before: pd.DataFrame, tasks: Iterable[ScanTask]) -> tuple[pd.DataFrame, list[ScanTask]]:
    """Divide scans into the rows of those that were compared before, both label maps being the same, and the others."""
    known = before.groupby(["participant_id", "session_id", "sequence"])[
        ["model", "label_map_key", "files_key"]
    ].first()
    known_keys = dict(zip(known.index, known.itertuples(index=False, name=None), strict=True))
    kept, left = set(), []
    for task in tasks:
        scan = (task.scan.participant, task.scan.session, task.scan.sequence.value)
        try:
            files_key = task.files_key
        except OSError:
            files_key = ""
        if files_key and known_keys.get(scan) == (task.model, task.label_map_key, files_key):
            kept.add(scan)
        else:
            left.append(task)
    own = pd.MultiIndex.from_frame(before[_SCAN])
    return before[own.isin(list(kept))] if kept else before.iloc[:0], left
