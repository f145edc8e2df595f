"""The stages at their edges: what each reads, which function of the package it calls, what it writes.

One module per stage, with its class: `stitch.StitchWork`, and so on. Stitching is shared by all models; the other
stages run for one model after another, each with records of its own, so that a further model costs its own work only
and one network is in memory at a time.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from dixonflow.config import Config
from dixonflow.execution.content_keys import stage_key
from dixonflow.execution.dixon_scans import DixonScans
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
    _earlier: dict[tuple[str, Stage], dict[ScanId, Record]] = field(default_factory=dict, compare=False, repr=False)

    def key(self, stage: Stage, scan: RawScan) -> str:
        """Content key of a scan at `stage`."""
        known = self._with_dixon(scan) if self.takes_labels_of_dixon and stage is not Stage.STITCH else None
        return stage_key(stage, scan.raw_key, self.config, self.model, self.models, known)

    @property
    def takes_labels_of_dixon(self) -> bool:
        """Whether scans are not segmented but take the label maps of Dixon scans."""
        return self.model.sequence in self.config.segment.labels_of_dixon

    @cached_property
    def dixon(self) -> DixonScans:
        """The Dixon scans of the run, for those that take their label maps."""
        return DixonScans(self.results)

    def _with_dixon(self, scan: RawScan) -> dict[tuple[str, Stage], str]:
        """Keys of the stitch stage with those of the label maps that such a scan takes."""
        keys = {}
        for model in self.models:
            own = stage_key(Stage.STITCH, scan.raw_key, self.config, model, self.models)
            dixon = self.dixon.labelled(scan.scan, model.name)
            both = f"{own} {dixon.content_key if dixon else ''}"
            keys[model.name, Stage.STITCH] = hashlib.sha256(both.encode()).hexdigest()
        return keys

    def equal_keys(self, stage: Stage, scan: RawScan) -> frozenset[str]:
        """Other keys under which a result of `stage` is as good as one of `key`.

        A stage before it was done again and gave the same bytes: its record says under which keys it gave them too.
        """
        if self.takes_labels_of_dixon:
            return frozenset()
        found: dict[tuple[str, Stage], tuple[str, ...]] = {}
        for model in self.models if stage is Stage.MEASURE else (self.model,):
            for earlier in stage.earlier:
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

    def learn(self, record: Record) -> None:
        """Take note of what a stage has made of a scan since the records of the stage were read."""
        self._records_of(self.model, record.outcome.stage)[record.outcome.scan] = record

    def _records_of(self, model: Model, stage: Stage) -> dict[ScanId, Record]:
        """Records of an earlier stage, read once. Those of an earlier job are complete when this one begins."""
        where = model.name, stage
        if where not in self._earlier:
            self._earlier[where] = Records(self.results.records(stage, self.shard, model.name)).load()
        return self._earlier[where]

    def records(self, stage: Stage) -> Records:
        """What the shard has done at `stage`."""
        return Records(self.results.records(stage, self.shard, self.model.name))

    @property
    def is_first(self) -> bool:
        """Whether the model is the first of the run: what there is once for a scan is made with it."""
        return self.model.name == self.models[0].name


def contexts(
    stage: Stage, config: Config, models: tuple[Model, ...], results: Results, shard: str
) -> list[StageContext]:
    """What `stage` runs for, one after another: every model, or all of them at once."""
    chosen = models if stage.is_per_model else models[:1]
    return [StageContext(config, models, model, results, shard) for model in chosen]


class ContextWork(StageWork):
    """A stage that works in a context."""

    def __init__(self, context: StageContext) -> None:
        self.context = context

    def key(self, scan: RawScan) -> str:
        """Content key of a scan at this stage."""
        return self.context.key(self.stage, scan)

    def equal_keys(self, scan: RawScan) -> frozenset[str]:
        """Keys that are as good as `key`."""
        return self.context.equal_keys(self.stage, scan)

    def is_done(self, scan: RawScan) -> bool:
        """Whether the stage holds a valid result: one of the settings in force, whose files are there."""
        record = self._records.get(scan.scan)
        return (
            record is not None
            and record.outcome.status is Status.OK
            and (record.outcome.content_key == self.key(scan) or record.outcome.content_key in self.equal_keys(scan))
            and all(path.exists() for path in self.outputs(scan))
        )

    def is_written(self, scan: RawScan) -> bool:
        """Whether a job that was killed before it could record it has written all files of the settings in force.

        Only of a stage whose files say so.
        """
        return False

    def learn(self, record: Record) -> None:
        """Take note of what an earlier stage of the same job has made of a scan."""
        self.context.learn(record)

    @cached_property
    def _records(self) -> Mapping[ScanId, Record]:
        """What the stage had done when it was first asked."""
        return self.context.records(self.stage).load()


class TemporaryWork(ContextWork):
    """A stage whose files are only needed until the final label map is there."""

    @cached_property
    def _final(self) -> ContextWork:
        return stage_work(Stage.POSTPROCESS, self.context)

    def superseded(self, scan: RawScan) -> bool:
        """Whether the final label map is there. A job may have been killed after it removed what it was made from."""
        return self._final.is_done(scan) or self._final.is_written(scan)


def stage_work(stage: Stage, context: StageContext) -> ContextWork:
    """Prepare `stage`. Modules are imported on demand, so that only `segment` pays for torch."""
    if context.takes_labels_of_dixon and stage not in (Stage.STITCH, Stage.MEASURE):
        taken = import_module("dixonflow.stages.labels_of_dixon")
        chosen: ContextWork = (
            taken.LabelsOfDixonWork(context) if stage is Stage.POSTPROCESS else taken.NoWork(stage, context)
        )
        return chosen
    module = import_module(f"dixonflow.stages.{stage.value}")
    work: ContextWork = getattr(module, f"{stage.value.capitalize()}Work")(context)
    return work


def sidecar_content(path: Path) -> dict[str, Any]:
    """Content of the sidecar of an image, or of what will be a part of one, which an earlier stage wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
