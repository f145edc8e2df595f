"""Patches of swapped water and fat at any place of the body: how many are found, and what they do to fat fractions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from dixonflow.imaging.station import Station
from dixonflow.phantom.defects.defect import Defect, Expected, Layer
from dixonflow.phantom.defects.of_signal import ball_in, swap_ball
from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.trials.defect_folder import DefectFolder
from dixonflow.trials.defect_outcomes import is_listed
from dixonflow.trials.defect_runs import clean_scans
from dixonflow.vocabulary import Contrast

SIZES_ML = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
FIRST, SCANS = 12, 12
"""The first of the clean scans that get patches, and how many of them do: one participant each."""

INSIDE = 0.8
"""Share of a patch that lies in the body, at least."""

WITNESSES = ("swapped_volume", "swapped_signal", "swapped_patches")


@dataclass(frozen=True)
class PatchRow:
    """One patch.

    Attributes
    ----------
    scan, ml
        Number of the scan, from 1, and volume of the patch.
    inside
        Share of it that lies in the body.
    found, by
        Whether a check of swaps objects that does not without the patch, and which; or why the scan is excluded.
    listed
        Whether the scan is on the list of the report.
    largest, structure
        Largest change of a `fat_fraction` that passes, in points, and the structure; 0 and empty where none changes.
    """

    scan: int
    ml: float
    inside: float
    found: bool
    by: str
    listed: bool
    largest: float
    structure: str


def patch_row(kept: DefectFolder, number: int, ml: float) -> dict[str, Any]:
    """Plant a patch of a size at a place that its number chooses, and see what becomes of it."""
    item = clean_scans()[FIRST + number]
    centre, inside = place_of_patch(item, kept.runs.stations(item), number, ml)
    defect = Defect(
        f"patch at {' '.join(f'{each:.0f}' for each in centre)} of {item.seed}",
        Layer.STATIONS,
        (ml, ml, ml),
        "mL",
        partial(_planted, centre),
        Expected.GRADED,
    )
    found, clean = kept.runs.planted(defect, ml, item), kept.baseline(item)
    if found.reason:
        return asdict(PatchRow(number + 1, ml, inside, True, found.reason, False, 0.0, ""))
    graded, objections = kept.cohort.graded(item.scan, found)
    checks = [name for name in objections if name not in clean.objections]
    by = [name for name in WITNESSES if name in checks]
    largest, structure = _largest_change(graded, clean.values)
    row = PatchRow(number + 1, ml, inside, bool(by), ", ".join(by), is_listed(checks), largest, structure)
    return asdict(row)


def _planted(centre: Sequence[float], stations: Sequence[Station], ml: float) -> list[Station]:
    return swap_ball(stations, ml, centre)


def place_of_patch(
    item: DemoScan, stations: Sequence[Station], number: int, ml: float
) -> tuple[tuple[float, float, float], float]:
    """Choose a place for a patch: its centre (mm, RAS), and the share of it that lies in the body.

    The body is where in phase has a tenth of its 99th percentile; places are drawn until enough of the patch does.
    """
    rng = np.random.default_rng([item.seed, number, int(ml)])
    while True:
        station = stations[int(rng.integers(len(stations)))]
        image = station.images[Contrast.IN_PHASE]
        body: NDArray[np.bool_] = np.greater(image, 0.1 * float(np.percentile(image.astype(np.float32), 99)))
        voxel = np.argwhere(body)[int(rng.integers(np.count_nonzero(body)))]
        x, y, z = (station.affine[:3, 3] + np.diag(station.affine)[:3] * voxel).tolist()
        share = float(body[ball_in(station, ml, (x, y, z))].mean())
        if share >= INSIDE:
            return (x, y, z), share


def _largest_change(graded: pd.DataFrame, before: "pd.Series[float]") -> tuple[float, str]:
    rows = graded[graded["measure"].eq("fat_fraction") & graded["grade"].eq("pass")].set_index("structure")
    clean = before.xs("fat_fraction", level="measure").reindex(rows.index)
    change = (rows["value"].astype(float) - clean.astype(float)).abs().dropna() * 100
    return (0.0, "") if change.empty else (float(change.max()), str(change.idxmax()))


def patch_table(rows: pd.DataFrame) -> list[str]:
    """Lines of Markdown: for each size, how many patches are found, and the largest changes that passed."""
    lines = [
        "| patch | cases | found | 95 % interval | scan listed | largest change of a fat fraction that passes: median "
        "| worst |",
        "|" + "---|" * 7,
    ]
    for ml in sorted(rows["ml"].unique()):
        group = rows[rows["ml"].eq(ml)]
        hits, cases = int(group["found"].sum()), len(group)
        low, high = binomtest(hits, cases).proportion_ci(method="wilson")
        worst = group.sort_values("largest").iloc[-1]
        lines.append(
            f"| {ml:g} mL | {cases} | {hits / cases:.0%} | {low:.0%} to {high:.0%} | {group['listed'].mean():.0%} "
            f"| {group['largest'].median():.2f} points | {worst['largest']:.2f} points ({worst['structure']}) |"
        )
    return lines
