"""A shard segmented with a backend that fails in a chosen way: `python failing_backend.py WAY FOLDER`.

A program of its own: OpenVINO does not survive the fork of a process that has used it.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from tiny_model import tiny_demo

from dixonflow.config import Config, demo_config
from dixonflow.execution.attempt import Task
from dixonflow.execution.records import Records
from dixonflow.execution.shard import run_shard
from dixonflow.execution.steps import Step
from dixonflow.execution.supervisor import Limits
from dixonflow.imaging.nifti import write_nifti
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.segment.backends.openvino import OpenVinoNetwork
from dixonflow.segment.predictor import Predictor
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.vocabulary import DIXON, Layout, Reason, ScanId, Stage

SCANS = [ScanId(f"00{number}", "2") for number in range(1, 5)]
ROWS = {scan: 22 + 2 * place for place, scan in enumerate(SCANS)}
"""Rows of each scan, by which a network can tell them apart."""

BAD = SCANS[1]


def crash(folder: Path) -> None:
    """Kill the process in the middle of a scan."""
    compute, infer, rows = OpenVinoNetwork.__call__, Predictor.infer, [0]

    def dying(self, tile):
        if rows[0] == ROWS[BAD]:
            with (folder / "deaths").open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGSEGV)
        return compute(self, tile)

    def seen(self, prepared, **more):
        rows[0] = max(prepared[0].network_shape)
        return infer(self, prepared, **more)

    OpenVinoNetwork.__call__, Predictor.infer = dying, seen


def illegal(folder: Path) -> None:
    """Kill the process where a network is compiled, as an instruction does that the processor does not have."""

    def dying(self, network, architecture, threads):
        os.kill(os.getpid(), signal.SIGILL)

    OpenVinoNetwork.__init__ = dying


def error(folder: Path) -> None:
    """Fail at the first patch of the first scan."""
    compute, calls = OpenVinoNetwork.__call__, []

    def failing(self, tile):
        calls.append(tile)
        if len(calls) == 1:
            raise RuntimeError("bad combination")
        return compute(self, tile)

    OpenVinoNetwork.__call__ = failing


def segment(folder: Path, backend: str) -> None:
    """Segment the shard, and write the outcome rows to outcomes.json."""
    (folder / "model").mkdir(parents=True)
    model = tiny_demo(folder / "model")
    section = demo_config().segment.model_copy(update={"backend": backend, "device": "cpu"})
    config = Config.model_validate(demo_config().model_copy(update={"segment": section}).model_dump())
    results = Results(folder)
    entries = [RawScan(scan, Layout.UKB, Path(f"{scan.participant}.zip"), "0" * 64) for scan in SCANS]
    for entry in entries:
        rng = np.random.default_rng(int(entry.scan.participant))
        for contrast in DIXON:
            data = rng.integers(1, 900, (20, 20, ROWS[entry.scan])).astype(np.int16)
            write_nifti(results.stitched(entry.scan, contrast), data, np.diag([3.0, 3.0, 3.0, 1.0]))
    work = stage_work(Stage.SEGMENT, StageContext(config, (model,), model, results, "shard"))
    step = Step(work, Records(folder / "r.jsonl.gz"), 2)
    upstream = {entry.scan: Task(entry, "", 1).outcome(Stage.RESAMPLE, Reason.NONE) for entry in entries}
    (records,) = run_shard([step], entries, upstream, Limits(seconds=120))
    (folder / "outcomes.json").write_text(json.dumps([record.outcome.to_row() for record in records]))


if __name__ == "__main__":
    way, where = sys.argv[1], Path(sys.argv[2])
    where.mkdir(parents=True)
    {"crash": crash, "illegal": illegal, "error": error}.get(way, lambda folder: None)(where)
    segment(where, "torch" if way == "torch" else "openvino")
