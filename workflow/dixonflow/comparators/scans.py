"""Which scans of a run are compared with a comparator, and what was compared before."""

from dataclasses import dataclass

import pandas as pd
import pyarrow.compute as pc

from dixonflow.comparators.agreement import ScanTask, scan_task
from dixonflow.evaluation.masks.case_files import identified
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.systems import RunSystem, System
from dixonflow.execution.label_map_keys import LabelMapKeys, label_map_keys
from dixonflow.tables.parquet import read_whole
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import ScanId, ScanSequence, Status


@dataclass(frozen=True)
class RunScans:
    """Scans of a run whose label maps can be compared.

    Attributes
    ----------
    tasks
        One per scan.
    label_maps
        Keys that stand for the label map of each scan and model.
    without_label_map
        How many further scans of the run are ok and have no label map of this model, or one that is being replaced.
    further
        Names of cases of the comparator that are no scan of the run.
    """

    tasks: list[ScanTask]
    label_maps: dict[tuple[ScanId, str], frozenset[str]]
    without_label_map: int
    further: list[str]


def run_scans(run: RunSystem, comparator: System) -> RunScans:
    """Find the scans of a run that are ok, and what the comparator has of each.

    Raises
    ------
    EvaluationError
        If the run has no tables yet.
    TableError
        If the table of its scans cannot be read.
    """
    if not run.results.scan_table.is_file():
        raise EvaluationError("the run has no tables yet: finish it with snakemake first")
    is_ok = pc.field("status") == Status.OK.value
    ok = read_whole(run.results.scan_table, [*SCAN_KEYS, "shard"], is_ok).to_pandas()
    keys: dict[ScanId, LabelMapKeys] = {}
    for shard in sorted(ok["shard"].dropna().unique()):
        keys |= label_map_keys(run.results, str(shard), run.model.name)
    tasks: list[ScanTask] = []
    label_maps: dict[tuple[ScanId, str], frozenset[str]] = {}
    names = set()
    for participant, session, sequence in ok[SCAN_KEYS].itertuples(index=False):
        scan = ScanId(participant, session, ScanSequence(sequence))
        names.add(scan.name)
        case = identified(scan.name)
        own = run.prediction(case)
        if scan not in keys or isinstance(own, str):
            continue
        label_maps[scan, run.model.name] = keys[scan].equal
        tasks.append(scan_task(scan, run.model.name, keys[scan].key, own, comparator.prediction(case)))
    return RunScans(tasks, label_maps, len(names) - len(tasks), comparator.further(names))


def still_valid(before: pd.DataFrame, scans: RunScans) -> tuple[pd.DataFrame, list[ScanTask]]:
    """Divide scans into the rows of those that were compared before, both label maps being the same, and the others."""
    columns = ["model", "label_map_key", "files_key"]
    known = before.groupby(SCAN_KEYS)[columns].first()
    compared = dict(zip(known.index, known.itertuples(index=False, name=None), strict=True))
    kept, left = [], []
    for task in scans.tasks:
        scan = (task.scan.participant, task.scan.session, task.scan.sequence.value)
        model, label_map_key, files_key = compared.get(scan, ("", "", ""))
        same = model == task.model and label_map_key in scans.label_maps[task.scan, task.model]
        if same and files_key and files_key == task.files_key:
            kept.append(scan)
        else:
            left.append(task)
    return before[pd.MultiIndex.from_frame(before[SCAN_KEYS]).isin(kept)] if kept else before.iloc[:0], left
