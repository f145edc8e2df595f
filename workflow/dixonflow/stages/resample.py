"""Resample stage: stitched contrasts onto the grid of a model whose authors resample before nnU-Net sees the image."""

from pathlib import Path

from dixonflow.execution.result_hash import result_hash
from dixonflow.execution.stage_work import Done, StageWork
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.resample.model_grid import to_model_grid
from dixonflow.stages.context import StageContext, Superseded
from dixonflow.vocabulary import Contrast, Stage


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard.

    Models in nnU-Net's own order (normalise, then resample) need no work here, nor those that are cropped before.
    """
    model = context.model

    def resampled(scan: RawScan, contrast: Contrast) -> Path:
        return context.results.resampled(context.shard, scan.scan, model.name, contrast)

    def outputs(scan: RawScan) -> list[Path]:
        if not model.is_resampled_before:
            return []
        return [resampled(scan, contrast) for contrast in model.contrasts_read]

    def process(scan: RawScan) -> Done:
        if model.is_resampled_before:
            for contrast in model.contrasts_read:
                image = to_model_grid(read_nifti(context.results.stitched(scan.scan, contrast)), model)
                write_nifti(resampled(scan, contrast), image.data, image.affine)
        return Done()

    return StageWork(
        stage=Stage.RESAMPLE,
        key=lambda scan: context.key(Stage.RESAMPLE, scan),
        process=process,
        outputs=outputs,
        equal_keys=lambda scan: context.equal_keys(Stage.RESAMPLE, scan),
        result=lambda scan: result_hash(outputs(scan), beside=context.stitched_result(scan)),
        superseded=Superseded(context),
    )
