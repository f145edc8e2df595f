"""Merge stage: the label maps of the contrasts to one."""

import numpy as np

from dixonflow.cohort.shards import ShardScan
from dixonflow.merge import merge
from dixonflow.nifti import read_labels, write_nifti
from dixonflow.shard import Done, StageWork
from dixonflow.stages import StageContext, Superseded
from dixonflow.vocabulary import Stage


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    results, shard = context.results, context.shard

    def process(scan: ShardScan) -> Done:
        images = {
            contrast: read_labels(results.contrast_labels(shard, scan.scan, contrast))
            for contrast in context.model.input_contrasts
        }
        _, affine = next(iter(images.values()))
        voxel_mm3 = float(np.prod(np.diag(affine)[:3]))
        merged = merge({contrast: labels for contrast, (labels, _) in images.items()}, context.model, voxel_mm3)
        write_nifti(results.merged(shard, scan.scan), merged, affine)
        return Done()

    return StageWork(
        stage=Stage.MERGE,
        key=lambda scan: context.key(Stage.MERGE, scan),
        process=process,
        outputs=lambda scan: [results.merged(shard, scan.scan)],
        superseded=Superseded(context),
    )
