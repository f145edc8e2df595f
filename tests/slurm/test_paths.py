"""Paths in which a shell would see commands, and jobs on Slurm, which go through four shells."""

import sys
import sysconfig
import venv
from dataclasses import replace

import pytest
from project import Project
from project_copy import copy_project
from small_cohort import SCANS, make_small_cohort, small_config

from dixonflow.config import read_config

FOLDER = "it's Körper (neu) $(touch owned)"
RESULTS = "out $HOME `touch owned` \\x"


@pytest.fixture
def odd_project(tmp_path):
    """A project with a small scan, and a virtual environment in it with the packages of this one."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    copy_project(folder)
    make_small_cohort(folder / "raw", {SCANS[0]: 6.0})
    (folder / "withdrawn.txt").touch()
    venv.create(folder / ".venv", symlinks=True)
    packages = folder / ".venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    project = Project(folder, [small_config("raw")])
    yield project
    project.end()


@pytest.mark.slow
def test_no_path_is_run_as_a_command(cluster, odd_project, tmp_path):
    run = odd_project.slurm(RESULTS)
    python = str(odd_project.folder / ".venv/bin/python")
    replace(run, command=[python, "-m", *run.command]).to_the_end()
    assert read_config(run.results.config).results.name == RESULTS
    assert len(run.done()) > 0
    assert "datapackage.json" in run.tables()
    assert not list(tmp_path.rglob("owned*"))


@pytest.mark.parametrize("name", ["100%j", "a\\b"])
def test_slurm_is_asked_for_no_log_that_it_would_not_write(cluster, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    copy_project(folder)
    (folder / "raw").mkdir()
    (folder / "withdrawn.txt").touch()
    jobs = {number for number, *_ in cluster.jobs()}
    status, output = Project(folder, [small_config("raw")]).slurm("results").start().wait()
    assert status == 1, output
    assert "dixonflow: the path of the project folder contains " in output
    assert "Traceback" not in output
    assert {number for number, *_ in cluster.jobs()} == jobs  # those of other tests may still end
