"""Named scans run again on purpose; all others stay as they are."""

import sys

import pytest
from project_copy import call_in
from small_cohort import SCANS, make_small_cohort
from small_project import SmallProject


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("rerun"))
    make_small_cohort(project.raw / "bids", dict.fromkeys(SCANS, 6.0))
    broken = project.raw / "bids" / f"sub-{SCANS[2].participant}" / f"ses-{SCANS[2].session}" / "anat"
    next(broken.glob("*acq-fat_chunk-1_VIBE.nii.gz")).write_bytes(b"cut off")
    project.configure(["bids"])
    project.run()
    return project


def rerun(project: SmallProject, *words: str):
    return call_in(project.folder, sys.executable, "-m", "dixonflow", "rerun", *words)


def test_a_named_scan_is_made_again_and_no_other(project):
    before, tables = project.files("derivatives"), project.files("tables")
    done = rerun(project, SCANS[0].name)
    assert done.returncode == 0, done.stdout
    assert "processes 1 scans again and inspects 0 again" in done.stdout
    project.run()
    after = project.files("derivatives")
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name][0] != before[name][0]}
    assert changed == {name for name in after if SCANS[0].name in name}
    for name in ("measurements", "volumes", "quality", "scans"):
        assert project.files("tables")[f"{name}.parquet"][1] == tables[f"{name}.parquet"][1]
    assert "Nothing to be done" in project.run()


@pytest.mark.slow
def test_a_list_may_name_excluded_scans_too(project):
    (project.folder / "again.txt").write_text(f"{SCANS[1].name}\n{SCANS[2].name}\n")
    done = rerun(project, "--list", "again.txt")
    assert "processes 1 scans again and inspects 1 again" in done.stdout
    project.run()
    assert project.status()[SCANS[2].participant] == ("excluded", "unreadable_file")
    assert project.status()[SCANS[1].participant] == ("ok", "none")
    assert "Nothing to be done" in project.run()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sub-999_ses-2"], "1 of 1 scans are not in the run"),
        (["7000000"], "not a scan name"),
        (["--list", "nowhere.txt"], "cannot be read"),
        ([], "name scans"),
    ],
)
def test_what_cannot_be_meant_is_said_and_asks_for_nothing(project, words, message):
    done = rerun(project, *words)
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert "Nothing to be done" in project.run()
