"""A finished run of small scans, and a retraining project on it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from synthetic_tables import scan_row

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import Config
from dixonflow.config.cohort import CohortConfig, SourceConfig
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.retraining.ledger import CaseSet
from dixonflow.retraining.project import Project, Settings, start_project
from dixonflow.retraining.selection.freeze import freeze_participants
from dixonflow.retraining.selection.select import Request, Source
from dixonflow.system.atomic import write_json
from dixonflow.tables.definitions import QUALITY, SCANS
from dixonflow.tables.parquet import write_table
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
    listed = [scan_row(scan.participant) | {"session_id": scan.session, "source": scan.name} for scan in sorted(scans)]
    write_table(results.scan_table, SCANS, pd.DataFrame(listed))
    return SmallRun(results, scans)


def write_quality(results: Results, objections: Mapping[tuple[ScanId, str, str], tuple[str, float]]) -> None:
    """Write the table of quality: grade and value of each scan, check and structure; the threshold is 0.8."""
    rows = [
        {
            **{"participant_id": scan.participant, "session_id": scan.session, "sequence": "dixon"},
            **{"check": check, "structure": structure, "model": "demo", "value": value, "threshold": 0.8},
            **{"grade": grade, "place": ""},
        }
        for (scan, check, structure), (grade, value) in objections.items()
    ]
    write_table(results.tables / "quality.parquet", QUALITY, pd.DataFrame(rows))


def write_people(results: Results, people: Mapping[ScanId, tuple[str | None, float | None, str | None]]) -> None:
    """Write the table of covariates: sex, age and centre; height and weight are unknown."""
    rows = [
        {
            **{"participant_id": scan.participant, "session_id": scan.session, "sex": sex, "age_years": age},
            **{"height_cm": None, "weight_kg": None, "bmi_kg_per_m2": None, "centre": centre, "scan_date": None},
        }
        for scan, (sex, age, centre) in people.items()
    ]
    write_table(results.tables / "covariates.parquet", COVARIATE_TABLE, pd.DataFrame(rows))


def set_up(folder: Path, participants: int = 8, test: int = 2, **more: Any) -> tuple[SmallRun, Project]:
    """Write a run of one scan each and a project on it, whose last participants are frozen for the test set."""
    scans = {ScanId(f"{1000 + number}", "2"): number for number in range(1, participants + 1)}
    run = write_small_run(folder, scans)
    project = run.start(folder / "retraining", folds=3, **more)
    named = folder / "test.txt"
    named.write_text("".join(f"{scan.participant}\n" for scan in list(scans)[participants - test :]))
    freeze_participants(project, named=named)
    return run, project


def random_request(count: int, round_number: int = 1) -> Request:
    """A request for scans at random: of the training set in a round, or of the test set."""
    case_set = CaseSet.TEST if round_number == 0 else CaseSet.TRAIN
    return Request(Source.RANDOM, round_number, case_set, count, "demo")
