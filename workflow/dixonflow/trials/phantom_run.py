"""Results of a run on phantom participants, as far as retraining reads them: a list of scans, images, label maps.

The label maps are the truth with faults in them, and the truth itself is kept elsewhere for who plays the annotator.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import Config
from dixonflow.config.cohort import CohortConfig, SourceConfig
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.imaging.types import Labels
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.protocol import Protocol, StationGeometry
from dixonflow.phantom.truth import truth_on_grid
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stitch.scan import stitch
from dixonflow.system.atomic import write_json
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import Contrast, Layout, Reason, ScanId, Stage, Status

LABELS = {"lung_lower_lobe_right": 14, "subcutaneous_fat": 65, "muscle": 66, "inner_fat": 67}
"""Structures of the project, in the demo model's numbers: large ones, which a small network learns in a minute."""
FAT_LEFT = 0.8
"""Share of the fat signal in the water images of the second scanner, which suppresses fat badly."""
CONTRAST = Contrast.WATER
MODEL = "demo"

_OK = {"status": Status.OK.value, "reason": Reason.NONE.value}
_SPACING_MM = 6.0
_STATION = (72, 48, 32)
"""Voxels; two stations with an overlap show the trunk from the pelvis to the heart."""
_TOP_MM, _OVERLAP_MM = 200.0, 24.0


@dataclass(frozen=True)
class PhantomRun:
    """Results of a run, and the truth.

    Attributes
    ----------
    results
        Its results.
    truth
        Folder with the true label map of each scan, named as the scan.
    """

    results: Results
    truth: Path

    def true_labels(self, scan: ScanId) -> Path:
        """True label map of a scan, in the numbers of `LABELS`."""
        return self.truth / f"{scan.name}.nii.gz"


def on_second_scanner(seed: int) -> bool:
    """Whether a participant was scanned on the second scanner: every other one."""
    return seed % 2 == 1


def write_phantom_run(folder: Path, seeds: Mapping[ScanId, int]) -> PhantomRun:
    """Simulate participants, each with one scan of the trunk at 6 mm; scans that are there are kept.

    Parameters
    ----------
    seeds
        Participant of each scan.
    """
    run = PhantomRun(Results(folder / "results"), folder / "truth")
    withdrawn = folder / "withdrawn.txt"
    withdrawn.parent.mkdir(parents=True, exist_ok=True)
    withdrawn.write_text("participant_id\n", encoding="utf-8")
    sources = (SourceConfig(layout=Layout.BIDS, folder=folder / "raw"),)
    cohort = CohortConfig(sources=sources, withdrawn=withdrawn)
    weights: dict[str, Any] = {"weights": folder / "models", "device": "cpu"}
    config = Config.model_validate({"results": run.results.root, "cohort": cohort, "segment": weights})
    write_json(run.results.config, json.loads(config.model_dump_json()))
    rows = []
    for scan, seed in seeds.items():
        key = hashlib.sha256(f"phantom {seed}".encode()).hexdigest()
        entry = RawScan(scan, Layout.BIDS, folder / "raw", key)
        rows.append(CohortScan(entry, content_key=key, shard="a" * 12, images=key))
        if not run.true_labels(scan).exists():  # written last
            image, truth, affine = simulate_trunk(seed)
            write_nifti(run.results.stitched(scan, CONTRAST), image, affine)
            write_labels(run.results.labels(scan, MODEL), faulty(truth, seed), affine)
            write_labels(run.true_labels(scan), truth, affine)
    write_scans(run.results.scans, rows)
    write_table(run.results.scan_table, SCANS, pd.DataFrame([_finished(scan) for scan in sorted(seeds)]))
    return run


def _finished(scan: ScanId) -> dict[str, Any]:
    """Row of a scan that went through all stages."""
    stages = {f"{stage.value}_{column}": value for stage in Stage for column, value in _OK.items()}
    known = {"participant_id": scan.participant, "session_id": scan.session, "sequence": scan.sequence.value}
    known |= {"layout": Layout.BIDS.value, "source": scan.name, "raw_key": f"key of {scan.name}", "note": ""}
    counts = {"n_stations": 2, "n_slices": 4 * 2 * _STATION[2], "n_files": 8}
    counts |= dict.fromkeys(("n_files_superseded", "n_files_repeated", "values_failed", "values_to_review"), 0)
    end = {"message": "", "last_stage": Stage.MEASURE.value, "scan_grade": "pass", "scan_grade_decided_by": None}
    return {**known, **counts, **_OK, **end, "shard": "a" * 12, "content_key": "k", **stages}


def simulate_trunk(seed: int) -> tuple[NDArray[np.int16], Labels, NDArray[np.float64]]:
    """Draw a participant: water image of the trunk as the scanner gives it, true label map in the numbers of `LABELS`,
    affine.
    """
    participant = draw_participant(seed)
    anatomy = render_anatomy(participant, _SPACING_MM)
    tops = (_TOP_MM, _TOP_MM + _STATION[2] * _SPACING_MM - _OVERLAP_MM)
    stations = tuple(StationGeometry(_STATION, (_SPACING_MM,) * 3, top) for top in tops)
    stitched = stitch(acquire(participant, anatomy, Protocol("trunk", stations)))
    image = stitched.images[CONTRAST]
    if on_second_scanner(seed):
        image = np.rint(image + FAT_LEFT * stitched.images[Contrast.FAT]).astype(np.int16)
    x, y, z = image.shape
    truth = truth_on_grid(anatomy, (x, y, z), stitched.affine)
    wanted = np.isin(truth, list(LABELS.values()))
    return image, np.where(wanted, truth, 0).astype(np.uint8), stitched.affine


def faulty(truth: Labels, seed: int) -> Labels:
    """A label map to correct: every structure a voxel too small, one of them missing."""
    found = np.zeros_like(truth)
    lost = list(LABELS.values())[seed % len(LABELS)]
    for label in LABELS.values():
        if label != lost:
            found[binary_erosion(truth == label)] = label
    return found
