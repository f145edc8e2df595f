"""Postprocess stage: the final label map and its sidecar in place, temporary images away."""

import json
import shutil
from dataclasses import asdict

import numpy as np

from dixonflow.atomic import write_json
from dixonflow.cohort.shards import ShardScan
from dixonflow.nifti import read_labels, write_nifti
from dixonflow.postprocess import postprocess
from dixonflow.provenance import versions
from dixonflow.stages import StageContext
from dixonflow.vocabulary import Stage
from dixonflow.work import Done, StageWork


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    results, model = context.results, context.model

    def process(scan: ShardScan) -> Done:
        merged, affine = read_labels(results.merged(context.shard, scan.scan))
        spacing_mm = np.diag(affine)[:3].tolist()
        final = postprocess(merged, model, spacing_mm, repair_sides=context.config.postprocess.repair_sides)
        sidecar = {
            "content_key": context.key(Stage.POSTPROCESS, scan),
            "inputs": [results.stitched(scan.scan, contrast).name for contrast in model.input_contrasts],
            "model": {"name": model.name, "title": model.title, "sha256": model.weights_hash},
            "segment": json.loads(results.segment_provenance(context.shard, scan.scan).read_text(encoding="utf-8")),
            "merge": context.config.merge.model_dump(mode="json"),
            "sides": asdict(final.sides)
            | {"wrong_side_ml": final.sides.wrong_side_ml, "repaired": context.config.postprocess.repair_sides},
            "removed_components": [asdict(removal) for removal in final.removed],
            "versions": versions(),
        }
        write_nifti(results.labels(scan.scan, model.name), final.labels, affine)
        write_json(results.labels_sidecar(scan.scan, model.name), sidecar)
        if not context.config.keep.temporary:
            shutil.rmtree(results.temporary(context.shard, scan.scan))
        return Done()

    return StageWork(
        stage=Stage.POSTPROCESS,
        key=lambda scan: context.key(Stage.POSTPROCESS, scan),
        process=process,
        outputs=lambda scan: [results.labels(scan.scan, model.name), results.labels_sidecar(scan.scan, model.name)],
    )
