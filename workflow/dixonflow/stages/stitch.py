"""Stitch stage: raw stations in, four stitched contrasts and their sidecar out."""

from dixonflow.atomic import write_json
from dixonflow.cohort.reader import read_stations
from dixonflow.cohort.shards import ShardScan
from dixonflow.provenance import versions
from dixonflow.stages import StageContext
from dixonflow.stitch import StitchOptions, stitch, write_stitched
from dixonflow.vocabulary import Contrast, Stage
from dixonflow.work import Done, StageWork


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    results = context.results
    options = StitchOptions(**context.config.stitch.model_dump())

    def process(scan: ShardScan) -> Done:
        stitched = stitch(read_stations(scan), options)
        write_stitched(stitched, {contrast: results.stitched(scan.scan, contrast) for contrast in Contrast})
        sidecar = {
            **stitched.report.as_dict(),
            "content_key": context.key(Stage.STITCH, scan),
            "source": {"layout": scan.layout.value, "name": scan.path.name, "raw_key": scan.raw_key},
            "parameters": context.config.stitch.model_dump(mode="json"),
            "versions": versions(),
        }
        write_json(results.stitched_sidecar(scan.scan), sidecar)
        return Done()

    return StageWork(
        stage=Stage.STITCH,
        key=lambda scan: context.key(Stage.STITCH, scan),
        process=process,
        outputs=lambda scan: [
            *(results.stitched(scan.scan, contrast) for contrast in Contrast),
            results.stitched_sidecar(scan.scan),
        ],
    )
