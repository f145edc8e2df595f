"""Measure stage: rows of measurements and quality, and the overview picture of each scan."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.execution.records import Record
from dixonflow.execution.stage_work import StageResult
from dixonflow.imaging.contrast_sums import check_contrasts, check_different
from dixonflow.imaging.nifti import read_labels
from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.agreement import agreement_of_models
from dixonflow.labelmap.swap_witness import SwappedPatches
from dixonflow.measure.checks.stitch_findings import stitch_findings, unrepaired_swaps
from dixonflow.measure.compartments.compartment import consulted_models
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import measure
from dixonflow.models.comparison import compared_models
from dixonflow.models.model import Model
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.report.contact_sheet import contact_sheet, sheet_name
from dixonflow.stages.context import ContextWork, sidecar_content
from dixonflow.stitch.files import read_stitched
from dixonflow.stitch.values import check_negative
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_MEASUREMENTS, SHARD_PROFILES
from dixonflow.tables.parquet import write_table
from dixonflow.tables.schema import check_rows, to_arrow
from dixonflow.vocabulary import Contrast, Reason, ScanId, ScanSequence, Stage


class MeasureWork(ContextWork):
    """Volumes, fat and quality of a scan."""

    stage = Stage.MEASURE

    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """The overview picture, which is made with the first model."""
        pictured = self.context.config.keep.contact_sheets and self.context.is_first
        return [self.context.results.contact_sheets / sheet_name(scan.scan, scan.raw_key)] if pictured else []

    def process(self, scan: RawScan) -> StageResult:
        """Measure one scan and draw its picture."""
        results, model = self.context.results, self.context.model
        labels, _ = read_labels(results.labels(scan.scan, model.name))
        paths = {contrast: results.stitched(scan.scan, contrast) for contrast in scan.sequence.images}
        wanted = scan.sequence.contrasts
        images, affine = read_stitched({each: path for each, path in paths.items() if each in wanted or path.exists()})
        if next(iter(images.values())).shape != labels.shape:
            raise ScanExcluded(Reason.SPACING_MISMATCH, "the label map and the stitched images are not on one grid")
        sidecar = sidecar_content(results.stitched_sidecar(scan.scan))
        if scan.sequence is ScanSequence.DIXON:
            _check_stitched(images, affine, sidecar, contrasts=self.context.config.stitch.check_contrasts)
        boxes = [StationBox.from_record(station) for station in sidecar["stations"]]
        found = stitch_findings(sidecar)
        if scan.sequence is ScanSequence.DIXON and "swap_margin" not in sidecar:
            found |= unrepaired_swaps(images, affine, sidecar)
        of_labels = sidecar_content(results.labels_sidecar(scan.scan, model.name))
        dixon = of_labels.get("dixon")
        if dixon:  # what the Dixon scan did not see has no label
            boxes = [within for box in boxes if (within := box.within(dixon["low_mm"], dixon["high_mm"]))]
        others = self._others(scan.scan)
        compared = {each.name for each in compared_models(model, self.context.models)}
        measured = measure(
            labels,
            images,
            affine,
            boxes,
            model,
            of_stitching=found,
            wrong_side_ml=of_labels["sides"]["wrong_side_ml"],
            contrast_agreement=of_labels["segment"]["contrast_agreement"],
            swapped_patches=_swapped_patches(of_labels["segment"]),
            model_agreement=agreement_of_models(labels, model, [each for each in others if each[0].name in compared]),
            others=others,
            removed_components={each["structure"]: each["components"] for each in of_labels["removed_components"]},
            vessel_pieces=of_labels["segment"].get("vessel_pieces"),
            intensity_scale=sidecar["intensity_scale"],
            with_profiles=self.context.config.measure.profiles,
            graded_if_incomplete=self.context.config.measure.incomplete_composites == "graded",
            found_elsewhere=dixon["labels"] if dixon else (),
        )
        # Checked scan by scan: rows that break their table are this scan's failure, not that of its shard.
        for rows, table in (
            (measured.measurements, SHARD_MEASUREMENTS),
            (measured.quality, SHARD_QUALITY),
            (measured.profiles, SHARD_PROFILES),
        ):
            check_rows(to_arrow(rows.assign(**_ids(scan.scan)), table), table)
        for picture in self.outputs(scan):
            write_bytes(picture, contact_sheet(images, labels, affine))
        payload = {"measurements": _rows(measured.measurements), "quality": _rows(measured.quality)}
        if self.context.config.measure.profiles:
            payload["profiles"] = _rows(measured.profiles)
        return StageResult(payload)

    def write_rows(self, records: Sequence[Record]) -> None:
        """Write the rows of the shard; then the stitched images may go, where they are not kept."""
        results, shard = self.context.results, self.context.shard
        write_table(
            results.measurements(shard), SHARD_MEASUREMENTS, _table(records, "measurements", SHARD_MEASUREMENTS.names)
        )
        write_table(results.quality(shard), SHARD_QUALITY, _table(records, "quality", SHARD_QUALITY.names))
        if self.context.config.measure.profiles:
            write_table(results.profiles(shard), SHARD_PROFILES, _table(records, "profiles", SHARD_PROFILES.names))
        else:
            results.profiles(shard).unlink(missing_ok=True)
        if not self.context.config.keep.stitched:  # only now: the records that say so are on disk
            for scan in {record.outcome.scan for record in records}:
                for contrast in scan.sequence.images:
                    results.stitched(scan, contrast).unlink(missing_ok=True)

    def _others(self, scan: ScanId) -> list[tuple[Model, Labels]]:
        consulted = consulted_models(self.context.model, self.context.models)
        return [(other, read_labels(self.context.results.labels(scan, other.name))[0]) for other in consulted]


def _swapped_patches(segment: Mapping[str, Any]) -> SwappedPatches | None:
    """What the segment stage found; None where it did not look."""
    found = segment.get("swapped_patches")
    return SwappedPatches(found["ml"], found["touching"]) if found else None


def _check_stitched(
    images: Mapping[Contrast, NDArray[Any]], affine: Affine, sidecar: Mapping[str, Any], *, contrasts: bool
) -> None:
    """Check what was stitched by a version, or under settings, that did not check it. Raises ScanExcluded."""
    if "outlier_voxels" not in sidecar:
        for contrast, image in images.items():
            check_negative(image, f"the stitched {contrast} image")
    if contrasts and all(ratio is None for ratio in sidecar.get("in_phase_ratios", [])):
        for number, record in enumerate(sidecar["stations"], 1):
            place = StationBox.from_record(record).slices(images[Contrast.WATER].shape, affine)
            part = {contrast: image[place] for contrast, image in images.items()}
            check_different(part, f"station {number}")
            in_phase, water, fat = (part[each] for each in (Contrast.IN_PHASE, Contrast.WATER, Contrast.FAT))
            check_contrasts(in_phase, water, fat, f"station {number}")


def _ids(scan: ScanId) -> dict[str, str]:
    return {"participant_id": scan.participant, "session_id": scan.session}


def _rows(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): column.astype(object).where(column.notna(), None).tolist() for name, column in table.items()}


def _table(records: Sequence[Record], name: str, columns: Sequence[str]) -> pd.DataFrame:
    parts = [pd.DataFrame({column: [] for column in columns})]
    for record in records:
        parts.append(pd.DataFrame(record.payload[name]).assign(**_ids(record.outcome.scan)))
    return pd.concat(parts[1:] or parts, ignore_index=True)[list(columns)]
