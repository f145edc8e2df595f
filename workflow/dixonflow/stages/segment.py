"""Segment stage: one label map per contrast, or one of their mean scores, on the stitched grid."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.agreement import pairwise_dice
from dixonflow.atomic import write_json
from dixonflow.cohort.shards import ShardScan
from dixonflow.config import SegmentConfig
from dixonflow.keys import interpolate_of
from dixonflow.label_lookup import label_lookup
from dixonflow.model import Model
from dixonflow.nifti import NiftiImage, read_nifti, write_nifti
from dixonflow.resample import labels_to_grid, zoom_labels
from dixonflow.segment import Inferred, PartsPredictor, SegmentOptions
from dixonflow.segment.preprocess import Prepared
from dixonflow.stages import StageContext, Superseded
from dixonflow.station import Affine
from dixonflow.vocabulary import Contrast, MergeStrategy, ScanId, Stage
from dixonflow.work import Done, StageWork


@dataclass(frozen=True)
class _Target:
    """A label map to be made: its file, what goes into each network for it, and the grids that it comes back over."""

    path: Path
    prepared: Sequence[Sequence[Prepared]]
    image_affine: Affine
    shape: tuple[int, ...]
    affine: Affine


@dataclass(frozen=True)
class _Scan:
    """A scan on its way through the stage, with what each network gave for each target."""

    scan: ScanId
    targets: Sequence[_Target]
    inferred: Sequence[Sequence[Inferred]] = ()
    gpu_seconds: float = 0.0


def segment_options(model: Model, segment: SegmentConfig) -> SegmentOptions:
    """How a configuration runs a model; what it leaves open is the model file's to say."""
    return SegmentOptions(
        tile_step=model.tile_step,
        folds=segment.folds,
        interpolate=interpolate_of(model, segment),
        device=segment.device,
        threads=segment.threads,
        orientation=model.orientation,
        mirroring=model.mirroring,
        image_weights=tuple(model.weights_of(model.input_contrasts)),
    )


class _Segmenter:
    """The three steps of the stage around the networks of the model."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._mean = context.config.merge.strategy is MergeStrategy.MEAN_SCORES

    @cached_property
    def predictor(self) -> PartsPredictor:
        """The networks, loaded once."""
        model = self._context.model
        options = segment_options(model, self._context.config.segment)
        parts = {part.name: part for part in model.parts}
        lookups = {name: label_lookup(model, parts.get(name)) for name in model.folders}
        return PartsPredictor(model.folders, lookups, options, model.pad_voxels)

    def start(self) -> None:
        """Load the networks; torch's number of threads holds for the thread that does it."""
        _ = self.predictor

    def usable(self) -> bool:
        """Whether another scan can be processed here."""
        return self.predictor.usable()

    def maps(self, scan: ScanId) -> dict[Path, Sequence[Contrast]]:
        """Each label map to write, with the contrasts that go into it."""
        results, shard, model = self._context.results, self._context.shard, self._context.model
        contrasts = model.input_contrasts
        if self._mean:
            return {results.mean_labels(shard, scan, model.name): contrasts}
        return {results.contrast_labels(shard, scan, model.name, contrast): [contrast] for contrast in contrasts}

    def provenance_path(self, scan: ScanId) -> Path:
        """Where to write how the label maps of a scan were predicted."""
        return self._context.results.segment_provenance(self._context.shard, scan, self._context.model.name)

    def prepare(self, entry: ShardScan) -> _Scan:
        """Read the contrasts and bring them onto the networks' grids."""
        scan = entry.scan
        return _Scan(scan, [self._target(scan, path, contrasts) for path, contrasts in self.maps(scan).items()])

    def process(self, scan: _Scan) -> _Scan:
        """Run the networks."""
        started = time.perf_counter()
        several = len(self._context.model.input_contrasts) > 1
        inferred = [self.predictor.infer(target.prepared, each=several) for target in scan.targets]
        on_device = self.predictor.device.type != "cpu"
        # the images are not needed any more: only so many of them may be in memory as are ahead of the device
        targets = [
            replace(target, prepared=[[images[0].without_image()] for images in target.prepared])
            for target in scan.targets
        ]
        return _Scan(scan.scan, targets, inferred, time.perf_counter() - started if on_device else 0.0)

    def finish(self, scan: _Scan) -> Done:
        """Bring the labels back onto the stitched grid and write them."""
        for target, inferred in zip(scan.targets, scan.inferred, strict=True):
            labels = self.predictor.restore(target.prepared, inferred)
            write_nifti(target.path, self._on_stitched_grid(labels, target), target.affine)
        images = {
            target.path.name: self.predictor.image_provenance(inferred)
            for target, inferred in zip(scan.targets, scan.inferred, strict=True)
        }
        agreement = self._contrast_agreement(scan)
        content = {**self.predictor.provenance(), "images": images, "contrast_agreement": agreement}
        write_json(self.provenance_path(scan.scan), content)
        return Done(gpu_seconds=scan.gpu_seconds)

    def _contrast_agreement(self, scan: _Scan) -> dict[str, float | None]:
        """Mean Dice of each structure between what each contrast gives by itself.

        It is the same whatever strategy merges the contrasts afterwards: that of the labels on the networks' grids, on
        the voxels of the images.
        """
        maps = [
            labels
            for target, inferred in zip(scan.targets, scan.inferred, strict=True)
            for labels in self.predictor.labels_of_each(target.prepared, inferred)
        ]
        structures = self._context.model.structures
        dice = pairwise_dice(maps, structures.values())
        return {name: dice[label] for name, label in structures.items()}

    @property
    def _resampled_first(self) -> bool:
        return self._context.model.resampling != "nnunet"

    def _on_stitched_grid(self, labels: NDArray[Any], target: _Target) -> NDArray[Any]:
        match self._context.model.resampling:
            case "first":
                return labels_to_grid(labels, target.image_affine, target.shape, target.affine)
            case "first_zoom":
                return zoom_labels(labels, target.shape)
            case "nnunet":
                return labels

    def _target(self, scan: ScanId, path: Path, contrasts: Sequence[Contrast]) -> _Target:
        channels = self._context.model.channels
        images = [self._read(scan, contrast) for contrast in channels or contrasts]
        data = [image.data for image in images]
        prepared = self.predictor.prepare([np.stack(data)] if channels else data, images[0].spacing_mm)
        stitched = images[0]
        if self._resampled_first:
            stitched = read_nifti(self._context.results.stitched(scan, contrasts[0]))
        return _Target(path, prepared, images[0].affine, stitched.data.shape, stitched.affine)

    def _read(self, scan: ScanId, contrast: Contrast) -> NiftiImage:
        results = self._context.results
        if self._resampled_first:
            return read_nifti(results.resampled(self._context.shard, scan, self._context.model.name, contrast))
        return read_nifti(results.stitched(scan, contrast))


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    segmenter = _Segmenter(context)
    return StageWork(
        stage=Stage.SEGMENT,
        key=lambda scan: context.key(Stage.SEGMENT, scan),
        start=segmenter.start,
        usable=segmenter.usable,
        prepare=segmenter.prepare,
        process=segmenter.process,
        finish=segmenter.finish,
        outputs=lambda scan: [*segmenter.maps(scan.scan), segmenter.provenance_path(scan.scan)],
        superseded=Superseded(context),
    )
