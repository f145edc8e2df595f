"""Disk space of a run: files of its pilot by kind, raw data, and temporary images."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dixonflow.cohort.table import read_scans
from dixonflow.errors import DixonflowError
from dixonflow.imaging.nifti import read_header
from dixonflow.models.comparison import merge_strategy_of
from dixonflow.models.model import Model
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.run.estimate.pilot import EstimateError, Pilot, scan_ids
from dixonflow.run.estimate.target import Amount, Target
from dixonflow.vocabulary import SHARD_STAGES, MergeStrategy, ScanId, Status

STITCHED, SIDECARS, PICTURES = "stitched images", "sidecars", "overview pictures"
OTHERS = "other files"
_IN_PROPORTION = {
    **{stage.value: "rows and records of shards" for stage in SHARD_STAGES},
    "records": "rows and records of shards",
    "cohort": "rows and records of shards",
    "tables": "tables",
    "logs": "logs",
    "derivatives": "other derivatives",
    "temporary": "kept temporary images",
}
_FLOAT_BYTES, _LABEL_BYTES = 4, 2
"""Of a voxel on the grid of a model, and of a label map (1 up to 255 labels)."""


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes
    ----------
    bytes
        Of all scans. Without an interval: in proportion to the number of scans. None for what does not follow from
        it: the page of the report, ratings, releases.
    pilot_files, pilot_bytes
        What the pilot has of them.
    """

    name: str
    bytes: Amount
    pilot_files: int
    pilot_bytes: int


@dataclass(frozen=True)
class Storage:
    """Disk space (bytes).

    Attributes
    ----------
    kept
        By kind.
    kept_bytes
        Sum of the kinds that are known.
    raw
        The raw data, which is not below the results folder; None where the pilot's is not there any more.
    temporary_of_shard
        Most that the temporary images of one shard take, uncompressed; None where it cannot be known.
    """

    kept: list[Kind]
    kept_bytes: float
    raw: Amount
    temporary_of_shard: float | None
    notes: list[str]


def storage(pilot: Pilot, target: Target, scans_per_shard: int) -> Storage:
    """Estimate what all scans take."""
    results = pilot.results
    places = dict(_kept_files(pilot))
    sizes, counts = Counter[tuple[int, str]](), Counter[str]()
    others, files = Counter[str](), Counter[str]()
    for path, size in _walk(results.root):
        if path in places:
            sizes[places[path]] += size
            counts[places[path][1]] += 1
        else:
            kind = _IN_PROPORTION.get(Path(path).relative_to(results.root).parts[0], OTHERS)
            others[kind] += size
            files[kind] += 1
    costs, notes = _per_scan(pilot, sizes, {kind for _, kind in places.values()})
    totals = target.totals(costs)
    kept = [Kind(kind, totals[kind], counts[kind], int(np.nansum(costs[kind]))) for kind in totals]
    share = target.scans / len(target.kinds)
    kept += [
        Kind(kind, Amount(None if kind == OTHERS else size * share), files[kind], size)
        for kind, size in sorted(others.items())
    ]
    raw = target.totals(pd.DataFrame({"raw": _raw_bytes(pilot)}))["raw"]
    if raw.value is None:
        notes.append("raw data of the pilot cannot be looked at where it was: its size is not known")
    temporary = _temporary(pilot)
    if temporary is None:
        notes.append("the stitched images of the pilot are not there: the size of temporary images is not known")
    known = sum(kind.bytes.value or 0.0 for kind in kept)
    return Storage(kept, known, raw, None if temporary is None else temporary * scans_per_shard, notes)


def _in_jobs(pilot: Pilot) -> list[tuple[int, ScanId]]:
    return scan_ids(pilot.scans[pilot.scans["shard"].notna()])


