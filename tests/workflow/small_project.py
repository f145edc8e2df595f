"""A copy of the project with a cohort of small scans, and calls of the workflow as its user makes them."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml
from project_copy import call_in, copy_project


class SmallProject:
    """A copy of the project in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw = folder / "raw"
        self.withdrawn = folder / "withdrawn.txt"
        folder.mkdir(parents=True, exist_ok=True)
        copy_project(folder)
        self.raw.mkdir(exist_ok=True)
        self.withdrawn.touch()

    def configure(self, layouts: Sequence[str], stations: int | None = None, **sections: object) -> None:
        """Write config.yaml for a source of each layout, `raw/<layout>`, of scans with a number of stations."""
        for layout in layouts:
            (self.raw / layout).mkdir(exist_ok=True)
        sources: list[dict[str, object]] = [{"layout": layout, "folder": f"raw/{layout}"} for layout in layouts]
        if stations is not None:
            sources = [source | {"stations": stations} for source in sources]
        content: dict[str, object] = {
            "results": "results",
            "cohort": {"sources": sources, "withdrawn": "withdrawn.txt", "scans_per_shard": 8},
            "segment": {"threads": 1, "device": "cpu"},
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(content | sections))

    def call(self, *options: str, caller: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Call Snakemake, by the words of another program if any, output and errors together."""
        snakemake = str(Path(sys.executable).with_name("snakemake"))
        return call_in(self.folder, *caller, snakemake, "--cores", "2", *options)

    def run(self, *options: str) -> str:
        """Call Snakemake, which must end well."""
        done = self.call(*options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def stage(self, name: str, scan: str) -> subprocess.CompletedProcess[str]:
        """Run a stage by hand on one scan."""
        return call_in(self.folder, sys.executable, "-m", "dixonflow", "stage", name, "--scan", scan)

    def table(self, name: str, results: str = "results") -> pd.DataFrame:
        """A table of the run."""
        return pd.read_parquet(self.folder / results / "tables" / f"{name}.parquet")

    def files(self, below: str) -> dict[str, tuple[int, bytes]]:
        """Date and content of every file below a folder of the results."""
        folder = self.folder / "results" / below
        return {
            str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def status(self) -> dict[str, tuple[str, str]]:
        """Status and reason of every participant of the table."""
        scans = self.table("scans")
        return {row.participant_id: (row.status, row.reason) for row in scans.itertuples()}
