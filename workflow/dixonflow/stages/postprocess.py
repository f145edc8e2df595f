"""Postprocess stage: the final label map and its sidecar in place, temporary images away."""

import json
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dixonflow.execution.result_hash import result_hash, sidecar_facts
from dixonflow.execution.stage_work import Done, StageWork
from dixonflow.imaging.nifti import read_labels, write_nifti
from dixonflow.postprocess.label_map import postprocess
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stages.context import StageContext
from dixonflow.system.atomic import write_json
from dixonflow.system.versions import versions
from dixonflow.vocabulary import Stage


def work(context: StageContext) -> StageWork:
    """Prepare the stage for one shard."""
    results, model = context.results, context.model

    def process(scan: RawScan) -> Done:
        key = context.key(Stage.POSTPROCESS, scan)
        sidecar = results.labels_sidecar(scan.scan, model.name)
        temporary = results.temporary(context.shard, scan.scan, model.name)
        # The sidecar is written last, and taken away before the label map is replaced. Where it is of this key, a job
        # was killed between here and its record, and what the label map was made from may be gone already.
        if not (_key_of(sidecar) == key and results.labels(scan.scan, model.name).exists()):
            write_label_map(scan, key, sidecar)
        if not context.config.keep.temporary and temporary.exists():
            shutil.rmtree(temporary)
            with suppress(OSError):  # another model's images are still there
                temporary.parent.rmdir()
        return Done()

    def write_label_map(scan: RawScan, key: str, sidecar: Path) -> None:
        provenance = results.segment_provenance(context.shard, scan.scan, model.name)
        merged, affine = read_labels(results.merged(context.shard, scan.scan, model.name))
        spacing_mm = np.diag(affine)[:3].tolist()
        final = postprocess(merged, model, spacing_mm, repair_sides=context.config.postprocess.repair_sides)
        content = {
            "content_key": key,
            "inputs": [results.stitched(scan.scan, contrast).name for contrast in model.contrasts_read],
            "model": {"name": model.name, "title": model.title, "sha256": model.weights_hash},
            "segment": json.loads(provenance.read_text(encoding="utf-8")),
            "merge": context.config.merge.model_dump(mode="json"),
            "sides": asdict(final.sides)
            | {"wrong_side_ml": final.sides.wrong_side_ml, "repaired": context.config.postprocess.repair_sides},
            "removed_components": [asdict(removal) for removal in final.removed],
            "versions": versions(),
        }
        sidecar.unlink(missing_ok=True)
        write_nifti(results.labels(scan.scan, model.name), final.labels, affine)
        write_json(sidecar, content)

    def result(scan: RawScan) -> str:
        facts = sidecar_facts(results.labels_sidecar(scan.scan, model.name), ["segment", "sides"])
        read_later = {
            "contrast_agreement": facts["segment"].get("contrast_agreement"),
            "wrong_side_ml": facts["sides"]["wrong_side_ml"],
        }
        stitched = context.stitched_result(scan)
        return result_hash([results.labels(scan.scan, model.name)], read_later, beside=stitched)

    return StageWork(
        stage=Stage.POSTPROCESS,
        key=lambda scan: context.key(Stage.POSTPROCESS, scan),
        equal_keys=lambda scan: context.equal_keys(Stage.POSTPROCESS, scan),
        result=result,
        process=process,
        outputs=lambda scan: [results.labels(scan.scan, model.name), results.labels_sidecar(scan.scan, model.name)],
    )


def _key_of(sidecar: Path) -> str | None:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content.get("content_key") if isinstance(content, dict) else None