def _kept_files(pilot: Pilot) -> Iterator[tuple[str, tuple[int, str]]]:
    """Files that a scan may have, each with the index of the scan and its kind."""
    results = pilot.results
    for index, scan in _in_jobs(pilot):
        raw_key = pilot.scans.at[index, "raw_key"]
        for contrast in scan.sequence.images:
            yield str(results.stitched(scan, contrast)), (index, STITCHED)
        yield str(results.stitched_sidecar(scan)), (index, SIDECARS)
        for model in pilot.models[scan.sequence]:
            yield str(results.labels(scan, model.name)), (index, _labels(model))
            yield str(results.labels_sidecar(scan, model.name)), (index, SIDECARS)
        if isinstance(raw_key, str) and raw_key:
            yield str(results.contact_sheets / sheet_name(scan, raw_key)), (index, PICTURES)


def _labels(model: Model) -> str:
    return f"label maps {model.name}"


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Files and their sizes; links are not followed. Raises EstimateError."""

    def refuse(error: OSError) -> None:
        raise EstimateError(f"a folder below {folder} cannot be listed: {error.strerror}")

    for parent, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - a million of them
            try:
                yield path, os.lstat(path).st_size
            except FileNotFoundError:
                continue  # a file that another program has just removed


def _per_scan(pilot: Pilot, sizes: Counter[tuple[int, str]], kinds: set[str]) -> tuple[pd.DataFrame, list[str]]:
    """Bytes of each scan and kind; NaN for files that an ok scan should have and has not."""
    costs = pd.DataFrame(0.0, pilot.scans.index, sorted(kinds))
    for (index, kind), size in sizes.items():
        costs.loc[index, kind] = size
    keep, notes = pilot.config.keep, []
    wanted = {STITCHED: keep.stitched, PICTURES: keep.contact_sheets}
    done = pilot.scans["status"].eq(Status.OK.value)
    for kind in sorted(kinds):
        expected = done & wanted.get(kind, True)
        if kind.startswith("label maps "):
            having = [each.value for each, used in pilot.models.items() if kind in map(_labels, used)]
            expected &= pilot.scans["sequence"].isin(having)
        lost = expected & costs[kind].eq(0)
        costs.loc[lost, kind] = np.nan
        if lost.any():
            notes.append(f"{kind} of {lost.sum()} scans of the pilot are not there: these scans are not counted")
    return costs, notes


def _raw_bytes(pilot: Pilot) -> pd.Series:
    """Bytes of the raw data of each scan; NaN where it is not there."""
    found = pd.Series(np.nan, pilot.scans.index)
    listed = {(str(row.entry.path), row.scan): row.entry for row in read_scans(pilot.results.scans)}
    for index, scan in _in_jobs(pilot):
        entry = listed.get((str(pilot.scans.at[index, "source"]), scan))
        paths = [entry.path, *getattr(entry, "more_paths", ())] if entry else []
        if paths and all(path.exists() for path in paths):
            found[index] = sum(_size(path) for path in paths)
    return found


def _size(path: Path) -> int:
    return sum(size for _, size in _walk(path)) if path.is_dir() else path.stat().st_size


def _temporary(pilot: Pilot) -> float | None:
    """Most that the temporary images of a scan of the pilot take, uncompressed (bytes)."""
    most = None
    for _, scan in _in_jobs(pilot):
        path = pilot.results.stitched(scan, scan.sequence.contrasts[0])
        try:
            shape, affine = read_header(path)
        except (OSError, DixonflowError):
            continue
        voxels, extent = float(np.prod(shape)), float(np.abs(np.linalg.det(affine[:3, :3])) * np.prod(shape))
        size = 0.0
        for model in pilot.models[scan.sequence]:
            contrasts = len(model.contrasts_read)
            maps = (
                1
                if merge_strategy_of(model, pilot.config.merge) is MergeStrategy.MEAN_SCORES
                else len(model.input_contrasts)
            )
            size += voxels * _LABEL_BYTES * (maps + 1)
            if model.is_resampled_before and not pilot.config.segment.unstitched:
                if not isinstance(model.spacing_mm, tuple):
                    return None
                size += extent / float(np.prod(model.spacing_mm)) * _FLOAT_BYTES * contrasts
        if not pilot.config.keep.stitched:
            size += voxels * _FLOAT_BYTES * len(scan.sequence.images)
        most = max(most or 0.0, size)
    return most
