"""What goes wrong on one machine: one more call of the same command, and the tables are those of an undisturbed run."""

import errno
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from moment import stop_in_the_middle, wait_until_gone
from project import Project, Run
from project_copy import copy_project
from small_cohort import SCANS, make_small_cohort, small_config

from dixonflow.vocabulary import Stage


def reasons(run: Run) -> list[str]:
    """Reasons of all scans in the tables, in the order of their ids."""
    return pd.read_parquet(run.results.scan_table).sort_values("participant_id")["reason"].tolist()


def without_names(tables: dict[str, bytes]) -> dict[str, object]:
    """The tables; of `scans` its rows, without the folder of the raw data and the shard, named by its first content."""
    scans = pd.read_parquet(io.BytesIO(tables["scans.parquet"])).drop(columns=["source", "shard"])
    return {**tables, "scans.parquet": scans.to_json()}


def test_a_killed_snakemake_takes_its_jobs_along(project, undisturbed):
    run = project.local("results/killed_here")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.SEGMENT)
    script = moment.worker.parent()
    call.kill()
    wait_until_gone(script)  # or it would work on the same shard as the next call
    wait_until_gone(moment.worker)
    run.to_the_end()
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)
    assert "Nothing to be done" in run.to_the_end()


def test_a_worker_killed_in_the_middle_of_a_scan(project, undisturbed):
    run = project.local("results/worker")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.STITCH)
    moment.worker.kill()
    status, output = call.wait()
    assert status == 0, output
    assert sorted(reasons(run)) == ["none", "none", "worker_died"]
    run.to_the_end()
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)


def test_a_scan_that_takes_all_memory(tmp_path):
    """216 times the voxels, and a stitch job that has 200 MB for its worker; the next call gives twice as much."""
    copy_project(tmp_path)
    make_small_cohort(tmp_path / "raw", {SCANS[0]: 6.0, SCANS[1]: 1.0})
    (tmp_path / "withdrawn.txt").touch()
    project = Project(tmp_path, [small_config("raw")])
    whole = project.local("results/whole")
    whole.to_the_end()
    table = tmp_path / "workflow/dixonflow/run/resources.py"
    usual = table.read_text()
    small = usual.replace('"stitch": RuleResources(3400', '"stitch": RuleResources(200')
    assert small != usual
    table.write_text(small)
    run = project.local("results/memory")
    run.to_the_end()
    assert reasons(run) == ["none", "out_of_memory"]
    before = run.done()
    run.to_the_end()
    assert run.tables() == whole.tables()
    assert before.items() <= run.done().items()
    assert "Nothing to be done" in run.to_the_end()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 32 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a file system up to `leave` bytes, whatever others write to it meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while (room := _room(disk) - leave) > 0:
            try:
                file.write(bytes(min(room, 2**20)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


def _room(disk: Path) -> int:
    state = os.statvfs(disk)
    return state.f_bavail * state.f_frsize


def test_a_full_disk_while_writing(project, undisturbed, small_disk):
    run = project.local(str(small_disk / "results"))
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.STITCH)
    ballast = fill(small_disk, leave=0)  # no room for a record either: the job ends
    moment.worker.resume()
    status, output = call.wait()
    assert status == 1, output
    ballast.unlink()
    ballast = fill(small_disk, leave=2**15)  # room for records, too little for an image
    run.start().wait()
    logs = "".join(path.read_text() for path in (run.results.root / "logs").rglob("*.log"))
    assert "stitch: failed disk_full" in logs
    ballast.unlink()
    run.to_the_end()
    assert run.tables() == undisturbed.tables
    moment.nothing_was_done_twice(run)


def test_files_half_written_by_another_program(project, undisturbed, tmp_path):
    """One of the raw files, which is still being copied, and a stitched image, on which a stranger has laid hands."""
    raw = tmp_path / "raw"
    shutil.copytree(project.folder / "raw", raw)
    half = next(raw.rglob(f"{SCANS[2].name}_acq-fat_chunk-2_VIBE.nii.gz"))
    content = half.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    here = Project(project.folder, [small_config(str(raw))], project.calls)
    run = here.local("results/half")
    call = run.start()
    moment = stop_in_the_middle(call, run, Stage.STITCH)
    image = next(path for path in moment.images if "_acq-water_" in path.name)
    image.write_bytes(image.read_bytes()[:1000])
    moment.worker.resume()
    status, output = call.wait()
    assert status == 0, output
    assert sorted(reasons(run)) == ["internal_error", "none", "unreadable_file"]
    before = run.done()
    half.write_bytes(content)  # the copy has come to its end
    image.unlink()  # as the message says
    run.to_the_end()
    assert without_names(run.tables()) == without_names(undisturbed.tables)
    whole = {key for key in before if key[1] not in {SCANS[2].name, image.name.split("_acq-")[0]}}
    assert {key: before[key] for key in whole}.items() <= run.done().items()
