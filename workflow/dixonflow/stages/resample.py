"""Resample stage: stitched contrasts onto the grid of a model whose authors resample before nnU-Net sees the image."""

from collections.abc import Sequence
from pathlib import Path

from dixonflow.execution.result_hash import result_hash
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.resample.model_grid import to_model_grid
from dixonflow.stages.context import TemporaryWork
from dixonflow.vocabulary import Contrast, Stage


class ResampleWork(TemporaryWork):
    """Contrasts on the model's grid.

    Models in nnU-Net's own order (normalise, then resample) need no work here, nor those that are cropped before, nor
    stations that are segmented one by one.
    """

    stage = Stage.RESAMPLE

    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """The resampled contrasts, where the model wants them."""
        return list(self._paths(scan).values())

    def process(self, scan: RawScan) -> StageResult:
        """Resample and write."""
        for contrast, path in self._paths(scan).items():
            stitched = read_nifti(self.context.results.stitched(scan.scan, contrast))
            image = to_model_grid(stitched, self.context.model)
            write_nifti(path, image.data, image.affine)
        return StageResult()

    def result(self, scan: RawScan) -> str:
        """Hash over the resampled contrasts and the stitched ones."""
        return result_hash(self.outputs(scan), extra=self.context.stitched_result(scan))

    def _paths(self, scan: RawScan) -> dict[Contrast, Path]:
        model, results = self.context.model, self.context.results
        here = model.is_resampled_before and not self.context.config.segment.unstitched
        contrasts = model.contrasts_read if here else ()
        return {each: results.resampled(self.context.shard, scan.scan, model.name, each) for each in contrasts}
