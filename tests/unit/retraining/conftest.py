"""A tiny network that was planned and trained once for all tests of this folder."""

from dataclasses import dataclass

import pytest
from retraining_data import TINY, tiny_project

from dixonflow.retraining.project import Project


@dataclass(frozen=True)
class Planned:
    """A project whose round 1 is planned and preprocessed."""

    project: Project


@pytest.fixture(scope="session")
def planned(tmp_path_factory) -> Planned:
    from dixonflow.retraining.nnunet.plan import plan_training
    from dixonflow.retraining.nnunet.workspace import workspace_of
    from dixonflow.retraining.nnunet_raw import dataset_folder

    project = tiny_project(tmp_path_factory.mktemp("planned") / "project")
    plan_training(project, workspace_of(project, 1), TINY, dataset_folder(project, 1))
    return Planned(project)
