"""Stitch stage: raw stations in, stitched images and their sidecar out. A CT is one image, turned upright."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from dixonflow.execution.result_hash import result_hash, sidecar_facts
from dixonflow.execution.stage_work import StageResult
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import READER_VERSION, read_stations
from dixonflow.stages.bids_fields import OWN_SPACE, raw_uris
from dixonflow.stages.context import ContextWork, StageContext, contexts, stage_work
from dixonflow.stitch.files import write_stitched
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch, upright_ct
from dixonflow.system.atomic import write_json
from dixonflow.system.versions import versions
from dixonflow.vocabulary import Contrast, ScanSequence, Stage, Status

_PAIR_FACTS = (
    *("upper", "lower", "planes", "signal_voxels", "intensity_ratio", "relative_difference", "correlation"),
    "water_fat_agreement",
)
"""What counts of the comparison of two stations when it is asked whether a scan is stitched as before."""

_DESCRIPTION = "The stations of a scan as one image on one grid"


class StitchWork(ContextWork):
    """The stitched contrasts of a scan, and their sidecar."""

    stage = Stage.STITCH
    reads_raw_data = True

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self._options = StitchOptions(**context.config.stitch.model_dump())

    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """The stitched contrasts and the sidecar."""
        return [*self._paths(scan).values(), self._sidecar(scan)]

    def process(self, scan: RawScan) -> StageResult:
        """Read the stations, stitch them and write."""
        stations = read_stations(scan)
        if scan.sequence is ScanSequence.CT:
            (image,) = stations
            stitched = upright_ct(image)
        else:
            stitched = stitch(stations, self._options, scan.sequence)
        # written last: while it is there, it describes the images that lie with it
        self._sidecar(scan).unlink(missing_ok=True)
        write_stitched(
            stitched, {contrast: self.context.results.stitched(scan.scan, contrast) for contrast in stitched.images}
        )
        content = {
            **stitched.report.as_dict(),
            "Description": _DESCRIPTION,
            "Sources": raw_uris(scan, self.context.config.cohort.sources),
            "SpatialReference": OWN_SPACE,
            "SkullStripped": False,  # BIDS asks for it of any derived image whose suffix it knows
            "content_key": self.key(scan),
            "source": {"layout": scan.layout.value, "name": scan.path.name, "raw_key": scan.raw_key},
            "parameters": self.context.config.stitch.model_dump(mode="json"),
            "versions": versions(),
        }
        write_json(self._sidecar(scan), content)
        return StageResult()

    def result(self, scan: RawScan) -> str:
        """Hash over the stitched contrasts and what later stages read of the sidecar."""
        facts = sidecar_facts(self._sidecar(scan), ["stations", "pairs", "intensity_scale"])
        # what later versions write of pairs would make results of earlier ones look different
        facts["pairs"] = [{name: pair[name] for name in _PAIR_FACTS if name in pair} for pair in facts["pairs"]]
        return result_hash(self._paths(scan).values(), facts)

    def raw_stamp(self, scan: RawScan, status: Status) -> str:
        """State of the raw files, and for what was refused the reader and the settings that refused it.

        A reader that knows better, or other settings, may accept it.
        """
        settings = f"{self._options.check_contrasts} {self._options.repair_swaps}"
        refused_by = f" {READER_VERSION} {settings}" if status is not Status.OK else ""
        return f"{scan.state}{refused_by}"

    def superseded(self, scan: RawScan) -> bool:
        """Where images are not kept: whether the scan is measured for all models, and all that is kept is there."""
        if self.context.config.keep.stitched:
            return False
        return all(work.is_done(scan) for work in self._later) and self._sidecar(scan).exists()

    @cached_property
    def _later(self) -> list[ContextWork]:
        here = self.context
        each_model = contexts(Stage.MEASURE, here.config, here.models, here.results, here.shard)
        return [stage_work(stage, each) for each in each_model for stage in (Stage.POSTPROCESS, Stage.MEASURE)]

    def _paths(self, scan: RawScan) -> dict[Contrast, Path]:
        """The images that every scan of its sequence has, and further ones that are there."""
        paths = {contrast: self.context.results.stitched(scan.scan, contrast) for contrast in scan.sequence.images}
        wanted = scan.sequence.contrasts
        return {contrast: path for contrast, path in paths.items() if contrast in wanted or path.exists()}

    def _sidecar(self, scan: RawScan) -> Path:
        return self.context.results.stitched_sidecar(scan.scan)
