"""A cohort on DNAnexus (scripts/dnanexus.py), with a stand-in for `dx`: its jobs are processes of this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from pandas.testing import assert_frame_equal
from project_copy import call_in
from small_cohort import SCANS, SCANS_PER_SHARD, make_small_cohort
from small_project import SmallProject

DX = Path(__file__).resolve().parents[1] / "helpers" / "stand_in_dx.py"
MACHINE_TABLES = ("timings",)
"""Of two equal runs they differ."""


class Platform:
    """A project of the platform, and calls of scripts/dnanexus.py by its user."""

    def __init__(self, folder: Path) -> None:
        self.project = SmallProject(folder / "project")
        self.files = folder / "files"
        self.raw = self.files / "Bulk" / "mri"
        self.raw.mkdir(parents=True)
        (self.files / "image.tar.gz").write_bytes(b"")
        program = folder / "bin" / "dx"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{DX}" "$@"\n')
        program.chmod(0o755)
        self.environment = {"STAND_IN_DX": str(self.files), "PATH": f"{program.parent}:{os.environ['PATH']}"}
        self.manifest = self.project.folder / "manifest.txt"
        self.manifest.write_text("eid\n" + "".join(f"{scan.participant},{scan.session}\n" for scan in SCANS))
        self.configure(self.raw)

    def configure(self, raw: Path) -> None:
        self.project.configure([])
        config = self.project.folder / "config.yaml"
        content = yaml.safe_load(config.read_text())
        cohort = {"sources": [{"layout": "bids", "folder": str(raw)}], "scans_per_shard": SCANS_PER_SHARD}
        content["cohort"] = cohort | {"withdrawn": None, "covariates": None}
        config.write_text(yaml.safe_dump(content))

    def call(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = ["--manifest", "manifest.txt", "--config", "config.yaml", "--image", "/image.tar.gz"]
        words += ["--instance-type", "mem2_ssd1_v2_x4", "--code", str(self.project.folder), *options]
        script = str(self.project.folder / "scripts" / "dnanexus.py")
        return call_in(self.project.folder, sys.executable, script, command, *words, **self.environment)

    def submit(self, *options: str) -> str:
        called = self.call("submit", "--scans-per-job", str(SCANS_PER_SHARD), *options)
        assert called.returncode == 0, called.stdout
        return called.stdout

    def dx(self, *words: str) -> subprocess.CompletedProcess[str]:
        return call_in(self.project.folder, "dx", *words, **self.environment)

    def jobs(self) -> list[str]:
        """The last job of every part."""
        content = json.loads((self.project.folder / "dnanexus_run" / "run.json").read_text())
        return [part["jobs"][-1] for part in content["parts"].values()]

    def job(self, job: str) -> dict[str, object]:
        return json.loads(self.dx("describe", "--json", job).stdout)

    def log(self, job: str) -> str:
        return (self.files / ".jobs" / f"{job}.log").read_text()


@pytest.fixture
def platform(tmp_path):
    return Platform(tmp_path)


def test_a_job_that_fails_says_why_and_is_submitted_again_a_few_times(platform):
    platform.configure(platform.files / "Bulk" / "elsewhere")
    assert platform.submit("--max-tries", "2", "--scans-per-job", "64") == "1 submitted\n"
    first = platform.jobs()
    assert platform.dx("wait", *first).returncode != 0
    assert "elsewhere" in platform.log(first[0])
    assert "Traceback" not in platform.log(first[0])
    why = "1 ended badly: AppError: Command failed with code 1\n"
    assert platform.submit("--max-tries", "2") == f"1 submitted again\n{why}"
    second = platform.jobs()
    assert second != first
    platform.dx("wait", *second)
    last = platform.call("submit", "--max-tries", "2")
    assert (last.returncode, platform.jobs()) == (1, second)
    assert last.stdout.startswith(f"1 failed\n{why}dnanexus: parts failed 2 times")
    early = platform.call("collect")
    assert (early.returncode, early.stdout) == (
        1,
        "dnanexus: 1 parts are not done, 0 lines are in no part: call submit until all are done\n",
    )


def test_what_cannot_be_submitted_is_refused_in_one_line(platform):
    platform.manifest.write_text("eid\n")
    empty = platform.call("submit")
    assert (empty.returncode, empty.stdout) == (1, "dnanexus: the list of scans to include manifest.txt holds no id\n")
    platform.manifest.write_text("7000000,2\n")
    image = platform.call("submit", "--image", "/other.tar.gz", "--run", "other")
    missing = 'dxpy.utils.resolver.ResolutionError: Unable to resolve "/other.tar.gz" to a data object'
    assert (image.returncode, image.stdout) == (1, f"dnanexus: dx run failed: {missing}\n")
    platform.configure(platform.files / "elsewhere")
    platform.submit()
    platform.configure(platform.raw)
    changed = platform.call("submit")
    assert (changed.returncode, changed.stdout) == (
        1,
        "dnanexus: dnanexus_run was begun with another config.yaml config: use a new --run folder and --destination\n",
    )
    platform.environment["PATH"] = "/usr/bin:/bin"
    without = platform.call("submit", "--run", "third")
    assert (without.returncode, without.stdout.splitlines()[-1]) == (
        1,
        "dnanexus: dx is not installed: install dx-toolkit (pip install dxpy), then dx login",
    )


def test_new_lines_of_the_list_become_new_parts_and_old_parts_stay(platform):
    platform.configure(platform.files / "elsewhere")
    platform.manifest.write_text("7000002\n7000001,2\n")
    platform.submit()
    before = json.loads((platform.project.folder / "dnanexus_run" / "run.json").read_text())["parts"]
    platform.manifest.write_text("7000000\n7000001,2\n7000002\n")
    platform.dx("wait", *platform.jobs())
    assert "1 submitted\n" in platform.submit()
    after = json.loads((platform.project.folder / "dnanexus_run" / "run.json").read_text())["parts"]
    assert [part["lines"] for part in before.values()] == [["7000001,2", "7000002"]]
    assert sorted(part["lines"] for part in after.values()) == [["7000000"], ["7000001,2", "7000002"]]


@pytest.mark.slow
def test_the_tables_are_those_of_a_plain_run_although_a_job_was_killed(platform, tmp_path):
    make_small_cohort(platform.raw, dict.fromkeys(SCANS, 12.0))
    assert platform.submit() == "2 submitted\n"
    lost = platform.jobs()[0]
    until = time.monotonic() + 300
    while "stitch" not in platform.log(lost):  # in the middle of its work
        assert time.monotonic() < until, platform.log(lost)
        time.sleep(0.1)
    os.killpg(int(str(platform.job(lost)["stand_in_process"])), signal.SIGKILL)
    assert platform.dx("wait", lost).returncode != 0
    again = platform.submit()
    assert "1 submitted again\n" in again
    assert "1 ended badly: UnresponsiveWorker: The worker was lost\n" in again
    assert platform.dx("wait", *platform.jobs()).returncode == 0, platform.log(platform.jobs()[0])
    assert platform.submit() == "2 done\n"
    collected = platform.call("collect", "--mount", str(platform.files))
    assert collected.returncode == 0, collected.stdout
    assert platform.dx("wait", collected.stdout.strip()).returncode == 0, platform.log(collected.stdout.strip())
    folder = tmp_path / "tables"
    folder.mkdir()
    shutil.unpack_archive(platform.files / "dixonflow" / "tables.tar.gz", folder, filter="data")
    assert (folder / "results/report/report.html").is_file()
    # The seconds are those of the parts: the last job did not segment again.
    seconds = dict[str, float]()
    for part in (platform.files / "dixonflow" / "parts").iterdir():
        shutil.unpack_archive(part, folder / part.stem, filter="data")
        for rows in (folder / part.stem / "results" / "segment").glob("*.parquet"):
            seconds |= pd.read_parquet(rows).set_index("participant_id")["seconds"].to_dict()
    timings = pd.read_parquet(folder / "results/tables/timings.parquet").query("stage == 'segment'")
    assert timings.set_index("participant_id")["seconds"].to_dict() == seconds
    platform.project.run()
    plain = platform.project.folder / "results" / "tables"
    names = sorted(path.name for path in plain.glob("*.parquet"))
    assert names == sorted(path.name for path in (folder / "results" / "tables").glob("*.parquet"))
    for name in names:
        if name.removesuffix(".parquet") not in MACHINE_TABLES:
            assert_frame_equal(pd.read_parquet(folder / "results" / "tables" / name), pd.read_parquet(plain / name))
