"""What the quality checks cost on one scan of full size, without stitching and counting. Nobody to compare with."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.arrays import Arrays, Verdict, read_arrays
from benchmarks.phantom_scan import phantom_scan, stitched_contrasts
from benchmarks.stitching import prepare_ukb


def prepare(inputs: Path, small: bool) -> Path:
    """Make the stations and the stitched scan of UK Biobank."""
    phantom_scan(inputs, "ukb", small)
    return prepare_ukb(inputs, small)


def ours(prepared: Path) -> Callable[[], Arrays]:
    """All checks of the stations and of the labels; stitching and counting are not part of it."""
    from dixonflow.imaging.station import Station
    from dixonflow.labelmap.swap_witness import swapped_patches
    from dixonflow.measure.checks.checked_scan import CheckedScan
    from dixonflow.measure.checks.scan_checks import quality_rows
    from dixonflow.measure.checks.stitch_findings import stitch_findings
    from dixonflow.measure.field_of_view import StationBox
    from dixonflow.measure.levels import find_levels
    from dixonflow.measure.tally import tally
    from dixonflow.models.load import MODELS, load_model
    from dixonflow.stitch.station_checks import check_slices, station_statistics
    from dixonflow.stitch.swap_evidence import swap_evidence
    from dixonflow.vocabulary import DIXON, Contrast

    arrays = read_arrays(prepared)
    stations = [
        Station(index, {each: arrays[f"{index}_{each}"] for each in DIXON}, arrays[f"{index}_affine"].astype(float))
        for index in range(sum(name.endswith("_affine") for name in arrays))
    ]
    scan = prepared.with_name(prepared.name.removesuffix("-stations"))
    model = load_model(MODELS / "demo.yaml")
    stitched, affine = stitched_contrasts(scan)
    images = {Contrast(name): image for name, image in stitched.items()}
    labels = np.load(scan / "labels.npy")
    labels[~np.isin(labels, list(model.labels))] = 0
    sidecar = json.loads((scan / "stitched.json").read_text(encoding="utf-8"))
    spacing = np.diag(affine)[:3].tolist()
    boxes = [StationBox.from_record(station) for station in sidecar["stations"]]
    counts = tally(labels, images, affine, boxes, sorted(model.labels))
    levels = find_levels(labels, affine, boxes, model)

    def call() -> Arrays:
        for station in stations:
            check_slices(station)
            station_statistics(station)
            swap_evidence(station.images, station)
        # the segment stage has the labels of in phase and of opposed phase; two that agree cost the same
        swapped = swapped_patches(
            labels, [labels, labels], images[Contrast.WATER], images[Contrast.FAT], spacing, model
        )
        checked = CheckedScan(
            tally=counts,
            labels=labels,
            images=images,
            affine=affine,
            boxes=boxes,
            model=model,
            of_stitching=stitch_findings(sidecar),
            wrong_side_ml=0.0,
            contrast_agreement={},
            model_agreement={},
            swapped_patches=swapped,
            levels=levels,
        )
        rows = quality_rows(checked)
        return {"values": np.array([np.nan if row.value is None else row.value for row in rows])}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Check that there is a result."""
    values = int(np.isfinite(ours["values"]).sum())
    return Verdict(values > 200, f"seconds of the processor; {values} values; no peer")
