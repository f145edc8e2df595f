"""Rows of shards as the stages write them, for tests of what is made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from dixonflow.cohort.found import UnnamedEntry
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.execution.outcome import Outcome, write_outcomes
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import ScanMeasurements, measure
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_MEASUREMENTS, SHARD_PROFILES
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import DIXON, SHARD_STAGES, Layout, Reason, ScanId, Stage

STAGES = list(SHARD_STAGES)
TABLES = (
    *("scans", "acquisitions", "timings", "measurements", "volumes", "fat_compartments", "body_composition"),
    *("quality", "structures", "measures", "checks", "dictionary"),
)
LIVER = 5


def small_model() -> Model:
    model = load_model(MODELS / "demo.yaml")
    names = ("liver", "spleen", "kidney_left", "kidney_right", "muscle", "subcutaneous_fat")
    labels = {label: rule for label, rule in model.labels.items() if rule.name in names}
    composites = {"kidneys": ("kidney_left", "kidney_right"), "total_muscle": ("muscle",)}
    return model.model_copy(update={"labels": labels, "composites": composites})


MODEL = small_model()


def measured(seed: int) -> ScanMeasurements:
    """Measure a box of slabs, one a label, on random images; the spleen is missing for odd seeds."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 10, 16), np.uint8)
    for place, label in enumerate(sorted(MODEL.labels)):
        if not (seed % 2 and MODEL.labels[label].name == "spleen"):
            labels[1 + place : 2 + place, 1:-1, 2 : 14 - seed % 3] = label
    images = {contrast: rng.integers(50, 900, labels.shape).astype(np.int16) for contrast in DIXON}
    box = StationBox(0, (-1.0, -1.0, -1.0), (50.0, 50.0, 50.0))
    return measure(labels, images, np.diag([2.0, 2.0, 3.0, 1.0]), [box], MODEL, with_profiles=True)


@dataclass
class Run:
    """A cohort of eleven entries in three shards, and where its rows are."""

    results: Results
    truth: dict[ScanId, ScanMeasurements]

    def table(self, name: str) -> pd.DataFrame:
        return pq.read_table(self.results.tables / f"{name}.parquet").to_pandas()

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.results.tables.iterdir()}

    def scan(self, participant: str, session: str = "2") -> pd.Series:
        scans = self.table("scans")
        found = scans[scans["participant_id"].eq(participant) & scans["session_id"].eq(session)]
        assert len(found) == 1
        return found.iloc[0]


def outcome(scan: ScanId, stage: Stage, reason: Reason = Reason.NONE) -> Outcome:
    message = "" if reason is Reason.NONE else f"seen: {reason.value}"
    return Outcome(scan, stage, reason.status, reason, message, 1.0, 300.0, 0.5, 1, f"{stage.value}-key")


# shard, and the stage and reason that ended the way of a scan
SHARDS: Mapping[str, Mapping[ScanId, tuple[Stage, Reason] | None]] = {
    "aaa": {
        ScanId("0001", "2"): None,
        ScanId("0003", "2"): None,
        ScanId("0004", "2"): (Stage.SEGMENT, Reason.OUT_OF_MEMORY),
    },
    "bbb": {
        ScanId("0002", "2"): None,
        ScanId("0002", "3"): (Stage.STITCH, Reason.STATION_GAP),
        ScanId("0006", "2"): None,  # withdrawn after it was measured
        ScanId("0007", "2"): None,
    },
    "ccc": {ScanId("0000", "2"): None},
}
WITHDRAWN = ScanId("0006", "2")


def write_run(folder: Path) -> Run:
    results = Results(folder)
    cohort = [
        CohortScan(UnnamedEntry(Layout.UKB, Path("raw/what_is_this.zip")), "", Reason.UNPARSABLE_NAME, "no ids"),
        CohortScan(UnnamedEntry(Layout.UKB, Path("raw/and_this.zip")), "", Reason.UNPARSABLE_NAME, "no ids"),
        CohortScan(RawScan(ScanId("0005", "2"), Layout.UKB, Path("raw/5.zip")), "k", Reason.UNREADABLE_FILE, "cut off"),
    ]
    for shard, scans in SHARDS.items():
        for scan in scans:
            raw = RawScan(scan, Layout.UKB, Path(f"raw/{scan.name}.zip"), "r")
            found = CohortScan(raw, "k", shard=shard, n_stations=6)
            if scan == WITHDRAWN:
                found = replace(found, reason=Reason.CONSENT_WITHDRAWN, message="on the list", shard="")
            cohort.append(found)
    write_scans(results.scans, cohort)
    truth = {scan: measured(int(scan.participant)) for scans in SHARDS.values() for scan in scans}
    for shard, scans in SHARDS.items():
        for stage in STAGES:
            rows = []
            for scan, end in scans.items():
                ended = end is not None and STAGES.index(end[0]) <= STAGES.index(stage)
                rows.append(outcome(scan, *end) if ended and end else outcome(scan, stage))
            write_outcomes(results.outcomes(stage, shard), rows)
        ok = {scan: truth[scan] for scan, end in scans.items() if end is None}
        write_measured(results, shard, ok)
    return Run(results, truth)


def write_measured(results: Results, shard: str, scans: Mapping[ScanId, ScanMeasurements]) -> None:
    for path, table, kind in (
        (results.measurements(shard), SHARD_MEASUREMENTS, "measurements"),
        (results.quality(shard), SHARD_QUALITY, "quality"),
        (results.profiles(shard), SHARD_PROFILES, "profiles"),
    ):
        parts = [
            getattr(rows, kind).assign(participant_id=scan.participant, session_id=scan.session)
            for scan, rows in scans.items()
        ]
        write_table(path, table, pd.concat(parts)[list(table.names)])
