"""Postprocess stage: the final label map and its sidecar in place, temporary images away."""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dixonflow.execution.result_hash import MORE_FACTS, result_hash, sidecar_facts
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.models.comparison import merge_strategy_of
from dixonflow.postprocess.label_map import postprocess
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stages.bids_fields import label_map_fields
from dixonflow.stages.context import ContextWork, sidecar_content
from dixonflow.system.atomic import write_json
from dixonflow.system.versions import versions
from dixonflow.vocabulary import Stage


class PostprocessWork(ContextWork):
    """The final label map of a scan, and its sidecar."""

    stage = Stage.POSTPROCESS

    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """Label map and sidecar."""
        return [self._labels(scan), self._sidecar(scan)]

    def process(self, scan: RawScan) -> StageResult:
        """Clean the merged label map, write it, and remove what it was made from."""
        key = self.key(scan)
        temporary = self.context.results.temporary(self.context.shard, scan.scan, self.context.model.name)
        if not self.is_written(scan):  # what the label map was made from may be gone already
            self._write_label_map(scan, key)
        if not self.context.config.keep.temporary and temporary.exists():
            shutil.rmtree(temporary)
            with suppress(OSError):  # another model's images are still there
                temporary.parent.rmdir()
        return StageResult()

    def is_written(self, scan: RawScan) -> bool:
        """Whether label map and sidecar are of the key in force.

        The sidecar is written last, and removed before the label map is replaced.
        """
        return self._labels(scan).exists() and _key_of(self._sidecar(scan)) == self.key(scan)

    def result(self, scan: RawScan) -> str:
        """Hash over the label map, and over what the next stage reads of its sidecar."""
        facts = sidecar_facts(self._sidecar(scan), ["segment", "sides", "removed_components"])
        read_later = {
            "contrast_agreement": facts["segment"].get("contrast_agreement"),
            "wrong_side_ml": facts["sides"]["wrong_side_ml"],
            "removed_components": [[each["structure"], each["components"]] for each in facts["removed_components"]],
        }
        read_later |= {name: facts["segment"][name] for name in MORE_FACTS if name in facts["segment"]}
        return result_hash([self._labels(scan)], read_later, extra=self.context.stitched_result(scan))

    def _labels(self, scan: RawScan) -> Path:
        return self.context.results.labels(scan.scan, self.context.model.name)

    def _sidecar(self, scan: RawScan) -> Path:
        return self.context.results.labels_sidecar(scan.scan, self.context.model.name)

    def _write_label_map(self, scan: RawScan, key: str) -> None:
        results, model, config = self.context.results, self.context.model, self.context.config
        provenance = results.segment_provenance(self.context.shard, scan.scan, model.name)
        merged, affine = read_labels(results.merged(self.context.shard, scan.scan, model.name))
        spacing_mm = np.diag(affine)[:3].tolist()
        final = postprocess(merged, model, spacing_mm, repair_sides=config.postprocess.repair_sides)
        content = {
            "content_key": key,
            **label_map_fields(
                results, scan, model, [results.stitched(scan.scan, each) for each in model.contrasts_read]
            ),
            "model": {"name": model.name, "title": model.title, "sha256": model.weights_hash},
            "segment": sidecar_content(provenance),
            "merge": {"strategy": merge_strategy_of(model, config.merge).value},
            "sides": asdict(final.sides)
            | {"wrong_side_ml": final.sides.wrong_side_ml, "repaired": config.postprocess.repair_sides},
            "removed_components": [asdict(removal) for removal in final.removed],
            "versions": versions(),
        }
        self._sidecar(scan).unlink(missing_ok=True)
        write_labels(self._labels(scan), final.labels, affine)
        write_json(self._sidecar(scan), content)


def _key_of(sidecar: Path) -> str | None:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content.get("content_key") if isinstance(content, dict) else None
