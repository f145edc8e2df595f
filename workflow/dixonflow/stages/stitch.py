"""Stitch stage: raw stations in, four stitched contrasts and their sidecar out. A CT is one image, turned upright."""

from collections.abc import Callable
from pathlib import Path

from dixonflow.execution.result_hash import result_hash, sidecar_facts
from dixonflow.execution.stage_work import Done, StageWork
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import READER_VERSION, read_stations
from dixonflow.stages.context import StageContext, Superseded, contexts
from dixonflow.stitch.files import write_stitched
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch, upright_ct
from dixonflow.system.atomic import write_json
from dixonflow.system.versions import versions
from dixonflow.vocabulary import Contrast, Layout, Stage, Status, contrasts_of


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    results = context.results
    options = StitchOptions(**context.config.stitch.model_dump())

    def paths(scan: RawScan) -> dict[Contrast, Path]:
        return {contrast: results.stitched(scan.scan, contrast) for contrast in contrasts_of(scan.layout.modality)}

    def sidecar_of(scan: RawScan) -> Path:
        return results.stitched_sidecar(scan.scan, scan.layout.modality)

    def process(scan: RawScan) -> Done:
        stations = read_stations(scan)
        stitched = upright_ct(stations[0]) if scan.layout is Layout.CT else stitch(stations, options)
        # written last: while it is there, the images beside it are those that it tells of
        sidecar_of(scan).unlink(missing_ok=True)
        write_stitched(stitched, paths(scan))
        content = {
            **stitched.report.as_dict(),
            "content_key": context.key(Stage.STITCH, scan),
            "source": {"layout": scan.layout.value, "name": scan.path.name, "raw_key": scan.raw_key},
            "parameters": context.config.stitch.model_dump(mode="json"),
            "versions": versions(),
        }
        write_json(sidecar_of(scan), content)
        return Done()

    def raw_stamp(scan: RawScan, status: Status) -> str:
        # what was refused is read again by a reader that may know better, or under settings that may allow it
        refused_by = f" {READER_VERSION} {options.check_contrasts}" if status is not Status.OK else ""
        return f"{scan.state}{refused_by}"

    def outputs(scan: RawScan) -> list[Path]:
        return [*paths(scan).values(), sidecar_of(scan)]

    return StageWork(
        stage=Stage.STITCH,
        key=lambda scan: context.key(Stage.STITCH, scan),
        process=process,
        outputs=outputs,
        raw_stamp=raw_stamp,
        result=lambda scan: result_hash(
            paths(scan).values(), sidecar_facts(sidecar_of(scan), ["stations", "pairs", "intensity_scale"])
        ),
        superseded=(lambda scan: False) if context.config.keep.stitched else _measured(context),
    )


def _measured(context: StageContext) -> Callable[[RawScan], bool]:
    """Where images are not kept: whether the scan is measured for all models, and all that is kept of it is there."""
    each_model = contexts(Stage.MEASURE, context.config, context.models, context.results, context.shard)
    done = [Superseded(each, stage) for each in each_model for stage in (Stage.POSTPROCESS, Stage.MEASURE)]
    sidecar = context.results.stitched_sidecar
    return lambda scan: all(is_done(scan) for is_done in done) and sidecar(scan.scan, scan.layout.modality).exists()
