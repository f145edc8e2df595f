"""`python -m benchmarks.scale`: what the machinery costs for a cohort of 100,000 scans whose images do not exist.

The raw zips are empty files, the outcome and measurement rows synthetic. All else is the project's own: a copy of it in
a new folder, its commands as its users type them, each in a new process.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import yaml
from project_copy import copy_project

from dixonflow.cohort.shards import Shard, shard_of, write_shards
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.execution.outcome import Outcome, write_outcomes
from dixonflow.measure.checks.of_model import expected_checks
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.structures import structures_of
from dixonflow.models.anatomy import structures
from dixonflow.models.load import load_model
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_MEASUREMENTS, expected_rows
from dixonflow.tables.schema import arrow_schema
from dixonflow.vocabulary import SHARD_STAGES, Grade, Layout, Reason, ScanId, Status

SCANS_PER_SHARD = 64
WITHDRAWING = 100
"""Participants who withdraw, each from a shard of its own where there are enough."""

STRUCTURES = 63
"""Times the 30 measures of each: as many rows as 75 structures with 25."""


def main(
    scans: Annotated[int, typer.Option(min=1, help="Scans of the synthetic cohort.")] = 100_000,
    folder: Annotated[
        Path | None, typer.Option(help="Where it is made, in a folder of its own; some 5 GB. Default: the system's.")
    ] = None,
) -> None:
    """Time dry run, second run, the start of a job, status, aggregation and a question to the tables."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="scale-") as name:
        _measure(Path(name), scans)


