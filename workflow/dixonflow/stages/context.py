"""The stages at their edges: what each reads, which function of the package it calls, what it writes.

One module per stage, each with `work(context) -> StageWork`. Stitching is shared by all models; the other stages are
run for one model after another, each with records of its own, so that a further model costs its own work only and one
network is in memory at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from dixonflow.config import Config
from dixonflow.execution.content_keys import STAGE_VERSIONS, stage_key
from dixonflow.execution.records import Record, Records
from dixonflow.execution.stage_work import StageWork
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import ScanId, Stage, Status


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
    _earlier: dict[tuple[str, Stage], Mapping[ScanId, Record]] = field(default_factory=dict, compare=False, repr=False)

    def key(self, stage: Stage, scan: RawScan) -> str:
        """Content key of a scan at `stage`."""
        return stage_key(stage, scan.raw_key, self.config, self.model, self.models)

    def equal_keys(self, stage: Stage, scan: RawScan) -> frozenset[str]:
        """Other keys under which a result of `stage` is as good as one of `key`.

        A stage before it was done again and gave the same bytes: its record says under which keys it gave them too.
        """
        found: dict[tuple[str, Stage], tuple[str, ...]] = {}
        earlier_stages = list(STAGE_VERSIONS)[: list(STAGE_VERSIONS).index(stage)]
        for model in self.models if stage is Stage.MEASURE else (self.model,):
            for earlier in earlier_stages:
                record = self._records_of(model, earlier).get(scan.scan)
                if record is None or record.outcome.status is not Status.OK or not record.stands_for:
                    continue
                if record.outcome.content_key == stage_key(earlier, scan.raw_key, self.config, model, self.models):
                    found[model.name, earlier] = record.stands_for
        keys = set()
        for place in range(max(map(len, found.values()), default=0)):
            known = {where: stands_for[min(place, len(stands_for) - 1)] for where, stands_for in found.items()}
            for start in (known, *({where: key} for where, key in known.items())):
                keys.add(stage_key(stage, scan.raw_key, self.config, self.model, self.models, start))
        return frozenset(keys)

    def stitched_result(self, scan: RawScan) -> str:
        """Hash of the stitched images of a scan; empty where an earlier version made them."""
        record = self._records_of(self.model, Stage.STITCH).get(scan.scan)
        return record.result if record is not None else ""

    def _records_of(self, model: Model, stage: Stage) -> Mapping[ScanId, Record]:
        """Records of an earlier stage, which are complete when this one begins, and read once."""
        where = model.name, stage
        if where not in self._earlier:
            path = self.results.records(stage, self.shard, "" if stage is Stage.STITCH else model.name)
            self._earlier[where] = Records(path).load()
        return self._earlier[where]

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

    def __call__(self, scan: RawScan) -> bool:
        """Compare the key of the recorded result with the one that the settings in force give."""
        record = self._records.get(scan.scan)
        return (
            record is not None
            and record.outcome.status is Status.OK
            and (
                record.outcome.content_key == self._context.key(self._stage, scan)
                or record.outcome.content_key in self._context.equal_keys(self._stage, scan)
            )
            and all(path.exists() for path in self._outputs(scan))
        )
