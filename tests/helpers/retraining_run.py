"""A finished run of small scans, and a retraining project on it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import Config
from dixonflow.config.cohort import CohortConfig, SourceConfig
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.retraining.project import Project, Settings, start_project
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import DIXON, Contrast, Layout, ScanId

SHAPE = (14, 12, 20)
AFFINE = np.array([[2.0, 0, 0, -14], [0, 2.0, 0, -12], [0, 0, 3.0, 100], [0, 0, 0, 1]])
LABELS = {"liver": 5, "spleen": 1, "urinary_bladder": 21}


def images_of(seed: int) -> dict[Contrast, np.ndarray]:
    """Random images in a body that is smaller than the image."""
    rng = np.random.default_rng(seed)
    found = {}
    for contrast in DIXON:
        image = np.zeros(SHAPE, np.int16)
        image[2:-2, 2:-2] = rng.integers(50, 900, (SHAPE[0] - 4, SHAPE[1] - 4, SHAPE[2]))
        found[contrast] = image
    return found


def labels_of(seed: int) -> np.ndarray:
    """Boxes of the structures, somewhere else in every scan."""
    labels = np.zeros(SHAPE, np.uint8)
    for place, label in enumerate(LABELS.values()):
        x, y, z = np.random.default_rng((seed, label)).integers((0, 0, 0), (3, 3, 3))
        labels[3 + x : 8 + x, 3 + y : 7 + y, 1 + 6 * place + z : 5 + 6 * place + z] = label
    return labels


@dataclass(frozen=True)
class SmallRun:
    """A run whose scans have images and label maps.

    Attributes
    ----------
    results
        Its results.
    scans
        All scans, each with the seed of its images and labels.
    """

    results: Results
    scans: Mapping[ScanId, int]

    @property
    def config(self) -> Path:
        return self.results.config

    def start(
        self, folder: Path, contrasts: Iterable[Contrast] = (Contrast.WATER, Contrast.FAT), **more: Any
    ) -> Project:
        settings = Settings(config=self.config, model="demo", contrasts=tuple(contrasts), labels=LABELS, **more)
        return start_project(folder, settings)


def write_small_run(
    folder: Path, scans: Mapping[ScanId, int], raw_keys: Mapping[ScanId, str] | None = None
) -> SmallRun:
    """Write results as a finished run leaves them: configuration, list of scans, stitched images, label maps."""
    results = Results(folder / "results")
    withdrawn = folder / "withdrawn.txt"
    withdrawn.parent.mkdir(parents=True, exist_ok=True)
    withdrawn.write_text("participant_id\n")
    sources = (SourceConfig(layout=Layout.UKB, folder=folder / "raw"),)
    config = Config(results=results.root, cohort=CohortConfig(sources=sources, withdrawn=withdrawn))
    write_json(results.config, json.loads(config.model_dump_json()))
    rows = []
    for scan, seed in scans.items():
        key = (raw_keys or {}).get(scan) or hashlib.sha256(scan.name.encode()).hexdigest()
        entry = RawScan(scan, Layout.UKB, folder / "raw" / f"{scan.name}.zip", key)
        rows.append(CohortScan(entry, content_key=key, shard="a" * 12, images=hashlib.sha256(key.encode()).hexdigest()))
        for contrast, image in images_of(seed).items():
            write_nifti(results.stitched(scan, contrast), image, AFFINE)
        write_labels(results.labels(scan, "demo"), labels_of(seed), AFFINE)
    write_scans(results.scans, rows)
    return SmallRun(results, scans)
