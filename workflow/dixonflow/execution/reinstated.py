"""Scans whose participants are no longer on the list of those who withdrew."""

from collections.abc import Mapping

from dixonflow.execution.outcome_files import StageFiles, read_rows
from dixonflow.paths import Results
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import SHARD_STAGES, ScanId, Status


def shards_of_reinstated_scans(results: Results, shard_of: Mapping[ScanId, str]) -> frozenset[str]:
    """Find the shards whose jobs have passed over a scan as withdrawn that is to be processed.

    Parameters
    ----------
    shard_of
        Shard of every scan that is to be processed.
    """
    # It rests on what the jobs have written and not on what the list once said: a call that was killed forgets nothing.
    files = StageFiles.of(results, set(shard_of.values()))
    returned = set()
    for stage in SHARD_STAGES:
        paths = files.paths(stage, (shard for shard, last in files.last.items() if last is stage))
        rows = read_rows(paths, [*SCAN_KEYS, "status"])
        passed_over = rows[rows["status"].eq(Status.WITHDRAWN.value)]
        for participant, session in passed_over[SCAN_KEYS].itertuples(index=False):
            returned.add(shard_of.get(ScanId(participant, session), ""))
    return frozenset(returned - {""})
