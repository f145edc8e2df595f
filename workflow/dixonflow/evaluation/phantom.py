"""Evaluation where the truth is known: phantom participants, held out from training or measured by a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError
from dixonflow.evaluation.accuracy import evaluate
from dixonflow.evaluation.regions import regions_of
from dixonflow.imaging.nifti import read_nifti
from dixonflow.imaging.types import Affine
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy, render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.phantom.truth import true_fat_fractions, truth_on_grid, truth_table
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.vocabulary import ScanId, Status

FAT_FRACTIONS = {"fat_fraction": "eroded_median", "fat_fraction_eroded_mean": "eroded_mean", "fat_fraction_of_sums": ""}
"""Measures, and the column of `true_fat_fractions` that each is compared with; empty for that of the fine grid."""


@dataclass(frozen=True)
class KnownScan:
    """A phantom scan and its truth.

    Attributes
    ----------
    name
        Of the scan; not shown to the network.
    participant
        Scans of one participant have one name; they are drawn together by the bootstrap.
    body
        Who was scanned.
    anatomy
        Fine-grid labels.
    truth
        From `truth_table`.
    """

    name: str
    participant: str
    body: Participant
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
        Rows of `evaluate` and `scan`, `participant`, the measures of `FAT_FRACTIONS`, what each is compared with on the
        image's voxels without noise, `true_<measure>` (for `fat_fraction` the median of the eroded true structure), and
        the errors, `<measure>_error_points` (signed, percentage points). `true_mean_fat_fraction` is the mean over the
        whole true structure on the fine grid (of a composite: mean of its parts weighted by their true volumes), and
        `to_true_mean_points` the distance of `fat_fraction` from it.
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
    rows["true_mean_fat_fraction"] = rows["structure"].map(fractions)
    values = measurements.pivot(index="structure", columns="measure", values="value").astype(float)
    expected = true_fat_fractions(scan.body, scan.anatomy, true, affine, {each.name: each.labels for each in regions})
    for name, column in FAT_FRACTIONS.items():
        rows[name] = values[name].reindex(rows["structure"]).to_numpy()
        true_values = expected[column] if column else pd.Series(fractions)
        rows[f"true_{name}"] = true_values.reindex(rows["structure"]).to_numpy()
        rows[f"{name}_error_points"] = 100 * (rows[name] - rows[f"true_{name}"])
    rows["to_true_mean_points"] = 100 * (rows["fat_fraction"] - rows["true_mean_fat_fraction"])
    return rows.assign(scan=scan.name, participant=scan.participant)


def fat_fraction_errors(comparisons: pd.DataFrame, regions: Sequence[str]) -> pd.DataFrame:
    """Errors of the fat fraction of each region over all scans, in percentage points.

    Returns
    -------
    pandas.DataFrame
        Indexed by region: `median` and `worst` absolute error of `fat_fraction`, `to_true_mean` (median of its signed
        distance from the true mean), `of_sums` (median absolute error of `fat_fraction_of_sums`). A scan without a
        value makes its region's errors unknown: others do not speak for it.
    """
    rows = {}
    for name in regions:
        own = comparisons[comparisons["structure"].eq(name)]
        error = own["fat_fraction_error_points"].abs()
        rows[name] = {
            "median": error.median(skipna=False),
            "worst": error.max(skipna=False),
            "to_true_mean": own["to_true_mean_points"].median(skipna=False),
            "of_sums": own["fat_fraction_of_sums_error_points"].abs().median(skipna=False),
        }
    return pd.DataFrame.from_dict(rows, orient="index").astype(float)


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
    participant = item.participant
    anatomy = render_anatomy(participant, options.fine_spacing_mm)
    truth = truth_table(participant, anatomy, options.protocol(item.layout))
    known = KnownScan(item.scan.name, str(item.seed), participant, anatomy, truth)
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
