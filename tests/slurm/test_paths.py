"""Paths in which a shell would see commands, and jobs on Slurm, which go through four of them."""

import pytest
from project import Project
from project_copy import copy_project
from small_cohort import SCANS, make_small_cohort, small_config

from dixonflow.config import read_config

RESULTS = "out $HOME `touch owned` \\x"


@pytest.fixture
def odd_project(tmp_path):
    folder = tmp_path / "it's Körper (neu) $(touch owned)"
    folder.mkdir()
    copy_project(folder)
    make_small_cohort(folder / "raw", {SCANS[0]: 6.0})
    (folder / "withdrawn.txt").touch()
    project = Project(folder, [small_config("raw")])
    yield project
    project.end()


def test_no_path_is_run_as_a_command(cluster, odd_project, tmp_path):
    run = odd_project.slurm(RESULTS)
    run.to_the_end()
    assert read_config(run.results.config).results.name == RESULTS
    assert len(run.done()) > 0
    assert "datapackage.json" in run.tables()
    assert not list(tmp_path.rglob("owned*"))
