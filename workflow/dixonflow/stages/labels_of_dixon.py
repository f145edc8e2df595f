"""Scans that take the label map of the Dixon scan of their session: nothing is segmented."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.nifti import read_header, read_labels, write_labels
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import scan_rotation
from dixonflow.resample.label_maps import labels_by_headers
from dixonflow.stages.bids_fields import label_map_fields
from dixonflow.stages.context import ContextWork, StageContext, sidecar_content
from dixonflow.stages.postprocess import PostprocessWork
from dixonflow.system.atomic import write_json
from dixonflow.system.versions import versions
from dixonflow.vocabulary import Reason, Stage


class NoWork(ContextWork):
    """A stage that has nothing to do for such scans."""

    def __init__(self, stage: Stage, context: StageContext) -> None:
        super().__init__(context)
        self.stage = stage  # type: ignore[misc]

    def outputs(self, _scan: RawScan) -> Sequence[Path]:
        """None."""
        return []

    def process(self, _scan: RawScan) -> StageResult:
        """Pass the scan on."""
        return StageResult()


class LabelsOfDixonWork(PostprocessWork):
    """The final label map: that of the Dixon scan, on the grid of the scan's own images."""

    def _write_label_map(self, scan: RawScan, key: str) -> None:
        results, model = self.context.results, self.context.model
        dixon = self.context.dixon.labelled(scan.scan, model.name)
        if dixon is None:
            raise ScanExcluded(Reason.NO_LABEL_MAP, "the Dixon scan of the session has no label map")
        labels, affine = read_labels(results.labels(dixon.entry.scan, model.name))
        shape, own_affine = read_header(results.stitched(scan.scan, scan.sequence.contrasts[0]))
        turn = np.eye(4)
        turn[:3, :3] = scan_rotation(dixon.entry) @ scan_rotation(scan).T
        found = labels_by_headers(labels, np.linalg.inv(affine) @ turn @ own_affine, shape)
        if not found.any():
            raise ScanExcluded(Reason.NO_LABEL_MAP, "the Dixon scan of the session shows another part of the body")
        of_dixon = sidecar_content(results.labels_sidecar(dixon.entry.scan, model.name))
        stations = sidecar_content(results.stitched_sidecar(dixon.entry.scan))["stations"]
        content = {
            "content_key": key,
            **label_map_fields(results, scan, model, [results.labels(dixon.entry.scan, model.name)]),
            "model": of_dixon["model"],
            "segment": {"contrast_agreement": {}},
            "sides": of_dixon["sides"],
            "removed_components": of_dixon["removed_components"],
            "dixon": {
                "content_key": dixon.content_key,
                "labels": [label for label in np.unique(labels).tolist() if label],
                "low_mm": np.min([station["low_mm"] for station in stations], axis=0).tolist(),
                "high_mm": np.max([station["high_mm"] for station in stations], axis=0).tolist(),
            },
            "versions": versions(),
        }
        self._sidecar(scan).unlink(missing_ok=True)
        write_labels(self._labels(scan), found, own_affine)
        write_json(self._sidecar(scan), content)
