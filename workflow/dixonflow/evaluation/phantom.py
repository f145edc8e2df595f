"""Evaluation where the truth is known: phantom participants, held out from training or measured by a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError
from dixonflow.evaluation.accuracy import evaluate, regions_of
from dixonflow.imaging.nifti import read_nifti
from dixonflow.imaging.types import Affine
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.render import Anatomy, render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions, DemoScan, participant_in_session
from dixonflow.phantom.truth import truth_on_grid, truth_table
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.vocabulary import ScanId, Status

FAT_FRACTIONS = ("fat_fraction", "fat_fraction_eroded_mean")
"""Measures that are compared with the true fat fraction."""


@dataclass(frozen=True)
class KnownScan:
    """A phantom scan and its truth.

    Attributes
    ----------
    name
        Of the scan; not shown to the network.
    participant
        Scans of one participant have one name; they are drawn together by the bootstrap.
    anatomy
        Fine-grid labels.
    truth
        From `truth_table`.
    """

    name: str
    participant: str
    anatomy: Anatomy
    truth: pd.DataFrame


def compare(
    scan: KnownScan, labels: NDArray[np.integer], affine: Affine, measurements: pd.DataFrame, model: Model
) -> pd.DataFrame:
    """Compare a label map, and the fat fractions that were measured with it, with the truth of a phantom scan.

    Parameters
    ----------
    labels
        Label map (x, y, z) on the stitched grid.
    affine
        4x4, voxel index to RAS mm.
    measurements
        What the measure stage made of the scan: columns `structure`, `measure`, `value`.

    Returns
    -------
    DataFrame
        Rows of `evaluate` and `scan`, `participant`, the measures `fat_fraction` and `fat_fraction_eroded_mean`,
        `true_fat_fraction` (of a composite: mean of its parts weighted by their true volumes),
        `fat_fraction_error_points` and `fat_fraction_eroded_mean_error_points` (signed, percentage points). The first
        error holds the partial volume of the outermost voxels, whatever the labels: on voxels of 4.5 mm the true label
        map itself is 3 points off in the liver and 5 in muscle, eroded about 0.1.
    """
    x, y, z = labels.shape
    true = truth_on_grid(scan.anatomy, (x, y, z), affine)
    by_label = scan.truth.set_index("id")
    volumes: dict[str, float] = {}
    fractions: dict[str, float] = {}
    regions = regions_of(model)
    for region in regions:
        parts = by_label.reindex(list(region.labels))
        volume = parts["volume_in_fov_ml"].fillna(0.0)
        volumes[region.name] = float(volume.sum())
        weighted = float((volume * parts["fat_fraction"].fillna(0.0)).sum())
        fractions[region.name] = weighted / volumes[region.name] if volumes[region.name] > 0 else np.nan
    rows = evaluate(labels, true, np.diag(affine)[:3].tolist(), regions, volumes)
    rows["true_fat_fraction"] = rows["structure"].map(fractions)
    values = measurements.pivot(index="structure", columns="measure", values="value").astype(float)
    for name in FAT_FRACTIONS:
        rows[name] = values[name].reindex(rows["structure"]).to_numpy()
        rows[f"{name}_error_points"] = 100 * (rows[name] - rows["true_fat_fraction"])
    return rows.assign(scan=scan.name, participant=scan.participant)


def fat_fraction_errors(comparisons: pd.DataFrame, regions: Sequence[str]) -> dict[str, float]:
    """Median absolute error of the eroded mean fat fraction of each region over all scans, in percentage points."""
    errors = comparisons.assign(error=comparisons["fat_fraction_eroded_mean_error_points"].abs())
    # a scan without a value is no reason to judge by the others: the error is then unknown, and a target missed
    medians = errors.groupby("structure")["error"].agg(lambda values: values.median(skipna=False))
    return {name: float(medians.get(name, np.nan)) for name in regions}


def evaluate_demo_scan(
    item: DemoScan, results: Results, model: Model, measurements: pd.DataFrame, options: DemoOptions | None = None
) -> pd.DataFrame:
    """Compare the finished label map of a phantom scan with its truth, which is rendered again from the seed.

    Parameters
    ----------
    measurements
        As of `compare`, of this scan.
    options
        Resolution at which it was scanned; that of the demo by default.

    Raises
    ------
    DixonflowError
        If the scan is one of the broken ones, or its label map is not there.
    """
    if item.expected[0] is not Status.OK:
        raise DixonflowError(f"demo scan {item.path} is intentionally broken and has no label map")
    path = results.labels(item.scan, model.name)
    if not path.is_file():
        raise DixonflowError(f"a demo scan has no finished label map of model {model.name}: run the demo first")
    labels = read_nifti(path)
    options = options or DemoOptions()
    participant = participant_in_session(item.seed, item.session_number)
    anatomy = render_anatomy(participant, options.fine_spacing_mm)
    truth = truth_table(participant, anatomy, options.protocol(item.layout))
    known = KnownScan(item.scan.name, str(item.seed), anatomy, truth)
    return compare(known, labels.data.astype(np.uint16), labels.affine, measurements, model)


def table_of(results: Results, scan: ScanId, model: Model) -> pd.DataFrame:
    """Rows of the table `measurements` of a scan. Raises DixonflowError where there is no table."""
    path = results.tables / f"{MEASUREMENTS.name}.parquet"
    if not path.is_file():
        raise DixonflowError(f"there is no {path}: run the demo first")
    chosen = [
        ("participant_id", "==", scan.participant),
        ("session_id", "==", scan.session),
        ("model", "==", model.name),
    ]
    return pd.read_parquet(path, columns=["structure", "measure", "value"], filters=chosen)
