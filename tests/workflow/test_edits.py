"""Random edits of a finished cohort, each followed by one call: the tables are those of a run from scratch.

DIXONFLOW_EDITS="10 10" runs ten sequences of ten edits (make edits); make test-all runs one of three.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from small_project import SmallProject
from small_scans import nako_stations, trunk_stations

from dixonflow.phantom.writers.bids import write_bids
from dixonflow.phantom.writers.dicom import write_nako
from dixonflow.vocabulary import ScanId

SEQUENCES, LENGTH = map(int, os.environ.get("DIXONFLOW_EDITS", "1 3").split())
SEED = int(os.environ.get("DIXONFLOW_EDITS_SEED", "0"))
SESSIONS = 6
"""Recordings of two phantom participants that the cohort is made of, each with noise of its own."""


class Pool:
    """Whole scans to deliver: zips of NAKO and sessions of BIDS."""

    def __init__(self, folder: Path) -> None:
        self.zips, self.sessions = [], []
        for session in range(SESSIONS):
            scan = ScanId("1", "30")
            self.zips.append(write_nako(folder / f"nako{session}", scan, nako_stations(session)))
            self.sessions.append(write_bids(folder / f"bids{session}", ScanId("1", "2"), trunk_stations(session)))


class Cohort:
    """A cohort under edit. Every edit is drawn from the state that the edits before have left."""

    def __init__(self, project: SmallProject, pool: Pool, seed: int) -> None:
        self.project, self.pool, self.random = project, pool, random.Random(seed)
        self.free = list(range(100000, 100200))
        self.nako, self.bids = project.raw / "nako", project.raw / "bids"
        self.history: list[str] = []
        for recording in (0, 1):
            self.deliver_zip(recording)
        self.deliver_session(0)

    def new_id(self) -> str:
        return str(self.free.pop(0))

    def deliver_zip(self, recording: int) -> None:
        shutil.copy(self.pool.zips[recording], self.nako / f"{self.new_id()}_30.zip")

    def deliver_session(self, recording: int) -> None:
        self.copy_session(recording, self.new_id())

    def copy_session(self, recording: int, participant: str) -> None:
        anat = self.bids / f"sub-{participant}" / "ses-2" / "anat"
        anat.mkdir(parents=True, exist_ok=True)
        for path in self.pool.sessions[recording].iterdir():
            shutil.copy(path, anat / path.name.replace("sub-1_", f"sub-{participant}_"))

    def zip_(self) -> Path:
        return self.random.choice(sorted(self.nako.glob("*.zip")))

    def session(self) -> Path:
        return self.random.choice(sorted(self.bids.glob("sub-*/ses-2/anat")))

    def participants(self) -> list[str]:
        zips = [path.name.split("_")[0] for path in self.nako.glob("*.zip")]
        return sorted(zips + [path.name.removeprefix("sub-") for path in self.bids.glob("sub-*")])

    def recording(self) -> int:
        return self.random.randrange(SESSIONS)

    # ---- the edits

    def withdraw(self) -> None:
        with self.project.withdrawn.open("a") as file:
            file.write(f"{self.random.choice(self.participants())}\n")

    def return_(self) -> None:
        ids = sorted(set(self.project.withdrawn.read_text().split()))
        kept = ids[1:] if ids else []
        self.project.withdrawn.write_text("".join(f"{each}\n" for each in kept))

    def add_good(self) -> None:
        self.random.choice((self.deliver_zip, self.deliver_session))(self.recording())

    def add_broken(self) -> None:
        content = self.pool.zips[self.recording()].read_bytes()
        cut = self.random.randrange(len(content))
        (self.nako / f"{self.new_id()}_30.zip").write_bytes(content[:cut])

    def damage(self) -> None:
        """Bytes in the middle are overwritten in place, dates put back where the dice say so."""
        path = self.random.choice((self.zip_(), self.random.choice(sorted(self.session().glob("*.nii.gz")))))
        state = path.stat()
        with path.open("r+b") as file:
            file.seek(self.random.randrange(state.st_size // 4, max(state.st_size // 4 + 1, state.st_size // 2)))
            file.write(self.random.randbytes(60))
        if self.random.random() < 0.5:
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    def fetch_again(self) -> None:
        """A whole scan in place of what lies there, under the same name."""
        if self.random.random() < 0.7:
            shutil.copy(self.pool.zips[self.recording()], self.zip_())
        else:
            self.copy_session(self.recording(), self.session().parents[1].name.removeprefix("sub-"))

    def correct_in_place(self) -> None:
        """Other pixels in the same file, of which only the inode stays."""
        anat, recording = self.session(), self.recording()
        for path in self.pool.sessions[recording].glob("*.nii.gz"):
            participant = anat.parents[1].name
            with (anat / path.name.replace("sub-1_", f"{participant}_")).open("r+b") as file:
                file.write(path.read_bytes())
                file.truncate()

    def rename(self) -> None:
        path = self.zip_()
        path.rename(path.with_name(f"{self.new_id()}_30.zip"))

    def remove(self) -> None:
        if self.random.random() < 0.6:
            if len(list(self.nako.glob("*.zip"))) > 1:
                self.zip_().unlink()
        elif len(list(self.bids.glob("sub-*"))) > 1:
            shutil.rmtree(self.session().parents[1])

    EDITS = (withdraw, return_, add_good, add_broken, damage, fetch_again, correct_in_place, rename, remove)

    def edit(self) -> None:
        chosen: Callable[[Cohort], None] = self.random.choice(self.EDITS)
        self.history.append(chosen.__name__)
        chosen(self)


def assert_equal_tables(project: SmallProject, one: str, other: str) -> None:
    """Byte for byte, but for `timings` and the column `shard`."""
    folder = project.folder
    names = sorted(path.name for path in (folder / one / "tables").iterdir())
    assert names == sorted(path.name for path in (folder / other / "tables").iterdir())
    for name in names:
        if name == "scans.parquet":
            both = [project.table("scans", results).drop(columns="shard") for results in (one, other)]
            pd.testing.assert_frame_equal(*both)
        elif name != "timings.parquet":
            assert (folder / one / "tables" / name).read_bytes() == (folder / other / "tables" / name).read_bytes(), (
                name
            )


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + SEQUENCES))
def test_after_any_edits_the_tables_are_those_of_a_run_from_scratch(tmp_path, pool, seed):
    project = SmallProject(tmp_path / "project")
    project.configure(["nako", "bids"])
    cohort = Cohort(project, pool, seed)
    project.run()
    for _ in range(LENGTH):
        cohort.edit()
        project.run()
        assert "Nothing to be done" in project.run(), cohort.history
    project.run("--config", "results=scratch")
    try:
        assert_equal_tables(project, "results", "scratch")
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {' '.join(cohort.history)}") from error
