"""What changes between two calls reaches the tables by the same command, whatever Snakemake's dates say."""

import gzip
import os
import shutil
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from small_project import SmallProject
from small_scans import nako_stations, trunk_stations

from dixonflow.phantom.writers.bids import write_bids
from dixonflow.phantom.writers.dicom import write_nako
from dixonflow.vocabulary import ScanId

FIRST, SECOND = "200000", "200001"


def padded(path: Path, values: np.ndarray | None = None) -> None:
    """Write an image again as other writers do: not deflated, padded with zeros: its end tells nothing."""
    image = nib.load(path)
    data = np.asarray(image.dataobj) if values is None else values.astype(image.get_data_dtype())
    content = gzip.compress(nib.Nifti1Image(data, image.affine).to_bytes(), compresslevel=0, mtime=0)
    content += bytes(-len(content) % 4096)
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("changes"))
    project.configure(["nako", "bids"])
    for session, participant in enumerate((FIRST, SECOND)):
        write_bids(project.raw / "bids", ScanId(participant, "2"), trunk_stations(session))
    for path in (project.raw / "bids" / f"sub-{SECOND}").rglob("*.nii.gz"):
        padded(path)
    project.run()
    return project


def pictures(project: SmallProject) -> set[str]:
    return {path.name for path in (project.folder / "results/report/contact_sheets").iterdir()}


def summary(output: str) -> dict[str, int]:
    lines = [line.split() for line in output.splitlines()]
    return {" ".join(words[:-1]): int(words[-1]) for words in lines if words and words[-1].isdigit()}


@pytest.mark.slow
def test_who_withdraws_leaves_the_tables_and_the_pictures_and_may_return(project):
    tables, before = project.files("tables"), pictures(project)
    project.withdrawn.write_text(f"{FIRST}\n")
    output = project.run()
    assert summary(output)["withdrawn"] == 1
    assert project.status()[FIRST] == ("withdrawn", "consent_withdrawn")
    for table in ("measurements", "volumes", "fat_compartments", "quality", "timings"):
        assert FIRST not in set(project.table(table)["participant_id"]), table
    assert len(before - pictures(project)) == 1
    lists = "".join(path.read_text() for path in (project.folder / "results/cohort/shards").iterdir())
    assert f"sub-{FIRST}" not in lists, "the path of the raw data"
    for path in (project.folder / "results/measure").glob("*.measurements.parquet"):
        assert FIRST.encode() not in path.read_bytes()
    assert "Nothing to be done" in project.run()

    project.withdrawn.write_text("")
    project.run()
    assert pictures(project) == before
    after = project.files("tables")
    assert {name: content for name, (_, content) in after.items() if name != "timings.parquet"} == {
        name: content for name, (_, content) in tables.items() if name != "timings.parquet"
    }


@pytest.mark.slow
def test_who_returns_without_raw_data_is_not_worked_on(project):
    project.withdrawn.write_text(f"{FIRST}\n")
    project.run()
    folder = project.raw / "bids" / f"sub-{FIRST}"
    away = folder.rename(project.raw / folder.name)
    project.withdrawn.write_text("")
    output = project.run()
    assert summary(output)["scans in"] == 1
    assert "Nothing to be done" in project.run()
    by_hand = project.stage("stitch", f"sub-{FIRST}_ses-2")
    assert by_hand.returncode != 0
    assert "the participant has withdrawn, or had withdrawn and the raw data is missing" in by_hand.stdout

    away.rename(folder)
    project.run()
    assert project.status()[FIRST] == ("ok", "none")


