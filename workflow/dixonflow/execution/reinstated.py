"""Scans whose participants are no longer on the list of those who withdrew."""

from collections.abc import Mapping

from dixonflow.execution.outcome_files import StageFiles, read_rows_of_shards
from dixonflow.paths import Results
from dixonflow.tables.shards import SHARD_KEYS
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
    here = {(scan.participant, scan.session, shard) for scan, shard in shard_of.items()}
    returned: set[str] = set()
    for stage in SHARD_STAGES:
        paths = files.paths(stage, (shard for shard, last in files.last.items() if last is stage))
        rows = read_rows_of_shards(paths, [*SHARD_KEYS, "status"])
        passed_over = rows[rows["status"].eq(Status.WITHDRAWN.value)]
        keys = passed_over[[*SHARD_KEYS, "file"]].itertuples(index=False, name=None)
        returned |= {key[-1] for key in keys if key in here}
    return frozenset(returned)