def _measure(folder: Path, n_scans: int) -> None:
    project, tenth = folder / "all", folder / "tenth"
    model, results, shards = _project(project, n_scans)
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "2"]
    _say(f"dry run, {len(shards)} shards to do", *_run(project, [*snakemake[:3], "--profile", "slurm", "--dry-run"]))

    stitch = ["-m", "dixonflow", "stage", "stitch", "--config", "results/config.json", "--shard", shards[0].name]
    _say("a job of stitch, all its zips empty", *_run(project, [sys.executable, *stitch]))

    rng = np.random.default_rng(1)
    for shard in shards:
        _rows(results, shard, model, rng)
    _run(project, [*snakemake, "--touch", "until_measure"])
    model, few, shards = _project(tenth, max(1, n_scans // 10))
    for shard in shards:
        _rows(few, shard, model, rng)
    # the speed of a machine that others share changes meanwhile: the small cohort goes before and after
    before, all_scans, after = (_aggregate(each) for each in (tenth, project, tenth))
    print(f"    time a row, all against a tenth: {2 * all_scans / (before + after):.3f}")
    _ask(results.tables / "measurements.parquet", n_scans)
    _say("status", *_run(project, [sys.executable, "-m", "dixonflow", "status", "--json"]))
    results.report.mkdir()
    (results.report / "report.html").touch()  # its pictures are of images
    _run(project, [*snakemake, "--touch"])
    seconds, peak_mb = _run(project, snakemake, "Nothing to be done")
    _say("second run, nothing to do", seconds, peak_mb)
    records = [path for path in (project / ".snakemake" / "metadata").rglob("*") if path.is_file()]
    print(f"files that hold Snakemake's records: {len(records) or 1}")
    step = max(1, n_scans // WITHDRAWING)
    (project / "list.csv").write_text("".join(f"{1_000_000 + number}\n" for number in range(0, n_scans, step)))
    withdraw = [sys.executable, "-m", "dixonflow", "withdraw", "--list", "list.csv"]
    _say(f"withdraw {len(range(0, n_scans, step))} participants", *_run(project, withdraw))


def _project(project: Path, n_scans: int) -> tuple[Model, Results, list[Shard]]:
    """A copy of the project and its cohort, of which nothing is done."""
    project.mkdir()
    model = _copy_project(project)
    results = Results(project / "results")
    shards = _cohort(project, results, n_scans)
    _run(project, [sys.executable, "-m", "snakemake", "--cores", "2", "--touch", "results/cohort/shards.txt"])
    return model, results, shards


def _aggregate(project: Path) -> float:
    """Seconds a row."""
    seconds, peak_mb = _run(
        project, [sys.executable, "-m", "dixonflow", "aggregate", "--config", "results/config.json"]
    )
    path = Results(project / "results").tables / "measurements.parquet"
    n_rows = pq.ParquetFile(path).metadata.num_rows
    _say(f"aggregate, {n_rows:,} measurements", seconds, peak_mb)
    print(f"    {seconds / n_rows * 1e6:.2f} us a row, {path.stat().st_size / 1e6:.0f} MB")
    return seconds / n_rows


def _copy_project(project: Path) -> Model:
    copy_project(project)
    path = project / "workflow" / "dixonflow" / "models" / "files" / "demo.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    taken = {structure.name for structure in structures_of(load_model(path))}
    parts = content["composites"]["kidneys"]
    free = sorted(set(structures()) - taken)[: STRUCTURES - len(taken)]
    content["composites"] |= dict.fromkeys(free, parts)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    config = project / "config.yaml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["cohort"] = {
        "sources": [{"layout": "ukb", "folder": "raw"}],
        "scans_per_shard": SCANS_PER_SHARD,
        "withdrawn": "withdrawn.txt",
    }
    settings["measure"]["profiles"] = False  # no shard has any here
    (project / "withdrawn.txt").touch()
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_model(path)


def _cohort(project: Path, results: Results, n_scans: int) -> list[Shard]:
    raw = project / "raw"
    raw.mkdir()
    entries = []
    for number in range(n_scans):
        path = raw / f"{1_000_000 + number}_20201_2_0.zip"
        path.touch()
        entries.append(RawScan(ScanId(str(1_000_000 + number), "2"), Layout.UKB, path.relative_to(project), "0" * 64))
    shards = [shard_of(entries[start : start + SCANS_PER_SHARD]) for start in range(0, n_scans, SCANS_PER_SHARD)]
    write_shards(results.shards, shards)
    rows = (
        CohortScan(
            entry, content_key="0" * 64,
            reason=Reason.NONE, message="", note="", shard=shard.name, n_stations=6, n_slices=264, attempt=1,
        )
        for shard in shards
        for entry in shard.scans
    )  # fmt: skip
    write_scans(results.scans, rows)
    results.found_digest.write_text("0" * 64)  # without it the dry run would show the cohort stage alone
    return shards


def _rows(results: Results, shard: Shard, model: Model, rng: np.random.Generator) -> None:
    """Write what the stages and `measure` say of a shard."""
    for stage in SHARD_STAGES:
        outcomes = [
            Outcome(entry.scan, stage, Status.OK, Reason.NONE, "", float(rng.uniform(1, 9)), 900.0, 0.0, 1, "0" * 64)
            for entry in shard.scans
        ]
        write_outcomes(results.outcomes(stage, shard.name), outcomes)
    kinds = sorted((structure, measure) for structure, measure, _ in expected_rows(model))
    names, measures = (np.array(column) for column in zip(*kinds, strict=True))
    n_scans, n_values = len(shard.scans), len(shard.scans) * len(kinds)
    ids = np.array([entry.scan.participant for entry in shard.scans])
    measurements = {
        "participant_id": np.tile(ids, len(kinds)),
        "session_id": np.full(n_values, "2"),
        "structure": np.repeat(names, n_scans),
        "measure": np.repeat(measures, n_scans),
        "value": rng.uniform(0, 1, n_values),
        "unit": np.repeat([MEASURES[name].unit for name in measures], n_scans),
        "definition": np.repeat([MEASURES[name].key for name in measures], n_scans),
        "grade": np.full(n_values, Grade.PASS.value),
        "missing_reason": pa.nulls(n_values, pa.string()),
        "model": np.full(n_values, model.name),
    }
    checks = sorted(expected_checks(model, [model]))
    names, of, _ = (np.array(column) for column in zip(*checks, strict=True))
    n_values = n_scans * len(checks)
    quality = {
        "participant_id": np.repeat(ids, len(checks)),
        "session_id": np.full(n_values, "2"),
        "check": np.tile(names, n_scans),
        "structure": np.tile(of, n_scans),
        "model": np.full(n_values, model.name),
        "value": rng.uniform(0, 1, n_values),
        "threshold": pa.nulls(n_values, pa.float64()),
        "grade": np.full(n_values, Grade.PASS.value),
        "place": np.full(n_values, ""),
    }
    for path, table, columns in (
        (results.measurements(shard.name), SHARD_MEASUREMENTS, measurements),
        (results.quality(shard.name), SHARD_QUALITY, quality),
    ):
        # not by write_table, whose checks would take longer than all that is timed; aggregate makes them
        pq.write_table(pa.table(columns, arrow_schema(table)), path, compression="zstd")


def _ask(table: Path, n_scans: int) -> None:
    question = f"""
        SELECT participant_id, value FROM '{table}' WHERE structure = 'liver' AND measure = 'volume'
    """
    started = time.perf_counter()
    found = duckdb.sql(question).fetchnumpy()
    seconds = time.perf_counter() - started
    if len(found["value"]) != n_scans:
        sys.exit(f"{n_scans} scans have a liver, DuckDB found {len(found['value'])}")
    print(f"{'the liver volume of all scans by DuckDB':45s} {seconds:8.2f} s")


def _run(project: Path, command: Sequence[str], expected: str = "") -> tuple[float, float]:
    """Run a command; seconds, and the largest resident memory (MB) of its largest process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(project / "workflow")}
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read().decode(errors="replace")
    if process.returncode or expected not in said:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said[-3000:]}")
    return seconds, usage.ru_maxrss * 1024 / 1e6


def _say(what: str, seconds: float, peak_mb: float) -> None:
    print(f"{what:45s} {seconds:8.1f} s {peak_mb:8.0f} MB", flush=True)


if __name__ == "__main__":
    typer.run(main)
