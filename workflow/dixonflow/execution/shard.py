"""Run the stages of a job over the scans of a shard.

A scan never takes its shard down: whatever happens to it becomes its outcome. Work that was done from the same inputs,
parameters, model and code is not done again.
"""

from collections.abc import Iterable, Mapping, Sequence

from dixonflow.execution.attempt import Task
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record
from dixonflow.execution.steps import Step, Steps
from dixonflow.execution.supervisor import Limits, supervise
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import ScanId


def run_shard(
    steps: Sequence[Step],
    scans: Iterable[RawScan],
    upstream: Mapping[ScanId, Outcome],
    limits: Limits | None = None,
) -> list[list[Record]]:
    """Bring every scan of a shard through the stages of a job, each scan through one after the other.

    Parameters
    ----------
    upstream
        Outcomes of the stage before. Rows that are not ok are carried on unchanged.
    limits
        What one scan may take at one stage; none by default.

    Returns
    -------
    For each stage one record per scan, in the order of `scans`. Nothing is ever missing.

    Raises
    ------
    ModelError
        It concerns every scan alike.
    RuntimeError
        If a stage fails outside any scan.
    """
    scans = list(scans)
    way = Steps(steps)
    results: list[dict[ScanId, Record]] = [{} for _ in steps]
    tasks: list[Task] = []
    for scan in scans:
        settled, task = way.advance(scan, upstream.get(scan.scan))
        for place, record in settled:
            results[place][scan.scan] = record
        if task is not None:
            tasks.append(task)
    for place, scan_id, record in supervise(way, tasks, limits or Limits()):
        results[place][scan_id] = record
    for step, found in zip(steps, results, strict=True):
        step.records.pack({scan: record for scan, record in found.items() if record.outcome.stage is step.work.stage})
    return [[found[scan.scan] for scan in scans] for found in results]
