"""Which label map a scan has: what ratings are kept with, so that a verdict counts for what was looked at."""

from dataclasses import dataclass

from dixonflow.execution.records import Records
from dixonflow.paths import Results
from dixonflow.vocabulary import ScanId, Stage, Status


@dataclass(frozen=True)
class LabelMapKeys:
    """What identifies the final label map of a scan.

    Attributes
    ----------
    key
        Content key of its postprocess stage: to be written into ratings of this label map.
    equal
        That key, and those of earlier runs that gave the same label map, byte by byte, of the same images.
    """

    key: str
    equal: frozenset[str]


def label_map_keys(results: Results, shard: str, model: str) -> dict[ScanId, LabelMapKeys]:
    """Keys of the final label maps of a shard's scans.

    They change when a label map is computed again and differs, not when its scan is only measured again. While a label
    map is being replaced its scan has none.

    Parameters
    ----------
    shard
        As the table `scans` names it.
    model
        Name of a model of the run; there are none for others.
    """
    records = Records(results.records(Stage.POSTPROCESS, shard, model)).load()
    return {
        scan: LabelMapKeys(record.outcome.content_key, frozenset((record.outcome.content_key, *record.stands_for)))
        for scan, record in records.items()
        if record.outcome.status is Status.OK and record.outcome.content_key
    }