def test_a_broken_zip_gets_its_row_and_one_fetched_again_its_values(project, tmp_path):
    whole = write_nako(tmp_path, ScanId("100000", "30"), nako_stations())
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = bytes(60)
    target = project.raw / "nako" / whole.name
    target.write_bytes(content)
    assert summary(project.run())["scans in"] == 3
    assert project.status()["100000"] == ("excluded", "unreadable_file")

    # whole again, in place, of the same size and with the date it had: the inode's own change time tells
    state = target.stat()
    with target.open("r+b") as file:
        file.write(whole.read_bytes())
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))
    project.run()
    assert project.status()["100000"] == ("ok", "none")
    target.unlink()
    assert "raw/nako held 1 scans and now holds none" in project.call().stdout
    project.configure(["bids"])
    project.run()
    assert "100000" not in project.status()


def test_an_image_corrected_in_place_gives_new_values(project):
    before = project.table("volumes").set_index("participant_id").loc[SECOND]
    for contrast in ("water", "fat", "inphase", "opposedphase"):
        for path in (project.raw / "bids" / f"sub-{SECOND}").rglob(f"*acq-{contrast}_*.nii.gz"):
            size, end = path.stat().st_size, path.read_bytes()[-8:]
            padded(path, np.asarray(nib.load(path).dataobj)[::-1])
            assert (path.stat().st_size, path.read_bytes()[-8:]) == (size, end) == (size, bytes(8))
    project.run()
    after = project.table("volumes").set_index("participant_id").loc[SECOND]
    assert after["liver_volume_ml"] != before["liver_volume_ml"]


@pytest.mark.slow
def test_a_dead_cohort_job_and_a_clock_that_was_wrong_hide_nothing(project):
    """As it was seen: the list of shards is gone, new data is there, and all results are dated in the future."""
    shutil.copytree(project.raw / "bids" / f"sub-{FIRST}", project.raw / "bids" / "sub-200007")
    for path in sorted((project.raw / "bids" / "sub-200007").rglob("*"), reverse=True):
        if path.is_file():
            path.rename(path.with_name(path.name.replace(FIRST, "200007")))
    anat = next((project.raw / "bids" / "sub-200007").rglob("anat"))
    for path in anat.glob("*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:, ::-1], image.affine), path)
    results = project.folder / "results"
    (results / "cohort/shards.txt").unlink()
    (results / "cohort/scans.sha256").unlink()
    ahead = time.time() + 2 * 86400
    for path in results.rglob("*"):
        os.utime(path, (ahead, ahead))
    output = project.run()
    assert "Nothing to be done" not in output
    assert (results / "cohort/shards.txt").exists()
    assert project.status()["200007"][0] == "ok"
    assert "Nothing to be done" in project.run()

    # and a change after that, while what was made is dated ahead
    for path in results.rglob("*"):
        os.utime(path, (ahead, ahead))
    shutil.rmtree(project.raw / "bids" / "sub-200007")
    project.run()
    assert "200007" not in project.status()


def test_tables_that_do_not_account_for_the_raw_folders_are_made_again(project):
    """Whatever the cause: the law is checked where nothing is to be done too."""
    scans = project.folder / "results/tables/scans.parquet"
    import pyarrow.parquet as pq

    rows = pq.read_table(scans)
    pq.write_table(rows.slice(1), scans)
    output = project.run()
    assert "Nothing to be done" not in output
    assert set(project.status()) == {FIRST, SECOND}


def test_a_disk_that_is_not_mounted_takes_no_scan_from_the_tables(project):
    tables, raw = project.files("tables"), project.raw / "bids"
    away = raw.rename(raw.with_name("away"))
    raw.mkdir()
    sources = yaml.safe_load((project.folder / "config.yaml").read_text())["cohort"]["sources"]
    place = [source["layout"] for source in sources].index("bids")  # a test before may have taken the others out
    refused = project.call()
    assert refused.returncode != 0
    said = f"config: cohort.sources.{place}.folder: raw/bids held 2 scans and now holds none: is its disk mounted?"
    assert said in refused.stdout
    assert "Traceback" not in refused.stdout
    assert project.files("tables") == tables

    raw.rmdir()
    away.rename(raw)
    assert "Nothing to be done" in project.run()
    assert project.files("tables") == tables
