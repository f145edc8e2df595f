"""A finished pilot run whose costs are chosen, and of which only the tables and the files of scans exist."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.synthetic_tables import scan_row

from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import Config, demo_config
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.imaging.nifti import write_nifti
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.definitions import SCANS, TIMINGS
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import SHARD_STAGES, Layout, Reason, ScanId, Stage, Status

SECONDS = {
    Stage.STITCH: 36.0,
    Stage.RESAMPLE: 1.8,
    Stage.SEGMENT: 72.0,
    Stage.MERGE: 3.6,
    Stage.POSTPROCESS: 3.6,
    Stage.MEASURE: 18.0,
}
GPU_SECONDS = 36.0
THREADS = 4


def config_of(root: Path, **changes: object) -> Config:
    """The demo's configuration with 64 scans a shard and four threads."""
    config = demo_config()
    cohort = config.cohort.model_copy(update={"scans_per_shard": 64})
    segment = config.segment.model_copy(update={"threads": THREADS})
    return config.model_copy(update={"results": root, "cohort": cohort, "segment": segment, **changes})


def write_config(path: Path, config: Config) -> Path:
    write_bytes(path, config.model_dump_json().encode())
    return path


@dataclass
class PilotRun:
    """Add scans, change rows, then write."""

    root: Path
    gpu: bool = True
    config: Config | None = None
    rows: list[dict[str, object]] = field(default_factory=list)
    times: list[dict[str, object]] = field(default_factory=list)
    cohort: list[CohortScan] = field(default_factory=list)

    @property
    def results(self) -> Results:
        return Results(self.root / "results")

    def add(self, count, last=Stage.MEASURE, reason=Reason.NONE, layout=Layout.UKB, factor=1.0):
        """Scans that all take `factor` times `SECONDS`; `reason` ends them at `last`."""
        for _ in range(count):
            scan = ScanId(f"{7000001 + len(self.rows)}", "2")
            row = scan_row(scan.participant, reason.status, reason, last, "" if reason is Reason.NONE else "seen")
            in_job = last is not Stage.COHORT
            row |= {"layout": layout.value, "shard": "a1" if in_job else None}
            raw = self.root / "raw" / f"{scan.participant}.zip"
            row["source"] = str(raw)
            write_bytes(raw, b"r" * 5000)
            raw_scan = RawScan(scan, layout, raw, f"key of {scan.participant}")
            self.cohort.append(CohortScan(raw_scan, reason=Reason.NONE if in_job else reason, shard=row["shard"] or ""))
            self.rows.append(row)
            if not in_job:
                continue
            for stage in SHARD_STAGES[: SHARD_STAGES.index(last) + 1]:
                on_gpu = self.gpu and stage is Stage.SEGMENT and not (last is stage and reason is not Reason.NONE)
                self.times.append(
                    {
                        "participant_id": scan.participant,
                        "session_id": "2",
                        "sequence": "dixon",
                        "stage": stage.value,
                        "seconds": SECONDS[stage] * factor,
                        "peak_memory_mb": 1000.0 + len(self.rows),
                        "gpu_seconds": GPU_SECONDS * factor if on_gpu else 0.0,
                        "attempt": 1,
                    }
                )
            if reason is Reason.NONE:
                self._write_files(scan)

    def _write_files(self, scan: ScanId) -> None:
        results = self.results
        for contrast in scan.sequence.contrasts:
            write_nifti(results.stitched(scan, contrast), np.zeros((10, 10, 10), np.int16), np.diag([2.0, 2, 3, 1]))
        write_bytes(results.labels(scan, "demo"), b"l" * 300)
        write_bytes(results.labels_sidecar(scan, "demo"), b"s" * 40)
        write_bytes(results.contact_sheets / sheet_name(scan, f"key of {scan.participant}"), b"p" * 200)

    def write_list(self) -> None:
        """The list of the cohort stage alone, as of a run that has not begun."""
        write_scans(self.results.scans, self.cohort)

    def write(self) -> Path:
        """The folder of results."""
        results = self.results
        write_config(results.config, self.config or config_of(results.root))
        self.write_list()
        write_table(results.scan_table, SCANS, pd.DataFrame(self.rows, columns=list(SCANS.names)))
        times = pd.DataFrame(self.times, columns=list(TIMINGS.names))
        write_table(results.tables / "timings.parquet", TIMINGS, times)
        return results.root

    def write_records(self, shares: dict[str, float]) -> None:
        """Records of the stages that run for one model after another: each model takes its share of the seconds."""
        stages = {stage.value: stage for stage in SHARD_STAGES if stage.is_per_model}
        for name, stage in stages.items():
            for model, share in shares.items():
                records = {}
                for row in self.times:
                    if row["stage"] == name:
                        scan = ScanId(row["participant_id"], row["session_id"])
                        costs = (row["seconds"] * share, row["peak_memory_mb"], row["gpu_seconds"] * share, 1)
                        records[scan] = Record(Outcome(scan, stage, Status.OK, Reason.NONE, "", *costs, "key"))
                Records(self.results.records(stage, "a1", model)).pack(records)


def refused(estimated, *args, **options) -> str:
    with pytest.raises(SystemExit) as stopped:
        estimated(*args, **options)
    assert str(stopped.value).startswith("estimate: ")
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


def of(found, stage: Stage, model: str | None = None):
    rows = [row for row in found["work"] if row["stage"] == stage.value and model in (None, row["model"])]
    assert len(rows) == 1
    return rows[0]
