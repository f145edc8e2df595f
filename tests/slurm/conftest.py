"""A simulated Slurm cluster with the real daemons, and copies of the project with cohorts to run on it or locally."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cluster import Cluster, why_not
from project import Project, Run
from project_copy import ROOT, copy_project
from small_cohort import SCANS, make_small_cohort, small_config
from watch import Watch

from dixonflow.phantom.demo_cohort import DemoOptions, make_demo_cohort

# a module beside the tests that asserts: its failures say what was compared, as those of tests do
pytest.register_assert_rewrite("moment")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Iterator[Project]:
    """The project with three small scans."""
    folder = tmp_path_factory.mktemp("small")
    copy_project(folder)
    make_small_cohort(folder / "raw", dict.fromkeys(SCANS, 6.0))
    (folder / "withdrawn.txt").touch()
    project = Project(folder, [small_config("raw")])
    yield project
    project.end()


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Iterator[Project]:
    """The project with the demo cohort, which `config.yaml` names."""
    folder = tmp_path_factory.mktemp("demo")
    copy_project(folder)
    if (ROOT / "demo").is_dir():  # made before: what is already correct is not rebuilt
        shutil.copytree(ROOT / "demo", folder / "demo")
    make_demo_cohort(folder / "demo/raw", DemoOptions(), 2, lambda _: None)
    project = Project(folder)
    yield project
    project.end()


@dataclass(frozen=True)
class Undisturbed:
    """A run of the small cohort on this machine in which nothing died.

    Attributes
    ----------
    tables
        Its tables.
    watch
        Who read its files during the run.
    """

    run: Run
    tables: dict[str, bytes]
    watch: Watch


@pytest.fixture(scope="session")
def undisturbed(project) -> Undisturbed:
    run = project.local("results/undisturbed")
    with Watch(run.results.root) as watch:
        run.to_the_end()
    return Undisturbed(run, run.tables(), watch)
