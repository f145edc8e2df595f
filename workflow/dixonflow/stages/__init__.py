"""The stages at their edges: what each reads, which function of the package it calls, what it writes.

One module per stage, each with `work(context) -> StageWork`.
"""

from dataclasses import dataclass
from importlib import import_module

from dixonflow.cohort.shards import ShardScan
from dixonflow.config import Config
from dixonflow.keys import stage_key
from dixonflow.layout import Results
from dixonflow.model import Model
from dixonflow.records import Records
from dixonflow.vocabulary import Stage, Status
from dixonflow.work import StageWork


@dataclass(frozen=True)
class StageContext:
    """What a stage needs besides the scan: configuration, model, paths and the name of the shard."""

    config: Config
    model: Model
    results: Results
    shard: str

    def key(self, stage: Stage, scan: ShardScan) -> str:
        """Content key of a scan at `stage`."""
        return stage_key(stage, scan.raw_key, self.config, self.model)


def stage_work(stage: Stage, context: StageContext) -> StageWork:
    """Prepare `stage`. Modules are imported on demand, so that only `segment` pays for torch."""
    module = import_module(f"dixonflow.stages.{stage.value}")
    work: StageWork = module.work(context)
    return work


class Superseded:
    """Whether the final label map of a scan is there and valid, so that temporary images need not be made."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._records = Records(context.results.records(Stage.POSTPROCESS, context.shard)).load()

    def __call__(self, scan: ShardScan) -> bool:
        """Compare the key of the recorded label map with the one that the settings in force give."""
        record = self._records.get(scan.scan)
        return (
            record is not None
            and record.outcome.status is Status.OK
            and record.outcome.content_key == self._context.key(Stage.POSTPROCESS, scan)
            and self._context.results.labels(scan.scan, self._context.model.name).exists()
            and self._context.results.labels_sidecar(scan.scan, self._context.model.name).exists()
        )
