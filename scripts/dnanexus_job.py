#!/usr/bin/env python3
"""What a job on DNAnexus does, as on UK Biobank's platform: process a part of the cohort, or collect all parts.

scripts/dnanexus.py submits these jobs. Both write one file into the working folder, which the platform keeps.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from dixonflow.cohort.table import CohortScan, read_scans, write_scans
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.paths import Results
from dixonflow.system.atomic import write_json

PROJECT = Path(__file__).resolve().parents[1]
TABLES = "tables.tar.gz"
_NOT_PACKED = ("temporary", "run.lock", "run.json")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
ConfigFile = Annotated[Path, typer.Option(help="Configuration; its paths are absolute.")]
ScanList = Annotated[Path, typer.Option(help="List of scans, as for cohort.include.")]


def run_workflow(folder: Path, config: Path, scans: Path, *targets: str) -> None:
    """Run the workflow on listed scans, with results below `folder`, on all cores and nine tenths of the memory.

    Raises
    ------
    DixonflowError
        If the configuration is wrong, or the run does not end well: its output has said why.
    """
    settings = read_config(config)
    if settings.cohort.include is not None:
        raise ConfigError("config: cohort.include: remove it, the list of the job takes its place")
    content: dict[str, Any] = settings.model_dump(mode="json")
    content["results"] = "results"
    content["cohort"]["include"] = str(scans.resolve())
    write_json(folder / "config.yaml", content)  # JSON is YAML
    memory_mb = psutil.virtual_memory().total // 2**20 * 9 // 10
    snakemake = Path(sys.executable).with_name("snakemake")
    words = [str(snakemake), *targets, "--snakefile", str(PROJECT / "Snakefile"), "--cores", "all"]
    run = subprocess.run([*words, "--resources", f"mem_mb={memory_mb}"], cwd=folder, check=False)
    if run.returncode != 0:
        raise DixonflowError("the run did not end well: see above")


def pack(target: Path, folder: Path, members: Sequence[str]) -> None:
    """Pack files and folders of `folder` into `target`, which appears whole."""
    unfinished = target.with_name(f".{target.name}")
    excluded = [f"--exclude=results/{name}" for name in _NOT_PACKED]
    compressed = ["--gzip"] if target.suffix == ".gz" else []
    words = ["tar", "--create", *compressed, "--file", str(unfinished), "--directory", str(folder), *excluded, *members]
    subprocess.run(words, check=True)
    unfinished.rename(target)


@app.command()
def part(config: ConfigFile, scans: ScanList) -> None:
    """Process the listed scans up to their measurements, and pack the results as <name of the list>.tar."""
    with _Folder() as folder:
        run_workflow(folder, config, scans, "until_measure")
        pack(Path(f"{scans.stem}.tar"), folder, ["results"])


@app.command()
def collect(
    config: ConfigFile,
    scans: ScanList,
    parts: Annotated[Path, typer.Option(help="Folder of the packed parts.")],
    names: Annotated[Path, typer.Option(help="File with the names of all parts, one per line.")],
) -> None:
    """Bring the results of all parts together, run the workflow on them, and pack the tables and the report.

    The run finds the work of the parts done, by its content keys. It does what a part cannot: find scans that two
    parts hold under different names, and count the scans of the raw folders.
    """
    with _Folder() as folder:
        results, rows = Results(folder / "results"), dict[tuple[str, str], CohortScan]()
        for name in names.read_text(encoding="utf-8").split():
            packed = parts / f"{name}.tar"
            if not packed.is_file():
                raise DixonflowError(f"the results of a part are not there: {packed}")
            unpacked = subprocess.run(
                ["tar", "--extract", "--file", str(packed), "--directory", str(folder)], check=False
            )
            if unpacked.returncode != 0:
                raise DixonflowError(f"the results of a part are damaged: {packed}: remove it and submit again")
            rows |= {(row.scan.name if row.scan else "", str(row.entry.path)): row for row in read_scans(results.scans)}
        write_scans(results.scans, rows.values())
        run_workflow(folder, config, scans)
        pack(Path(TABLES), folder, [f"results/{name}" for name in ("tables", "report", "summary.txt", "config.json")])


class _Folder:
    """A folder outside the working folder, of which every file would be kept."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="dixonflow-"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def main() -> None:
    """Run a command; an error is one line."""
    try:
        app()
    except DixonflowError as error:
        sys.exit(f"dnanexus_job: {error}")


if __name__ == "__main__":
    main()
