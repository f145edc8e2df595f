"""Resample stage: stitched contrasts onto the grid of a model whose authors resample before nnU-Net sees the image."""

from pathlib import Path

from dixonflow.cohort.shards import ShardScan
from dixonflow.errors import ModelError
from dixonflow.nifti import read_nifti, write_nifti
from dixonflow.resample import resample_to_spacing, zoom_to_spacing
from dixonflow.stages import StageContext, Superseded
from dixonflow.vocabulary import Contrast, Stage
from dixonflow.work import Done, StageWork


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard. Models in nnU-Net's own order (normalise, then resample) need no work here."""
    model = context.model

    def resampled(scan: ShardScan, contrast: Contrast) -> Path:
        return context.results.resampled(context.shard, scan.scan, model.name, contrast)

    def outputs(scan: ShardScan) -> list[Path]:
        if model.resampling == "nnunet":
            return []
        return [resampled(scan, contrast) for contrast in model.contrasts_read]

    def process(scan: ShardScan) -> Done:
        spacing_mm = model.spacing_mm
        if spacing_mm == "plans":
            raise ModelError(f"model {model.name} is not imported: its spacing is not known")
        if spacing_mm is not None:
            for contrast in model.contrasts_read:
                image = read_nifti(context.results.stitched(scan.scan, contrast))
                if model.resampling == "first_zoom":
                    data, affine = zoom_to_spacing(image.data, image.affine, spacing_mm)
                else:
                    data, affine = resample_to_spacing(image.data, image.affine, spacing_mm, model.orientation)
                write_nifti(resampled(scan, contrast), data, affine)
        return Done()

    return StageWork(
        stage=Stage.RESAMPLE,
        key=lambda scan: context.key(Stage.RESAMPLE, scan),
        process=process,
        outputs=outputs,
        superseded=Superseded(context),
    )
