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
    """Whether a later stage holds a valid result of a scan, so that what it was made from need not be there."""

    def __init__(self, context: StageContext, stage: Stage = Stage.POSTPROCESS) -> None:
        self._context, self._stage = context, stage
        self._outputs = stage_work(stage, context).outputs
        self._records = Records(context.results.records(stage, context.shard)).load()

    def __call__(self, scan: ShardScan) -> bool:
        """Compare the key of the recorded result with the one that the settings in force give."""
        record = self._records.get(scan.scan)
        return (
            record is not None
            and record.outcome.status is Status.OK
            and record.outcome.content_key == self._context.key(self._stage, scan)
            and all(path.exists() for path in self._outputs(scan))
        )
