"""Merge stage: the label maps of the contrasts to one, or the one of their mean scores cleaned."""

import numpy as np

from dixonflow.execution.result_hash import result_hash, sidecar_facts
from dixonflow.execution.stage_work import Done, StageWork
from dixonflow.imaging.nifti import read_labels, write_nifti
from dixonflow.imaging.station import Affine
from dixonflow.merge.strategies import clean, merge
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stages.context import StageContext, Superseded
from dixonflow.vocabulary import MergeStrategy, Stage


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    results, shard = context.results, context.shard

    strategy, model = context.config.merge.strategy, context.model

    def process(scan: RawScan) -> Done:
        if strategy is MergeStrategy.MEAN_SCORES:
            labels, affine = read_labels(results.mean_labels(shard, scan.scan, model.name))
            merged = clean(labels, model, _voxel_mm3(affine))
        else:
            maps = {}
            for contrast in model.input_contrasts:
                maps[contrast], affine = read_labels(results.contrast_labels(shard, scan.scan, model.name, contrast))
            merged = merge(maps, model, _voxel_mm3(affine), strategy)
        write_nifti(results.merged(shard, scan.scan, model.name), merged, affine)
        return Done()

    return StageWork(
        stage=Stage.MERGE,
        key=lambda scan: context.key(Stage.MERGE, scan),
        process=process,
        outputs=lambda scan: [results.merged(shard, scan.scan, model.name)],
        equal_keys=lambda scan: context.equal_keys(Stage.MERGE, scan),
        result=lambda scan: result_hash(
            [results.merged(shard, scan.scan, model.name)],
            sidecar_facts(results.segment_provenance(shard, scan.scan, model.name), ["contrast_agreement"]),
            beside=context.stitched_result(scan),
        ),
        superseded=Superseded(context),
    )


def _voxel_mm3(affine: Affine) -> float:
    return float(np.prod(np.diag(affine)[:3]))
