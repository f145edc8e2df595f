"""The stages at their edges: what each reads, which function of the package it calls, what it writes.

One module per stage, each with `work(context) -> StageWork`. Stitching is shared by all models; the other stages are
run for one model after another, each with records of its own, so that a further model costs its own work only and one
network is in memory at a time.
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
    """What a stage needs besides the scan.

    Attributes
    ----------
    config
        The configuration in force.
    models
        All models of the run.
    model
        The one that the stage works for.
    results, shard
        Paths, and the name of the shard.
    """

    config: Config
    models: tuple[Model, ...]
    model: Model
    results: Results
    shard: str

    def key(self, stage: Stage, scan: ShardScan) -> str:
        """Content key of a scan at `stage`."""
        return stage_key(stage, scan.raw_key, self.config, self.model, self.models)

    def records(self, stage: Stage) -> Records:
        """What the shard has done at `stage`."""
        return Records(self.results.records(stage, self.shard, "" if stage is Stage.STITCH else self.model.name))

    @property
    def is_first(self) -> bool:
        """Whether the model is the first of the run: what there is once for a scan is made with it."""
        return self.model.name == self.models[0].name


def contexts(
    stage: Stage, config: Config, models: tuple[Model, ...], results: Results, shard: str
) -> list[StageContext]:
    """What `stage` is run for, one after another: every model, or all of them at once."""
    chosen = models[:1] if stage is Stage.STITCH else models
    return [StageContext(config, models, model, results, shard) for model in chosen]


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
        self._records = context.records(stage).load()

    def __call__(self, scan: ShardScan) -> bool:
        """Compare the key of the recorded result with the one that the settings in force give."""
        record = self._records.get(scan.scan)
        return (
            record is not None
            and record.outcome.status is Status.OK
            and record.outcome.content_key == self._context.key(self._stage, scan)
            and all(path.exists() for path in self._outputs(scan))
        )
