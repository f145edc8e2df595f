"""Segment stage: one label map per contrast, or one of their mean scores, on the stitched grid.

Networks see the stitched images, or each station by itself.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dixonflow.config import SegmentConfig
from dixonflow.execution.result_hash import MORE_FACTS, result_hash, sidecar_facts
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.nifti import NiftiImage, read_header, read_nifti, write_labels
from dixonflow.imaging.types import Box, Labels
from dixonflow.labelmap.agreement import agreement_of_contrasts
from dixonflow.labelmap.swap_witness import UNSWAPPED, SwappedPatches, swapped_patches
from dixonflow.measure.structures import vessels_of
from dixonflow.measure.vessels.vessel_values import pieces_of_contrasts
from dixonflow.models.comparison import merge_strategy_of
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import read_stations
from dixonflow.resample.label_maps import StationLabels, join_stations
from dixonflow.resample.model_grid import to_image_grid, to_model_grid
from dixonflow.segment import PartsPredictor
from dixonflow.segment.backends.choice import backend_of
from dixonflow.segment.backends.device import choose_device
from dixonflow.segment.networks import load_networks, segment_options
from dixonflow.segment.rough import RoughModel, cut
from dixonflow.segment.swap_network import SwapNetwork
from dixonflow.stages.context import TemporaryWork, sidecar_content
from dixonflow.stages.segment_targets import ScanInWork, Target
from dixonflow.stitch.swaps import Swap, swapped_back
from dixonflow.stitch.values import without_outliers
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import DIXON, Contrast, MergeStrategy, ScanId, ScanSequence, Stage


class SegmentWork(TemporaryWork):
    """The label maps of a scan's contrasts, by the networks of the model."""

    stage = Stage.SEGMENT
    overlaps = True
    _why_again = ""

    @property
    def _settings(self) -> SegmentConfig:
        """How networks are run: as the configuration says, or what a worker died of again by torch on the CPU."""
        segment = self.context.config.segment
        return segment.model_copy(update={"device": "cpu", "backend": "torch"}) if self._why_again else segment

    @cached_property
    def _predictor(self) -> PartsPredictor:
        """The networks, loaded once."""
        return load_networks(self.context.model, segment_options(self.context.model, self._settings))

    @cached_property
    def _rough(self) -> RoughModel | None:
        """The rough model whose structures images are cropped to, for a model that wants that."""
        model = self.context.model
        if model.crop is None or model.rough is None:
            return None
        return RoughModel(model.crop, model.rough, self._settings)

    @cached_property
    def _swap_network(self) -> SwapNetwork | None:
        """The network that looks for swapped water and fat, where the configuration names one."""
        witness = self.context.model.swaps
        return None if witness is None else SwapNetwork(witness, self._settings)

    def start(self) -> None:
        """Load the networks; torch's number of threads holds for the thread that does it."""
        _ = self._predictor, self._rough, self._swap_network

    def usable(self) -> bool:
        """Whether another scan can be processed here."""
        return self._predictor.usable()

    def has_safer_way(self, *, at_start: bool) -> bool:
        """Torch on the CPU, where that is not what died; of loading networks only another backend dies."""
        model = self.context.model
        networks = [each for each in (model, model.rough, model.swaps) if each]
        if any(backend_of(each, self._settings) != "torch" for each in networks):
            return True
        return not at_start and choose_device(self._settings.device).type != "cpu"

    def in_safer_way(self, why: str) -> "SegmentWork":
        """By torch on the CPU."""
        work = SegmentWork(self.context)
        work._why_again = why
        return work

    def _maps(self, scan: ScanId) -> dict[Path, Sequence[Contrast]]:
        """Each label map to write, with the contrasts that go into it."""
        results, shard, model = self.context.results, self.context.shard, self.context.model
        contrasts = model.input_contrasts
        if merge_strategy_of(model, self.context.config.merge) is MergeStrategy.MEAN_SCORES:
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
            sidecar_facts(self._provenance_path(scan.scan), ["contrast_agreement"], MORE_FACTS),
            extra=self.context.stitched_result(scan),
        )

    def prepare(self, entry: RawScan) -> ScanInWork:
        """Read the contrasts and bring them onto the networks' grids; not where they are cropped first."""
        scan = entry.scan
        if self.context.config.segment.unstitched:
            shape, affine = read_header(self.context.results.stitched(scan, self.context.model.contrasts_read[0]))
            return ScanInWork(scan, self._targets_of_stations(entry), shape=shape, affine=affine)
        return ScanInWork(scan, [] if self._rough else self._targets(scan, None))

    def process(self, scan: ScanInWork) -> ScanInWork:
        """Run the networks."""
        started = time.perf_counter()
        helpers = [each.network for each in (self._rough, self._swap_network) if each]
        for helper in helpers:
            helper.fallbacks.clear()
        if self._rough is not None:
            scan = self._cropped(scan, self._rough)
        several = len(self.context.model.input_contrasts) > 1
        inferred = [self._predictor.infer(target.prepared, each=several) for target in scan.targets]
        swapped = None
        if self._swap_network is not None:
            swapped = self._swap_network.swapped({each: self._stitched(scan.scan, each) for each in DIXON})
        on_device = self._predictor.device.type != "cpu"
        # the images are not needed any more: only so many of them may be in memory as are ahead of the device
        targets = [
            replace(target, prepared=[[images[0].without_image()] for images in target.prepared])
            for target in scan.targets
        ]
        seconds = time.perf_counter() - started if on_device else 0.0
        of_helpers = tuple(why for helper in helpers for why in helper.fallbacks)
        return replace(
            scan, targets=targets, inferred=inferred, gpu_seconds=seconds, swapped=swapped, of_helpers=of_helpers
        )

    def _cropped(self, scan: ScanInWork, rough: RoughModel) -> ScanInWork:
        """Find the part of the scan to segment; there is nothing to segment where the rough model finds nothing."""
        image = self._stitched(scan.scan, rough.contrast)
        part = rough.find(image)
        targets = self._targets(scan.scan, part.box) if part else []
        return replace(scan, targets=targets, part=part, shape=image.data.shape, affine=image.affine)

    def finish(self, scan: ScanInWork) -> StageResult:
        """Bring the labels back onto the stitched grid and write them."""
        model = self.context.model
        stations: dict[Path, list[StationLabels]] = {}
        for target, inferred in zip(scan.targets, scan.inferred, strict=True):
            labels = self._predictor.restore(target.prepared, inferred)
            labels = to_image_grid(labels, model, target.image_affine, target.shape, target.affine)
            if target.station is not None:
                stations.setdefault(target.path, []).append(StationLabels(labels, target.affine, target.reached))
            elif scan.part is None:
                write_labels(target.path, labels, target.affine)
            else:
                write_labels(target.path, scan.part.pasted(labels, scan.shape), scan.affine)
        for path, parts in stations.items():
            write_labels(path, join_stations(parts, scan.shape, scan.affine), scan.affine)
        if not scan.targets:
            for path in self._maps(scan.scan):
                write_labels(path, np.zeros(scan.shape, np.min_scalar_type(max(model.labels))), scan.affine)
        images = {
            target.name: self._predictor.image_provenance(inferred)
            for target, inferred in zip(scan.targets, scan.inferred, strict=True)
        }
        maps, several = self._maps_of_contrasts(scan), len(model.input_contrasts) > 1
        content = {
            **self._predictor.provenance(),
            "images": images,
            "contrast_agreement": agreement_of_contrasts(maps, model),
        }
        if len(maps) == 1 and several:
            of_each = dict(zip(model.input_contrasts, maps[0], strict=True))
            content["vessel_pieces"] = pieces_of_contrasts(of_each, vessels_of(model))
        if len(maps) == 1 and (found := self._swapped_patches(scan, labels, maps[0])):
            content["swapped_patches"] = asdict(found)
            if self._swap_network is not None:
                content["swapped_patches"]["network"] = self._swap_network.provenance()
        if self._rough is not None:
            box = [[along.start, along.stop] for along in scan.part.box] if scan.part else None
            content["crop"] = {**self._rough.provenance(), "box": box}
        write_json(self._provenance_path(scan.scan), content)
        return StageResult(gpu_seconds=scan.gpu_seconds, note=self._note(scan))

    def _note(self, scan: ScanInWork) -> str:
        """Why the scan was computed again by torch on the CPU; empty where it was not."""
        own = [each.fallback for inferred in scan.inferred for each in inferred if each.fallback]
        reasons = dict.fromkeys([*scan.of_helpers, *own])
        why = self._why_again or "; ".join(reasons)
        return f"computed by torch on the CPU: {why}" if why else ""

    def _maps_of_contrasts(self, scan: ScanInWork) -> list[list[Labels]]:
        """What each contrast gives by itself, on the grid that the networks take: of the scan, or of each station."""
        of_images: dict[int | None, list[Labels]] = {}
        for target, inferred in zip(scan.targets, scan.inferred, strict=True):
            of_images.setdefault(target.station, []).extend(self._predictor.labels_of_each(target.prepared, inferred))
        return list(of_images.values())

    def _swapped_patches(self, scan: ScanInWork, labels: Labels, maps: Sequence[Labels]) -> SwappedPatches | None:
        """Patches of a stitched Dixon scan in which water and fat are swapped.

        By contrasts that a swap does not alter and by the network that looks for swaps; None where there is neither.

        Parameters
        ----------
        labels
            The label map of the only target, or that of the last contrast.
        maps
            What each contrast gives by itself, on the grid that the networks take; none where there is one.
        """
        model, target = self.context.model, scan.targets[0]
        of_contrasts = dict(zip(model.input_contrasts, maps, strict=False))
        witnesses = [
            to_image_grid(of_contrasts[each], model, target.image_affine, target.shape, target.affine)
            for each in UNSWAPPED
            if each in of_contrasts
        ]
        if model.sequence is not ScanSequence.DIXON or target.station or not (witnesses or self._swap_network):
            return None
        images = [self._stitched(scan.scan, contrast) for contrast in (Contrast.WATER, Contrast.FAT)]
        water, fat = (cut(image, scan.part.box) if scan.part else image for image in images)
        swapped = scan.swapped[scan.part.box] if scan.swapped is not None and scan.part else scan.swapped
        names = witnesses[0] if witnesses else labels
        return swapped_patches(names, witnesses, water.data, fat.data, water.spacing_mm, model, swapped)

    def _targets(self, scan: ScanId, box: Box | None) -> list[Target]:
        return [self._target(scan, path, contrasts, box) for path, contrasts in self._maps(scan).items()]

    def _targets_of_stations(self, entry: RawScan) -> list[Target]:
        """Targets of each station by itself, as it was acquired; the resample stage has not seen them."""
        model = self.context.model
        stitched = sidecar_content(self.context.results.stitched_sidecar(entry.scan))
        swaps = [Swap(**swap) for swap in stitched.get("swaps", [])]
        targets = []
        for station in read_stations(entry):
            known, _ = without_outliers(swapped_back(station, swaps))
            for path, contrasts in self._maps(entry.scan).items():
                wanted = model.channels or contrasts
                originals = [NiftiImage(known.images[contrast], known.affine) for contrast in wanted]
                images = [to_model_grid(original, model) for original in originals]
                target = self._prepared(path, images, originals[0])
                targets.append(replace(target, station=station.index + 1, reached=station.reached))
        return targets

    def _target(self, scan: ScanId, path: Path, contrasts: Sequence[Contrast], box: Box | None) -> Target:
        model, results = self.context.model, self.context.results
        wanted = model.channels or contrasts
        if model.is_resampled_before:
            paths = [results.resampled(self.context.shard, scan, model.name, contrast) for contrast in wanted]
            images, image = [read_nifti(path) for path in paths], self._stitched(scan, wanted[0])
        else:
            originals = [self._stitched(scan, contrast) for contrast in wanted]
            originals = [cut(original, box) for original in originals] if box else originals
            images, image = [to_model_grid(original, model) for original in originals], originals[0]
        return self._prepared(path, images, image)

    def _prepared(self, path: Path, images: Sequence[NiftiImage], image: NiftiImage) -> Target:
        """Target of images on the grid that the model takes; `image` is one of them as it was."""
        data = [each.data for each in images]
        several = [np.stack(data)] if self.context.model.channels else data
        prepared = self._predictor.prepare(several, images[0].spacing_mm)
        return Target(path, prepared, images[0].affine, image.data.shape, image.affine)

    def _stitched(self, scan: ScanId, contrast: Contrast) -> NiftiImage:
        return read_nifti(self.context.results.stitched(scan, contrast))
