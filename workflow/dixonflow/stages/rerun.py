"""Named scans are processed again by the next run, whatever is known of them."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from dixonflow.cohort.shards import read_shard, read_shard_names
from dixonflow.cohort.table import read_scans, write_scans
from dixonflow.config import Config
from dixonflow.errors import ConfigError
from dixonflow.models.model import Model
from dixonflow.models.runnable import models_for
from dixonflow.run.retry import COHORT, request_retry
from dixonflow.stages.context import contexts
from dixonflow.vocabulary import SHARD_STAGES, ScanId


def request_rerun(scans: Collection[ScanId], config: Config, models: Sequence[Model]) -> tuple[int, int]:
    """Have the next run process scans again from their raw data on, and inspect again those that were excluded.

    Returns
    -------
    Number of scans that will be processed, and of those that will be inspected.

    Raises
    ------
    ConfigError
        If a scan is not in the run: then nothing is asked for.
    """
    results, waiting = config.paths, set(scans)
    shards = [read_shard(results.shard(name)) for name in read_shard_names(results.shards)]
    members = {
        entry.scan: shard for shard in shards for entry in shard.scans if entry.scan in waiting and entry.raw_key
    }
    rows = read_scans(results.scans)
    inspected = {row.scan for row in rows if row.scan in waiting} - members.keys()
    if unknown := waiting - members.keys() - inspected:
        raise ConfigError(f"{len(unknown)} of {len(waiting)} scans are not in the run: names are those of table scans")
    # asked for before anything is taken away: a call that is cut off leaves no scan that no run looks at
    for name in sorted({shard.name for shard in members.values()}):
        request_retry(results, name)
    for scan, shard in members.items():
        for stage in SHARD_STAGES:
            for context in contexts(stage, config, models_for(scan.sequence, models, config), results, shard.name):
                # an unknown key: what is recorded does not count any more
                context.records(stage).begin(scan, "rerun", 0)
                # without it nothing of the scan counts as measured, and images that are not kept are made again
                results.labels_sidecar(scan, context.model.name).unlink(missing_ok=True)
    if inspected:
        write_scans(
            results.scans,
            [replace(row, content_key="", attempt=0) if row.scan in inspected else row for row in rows],
        )
        request_retry(results, COHORT)
    return len(members), len(inspected)
