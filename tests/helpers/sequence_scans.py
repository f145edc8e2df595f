"""Scans of other sequences than Dixon, from the raw folder to stitched images."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from small_models import rule, small_model

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.table import COHORT_SCANS, CohortScan, read_files
from dixonflow.config import demo_config
from dixonflow.imaging.nifti import NiftiImage, read_nifti
from dixonflow.models.label_rule import AcceptedSequence
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.tables.parquet import read_table
from dixonflow.vocabulary import Contrast, ScanSequence, Stage, Status

PARTICIPANT, SESSION = "100012", "30"
AXIAL = np.eye(3)
SAGITTAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # columns along y, rows along z, slices along x
CORONAL = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])


def body(x, y, z):
    """A smooth body in air, without symmetry: no axis can be mistaken for another."""
    inside = 1 / (1 + np.exp((np.hypot(x / 1.3, y) - 60) / 4))
    return inside * (400 + 100 * np.sin(x / 30 + 0.4) + 80 * np.cos(y / 25 - 0.3) + z / 2)


def rows_of(sources: Sequence[Source], folder: Path) -> tuple[CohortScan, ...]:
    """Rows of the cohort stage, after the conservation law was found to hold."""
    result = build_cohort(sources)
    write_cohort(result, folder / "scans.parquet", folder / "shards")
    table = read_table(folder / "scans.parquet", COHORT_SCANS).to_pandas()
    check_conservation(sources, table, files=read_files(folder / "scans.parquet"))
    assert build_cohort(sources, previous=result.scans, shards=result.shards).n_inspected == 0
    return result.scans


def scan_of(sources: Sequence[Source], folder: Path) -> RawScan:
    (row,) = rows_of(sources, folder)
    assert row.status is Status.OK, row.message
    assert isinstance(row.entry, RawScan)
    return row.entry


def model_for(sequence: ScanSequence) -> Model:
    own = small_model({1: rule("spleen", "all")})
    if sequence is ScanSequence.CT:
        return small_model(
            {1: rule("spleen", "all")},
            modality="ct",
            input_contrasts=(Contrast.CT,),
            group_contrasts={"all": (Contrast.CT,)},
        )
    accepts = {sequence: AcceptedSequence(contrasts=sequence.contrasts[:1])}
    return own.model_copy(update={"accepts": accepts}).for_sequence(sequence)


def stitched(entry: RawScan, folder: Path) -> Mapping[Contrast, NiftiImage]:
    """The images that the stitch stage writes, in the units of the raw data."""
    results = Results(folder / "results")
    context = StageContext(demo_config(), (), model_for(entry.sequence), results, "shard")
    work = stage_work(Stage.STITCH, context)
    work.by_hand(entry)
    assert all(path.exists() for path in work.outputs(entry))
    sidecar = json.loads(results.stitched_sidecar(entry.scan).read_text())
    assert sidecar["stations"]
    there = {contrast: results.stitched(entry.scan, contrast) for contrast in entry.sequence.images}
    images = {contrast: read_nifti(path) for contrast, path in there.items() if path.exists()}
    scale = sidecar["intensity_scale"]
    return {
        contrast: image if scale == 1 or contrast.is_map else replace(image, data=image.data / scale)
        for contrast, image in images.items()
    }


def assert_shows_body(image: NiftiImage, tolerance: float, centre: Sequence[float], half_mm: Sequence[float]) -> None:
    """Voxels in a box around a centre have the values of the body at their place."""
    index = np.indices(image.data.shape)
    points = np.einsum("ij,j...->i...", image.affine[:3, :3], index) + image.affine[:3, 3][:, None, None, None]
    inside = np.all(np.abs(points - np.reshape(centre, (3, 1, 1, 1))) < np.reshape(half_mm, (3, 1, 1, 1)), axis=0)
    assert inside.sum() > 1000
    expected = body(*points)[inside]
    assert np.abs(image.data[inside] - expected).max() < tolerance
