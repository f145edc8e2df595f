"""Merge stage: the label maps of the contrasts to one, or the one of their mean scores cleaned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dixonflow.execution.result_hash import MORE_FACTS, result_hash, sidecar_facts
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.imaging.types import Affine
from dixonflow.merge.strategies import clean, merge
from dixonflow.models.comparison import merge_strategy_of
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stages.context import TemporaryWork
from dixonflow.vocabulary import MergeStrategy, Stage


class MergeWork(TemporaryWork):
    """One label map per scan from those of its contrasts."""

    stage = Stage.MERGE

    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """The merged label map."""
        return [self.context.results.merged(self.context.shard, scan.scan, self.context.model.name)]

    def process(self, scan: RawScan) -> StageResult:
        """Merge and write."""
        results, shard, model = self.context.results, self.context.shard, self.context.model
        strategy = merge_strategy_of(model, self.context.config.merge)
        if strategy is MergeStrategy.MEAN_SCORES:
            labels, affine = read_labels(results.mean_labels(shard, scan.scan, model.name))
            merged = clean(labels, model, _voxel_mm3(affine))
        else:
            maps = {}
            for contrast in model.input_contrasts:
                maps[contrast], affine = read_labels(results.contrast_labels(shard, scan.scan, model.name, contrast))
            merged = merge(maps, model, _voxel_mm3(affine), strategy)
        write_labels(results.merged(shard, scan.scan, model.name), merged, affine)
        return StageResult()

    def result(self, scan: RawScan) -> str:
        """Hash over the merged label map and what is passed on with it."""
        provenance = self.context.results.segment_provenance(self.context.shard, scan.scan, self.context.model.name)
        return result_hash(
            self.outputs(scan),
            sidecar_facts(provenance, ["contrast_agreement"], MORE_FACTS),
            extra=self.context.stitched_result(scan),
        )


def _voxel_mm3(affine: Affine) -> float:
    return float(np.prod(np.diag(affine)[:3]))
