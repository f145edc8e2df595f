"""Segment stage: one label map per contrast, or one of their mean scores, on the stitched grid."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dixonflow.execution.result_hash import result_hash, sidecar_facts
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.nifti import NiftiImage, read_nifti, write_nifti
from dixonflow.imaging.types import Affine, Box
from dixonflow.labelmap.dice import pairwise_dice
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.resample.model_grid import to_image_grid, to_model_grid
from dixonflow.segment import ImageScores, PartsPredictor
from dixonflow.segment.networks import load_networks, segment_options
from dixonflow.segment.preprocess import PreprocessedImage
from dixonflow.segment.rough import RoughModel, cut, pasted
from dixonflow.stages.context import TemporaryWork
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import Contrast, MergeStrategy, ScanId, Stage


@dataclass(frozen=True)
class _Target:
    """A label map to be made: its file, what goes into each network for it, and the grids that it comes back over."""

    path: Path
    prepared: Sequence[Sequence[PreprocessedImage]]
    image_affine: Affine
    shape: tuple[int, ...]
    affine: Affine


@dataclass(frozen=True)
class _Scan:
    """A scan on its way through the stage, with what each network gave for each target.

    Where it is cropped, `box` is the part that targets are of, None if there is nothing to segment, and `shape` and
    `affine` are those of the whole.
    """

    scan: ScanId
    targets: Sequence[_Target]
    inferred: Sequence[Sequence[ImageScores]] = ()
    gpu_seconds: float = 0.0
    box: Box | None = None
    shape: tuple[int, ...] = ()
    affine: Affine = field(default_factory=lambda: np.eye(4))


class SegmentWork(TemporaryWork):
    """The label maps of a scan's contrasts, by the networks of the model."""

    stage = Stage.SEGMENT
    overlaps = True

    @cached_property
    def _predictor(self) -> PartsPredictor:
        """The networks, loaded once."""
        model = self.context.model
        return load_networks(model, segment_options(model, self.context.config.segment))

    @cached_property
    def _rough(self) -> RoughModel | None:
        """The rough model whose structures images are cropped to, for a model that wants that."""
        model = self.context.model
        if model.crop is None or model.rough is None:
            return None
        return RoughModel(model.crop, model.rough, self.context.config.segment)

    def start(self) -> None:
        """Load the networks; torch's number of threads holds for the thread that does it."""
        _ = self._predictor, self._rough

    def usable(self) -> bool:
        """Whether another scan can be processed here."""
        return self._predictor.usable()

    def _maps(self, scan: ScanId) -> dict[Path, Sequence[Contrast]]:
        """Each label map to write, with the contrasts that go into it."""
        results, shard, model = self.context.results, self.context.shard, self.context.model
        contrasts = model.input_contrasts
        if self.context.config.merge.strategy is MergeStrategy.MEAN_SCORES:
            return {results.mean_labels(shard, scan, model.name): contrasts}
        return {results.contrast_labels(shard, scan, model.name, contrast): [contrast] for contrast in contrasts}

    def _provenance_path(self, scan: ScanId) -> Path:
        """Where to write how the label maps of a scan were predicted."""
        return self.context.results.segment_provenance(self.context.shard, scan, self.context.model.name)

    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """The label maps, and how they were predicted."""
        return [*self._maps(scan.scan), self._provenance_path(scan.scan)]

    def result(self, scan: RawScan) -> str:
        """Hash over the label maps and what later stages read of their provenance."""
        return result_hash(
            self._maps(scan.scan),
            sidecar_facts(self._provenance_path(scan.scan), ["contrast_agreement"]),
            extra=self.context.stitched_result(scan),
        )

    def prepare(self, entry: RawScan) -> _Scan:
        """Read the contrasts and bring them onto the networks' grids; not where they are cropped first."""
        scan = entry.scan
        return _Scan(scan, [] if self._rough else self._targets(scan, None))

    def process(self, scan: _Scan) -> _Scan:
        """Run the networks."""
        started = time.perf_counter()
        if self._rough is not None:
            scan = self._cropped(scan, self._rough)
        several = len(self.context.model.input_contrasts) > 1
        inferred = [self._predictor.infer(target.prepared, each=several) for target in scan.targets]
        on_device = self._predictor.device.type != "cpu"
        # the images are not needed any more: only so many of them may be in memory as are ahead of the device
        targets = [
            replace(target, prepared=[[images[0].without_image()] for images in target.prepared])
            for target in scan.targets
        ]
        seconds = time.perf_counter() - started if on_device else 0.0
        return replace(scan, targets=targets, inferred=inferred, gpu_seconds=seconds)

    def _cropped(self, scan: _Scan, rough: RoughModel) -> _Scan:
        """Find the part of the scan to segment; there is nothing to segment where the rough model finds nothing."""
        image = self._stitched(scan.scan, rough.contrast)
        box = rough.box(image)
        targets = self._targets(scan.scan, box) if box else []
        return replace(scan, targets=targets, box=box, shape=image.data.shape, affine=image.affine)

    def finish(self, scan: _Scan) -> StageResult:
        """Bring the labels back onto the stitched grid and write them."""
        model = self.context.model
        for target, inferred in zip(scan.targets, scan.inferred, strict=True):
            labels = self._predictor.restore(target.prepared, inferred)
            labels = to_image_grid(labels, model, target.image_affine, target.shape, target.affine)
            if scan.box is None:
                write_nifti(target.path, labels, target.affine)
            else:
                write_nifti(target.path, pasted(labels, scan.box, scan.shape), scan.affine)
        if not scan.targets:
            for path in self._maps(scan.scan):
                write_nifti(path, np.zeros(scan.shape, np.min_scalar_type(max(model.labels))), scan.affine)
        images = {
            target.path.name: self._predictor.image_provenance(inferred)
            for target, inferred in zip(scan.targets, scan.inferred, strict=True)
        }
        agreement = self._contrast_agreement(scan)
        content = {**self._predictor.provenance(), "images": images, "contrast_agreement": agreement}
        if self._rough is not None:
            box = [[part.start, part.stop] for part in scan.box] if scan.box else None
            content["crop"] = {**self._rough.provenance(), "box": box}
        write_json(self._provenance_path(scan.scan), content)
        return StageResult(gpu_seconds=scan.gpu_seconds)

    def _contrast_agreement(self, scan: _Scan) -> dict[str, float | None]:
        """Mean Dice of each structure between what each contrast gives by itself.

        It is the same whatever strategy merges the contrasts afterwards: that of the labels on the networks' grids, on
        the voxels of the images.
        """
        maps = [
            labels
            for target, inferred in zip(scan.targets, scan.inferred, strict=True)
            for labels in self._predictor.labels_of_each(target.prepared, inferred)
        ]
        structures = self.context.model.structures
        dice = pairwise_dice(maps, structures.values())
        return {name: dice[label] for name, label in structures.items()}

    def _targets(self, scan: ScanId, box: Box | None) -> list[_Target]:
        return [self._target(scan, path, contrasts, box) for path, contrasts in self._maps(scan).items()]

    def _target(self, scan: ScanId, path: Path, contrasts: Sequence[Contrast], box: Box | None) -> _Target:
        model, results = self.context.model, self.context.results
        wanted = model.channels or contrasts
        if model.is_resampled_before:
            paths = [results.resampled(self.context.shard, scan, model.name, contrast) for contrast in wanted]
            images, image = [read_nifti(path) for path in paths], self._stitched(scan, wanted[0])
        else:
            originals = [self._stitched(scan, contrast) for contrast in wanted]
            originals = [cut(original, box) for original in originals] if box else originals
            images, image = [to_model_grid(original, model) for original in originals], originals[0]
        data = [each.data for each in images]
        prepared = self._predictor.prepare([np.stack(data)] if model.channels else data, images[0].spacing_mm)
        return _Target(path, prepared, images[0].affine, image.data.shape, image.affine)

    def _stitched(self, scan: ScanId, contrast: Contrast) -> NiftiImage:
        return read_nifti(self.context.results.stitched(scan, contrast))
