"""Segment stage: one label map per contrast, on the stitched grid."""

import time
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.cohort.shards import ShardScan
from dixonflow.model import label_lookup
from dixonflow.nifti import NiftiImage, read_nifti, write_nifti
from dixonflow.resample import labels_to_grid
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.shard import Done, StageWork
from dixonflow.stages import StageContext, Superseded
from dixonflow.vocabulary import Contrast, ScanId, Stage


class _Segmenter:
    """Loads the network when the first scan needs it, and once: a shard with nothing to do never does."""

    def __init__(self, context: StageContext) -> None:
        self._context = context

    @cached_property
    def predictor(self) -> Predictor:
        model, segment = self._context.model, self._context.config.segment
        options = SegmentOptions(
            tile_step=model.tile_step,
            folds=segment.folds,
            device=segment.device,
            threads=segment.threads,
            orientation=model.orientation,
        )
        return Predictor(model.weights, options)

    @cached_property
    def lookup(self) -> NDArray[np.unsignedinteger]:
        lookup = label_lookup(self._context.model)
        return lookup.astype(np.uint8) if lookup.max() < 256 else lookup

    def labels(self, shard: str, scan: ScanId, contrast: Contrast) -> NiftiImage:
        results = self._context.results
        stitched = read_nifti(results.stitched(scan, contrast))
        image = stitched
        if self._context.model.resampling == "first":
            image = read_nifti(results.resampled(shard, scan, contrast))
        predicted = self.predictor.predict(image.data, image.spacing_mm)
        labels: NDArray[Any] = self.lookup[predicted]
        if image is not stitched:
            labels = labels_to_grid(labels, image.affine, stitched.data.shape, stitched.affine)
        return NiftiImage(labels, stitched.affine)


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    segmenter = _Segmenter(context)
    contrasts = context.model.input_contrasts

    def process(scan: ShardScan) -> Done:
        started = time.perf_counter()
        for contrast in contrasts:
            image = segmenter.labels(context.shard, scan.scan, contrast)
            write_nifti(context.results.contrast_labels(context.shard, scan.scan, contrast), image.data, image.affine)
        on_device = segmenter.predictor.device.type != "cpu"
        return Done(gpu_seconds=time.perf_counter() - started if on_device else 0.0)

    return StageWork(
        stage=Stage.SEGMENT,
        key=lambda scan: context.key(Stage.SEGMENT, scan),
        process=process,
        outputs=lambda scan: [
            context.results.contrast_labels(context.shard, scan.scan, contrast) for contrast in contrasts
        ],
        superseded=Superseded(context),
    )
