"""What a training must not be: on participants who may not be trained on, of other settings, of a fold that is none."""

import subprocess
import sys

import pytest
from retraining_data import TINY, copied_project, tiny_project
from typer.testing import CliRunner

from dixonflow.cli.networks.retrain import retrain_command
from dixonflow.retraining.leakage import LeakageError, image_digests
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger
from dixonflow.retraining.nnunet.jobs import train_in_jobs
from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.settings import Mixture, Plan, keep_settings, settings_to_train, write_settings
from dixonflow.retraining.nnunet.workspace import checked_fold, workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import Project, RetrainingError, open_project
from dixonflow.vocabulary import ScanId


def plan(project: Project, settings=TINY) -> None:
    plan_training(project, workspace_of(project, 1), settings, dataset_folder(project, 1))


def test_a_case_of_a_test_participant_or_with_its_voxels_is_not_planned(tmp_path):
    project = tiny_project(tmp_path / "project")
    image = dataset_folder(project, 1) / "imagesTr" / "case_0002_0000.nii.gz"
    tested = Entry(Step.SELECTED, 0, CaseSet.TEST, ScanId("8000", "2"), "case_0009", image_digests([image]))
    append_to_ledger(project.ledger, [tested])
    with pytest.raises(LeakageError, match="its voxels are those of sub-8000_ses-2, a test participant"):
        plan(project)
    append_to_ledger(project.ledger, [Entry(Step.FROZEN, 0, CaseSet.TEST, ScanId("70000", "2"))])
    with pytest.raises(LeakageError, match="70000 is a frozen test participant"):
        plan(project)
    assert not workspace_of(project, 1).root.exists()


def test_a_participant_who_has_withdrawn_since_is_not_planned(tmp_path):
    project = tiny_project(tmp_path / "project")
    (tmp_path / "withdrawn.txt").write_text("participant_id\n70001\n")
    cohort = project.config.cohort.model_copy(update={"withdrawn": tmp_path / "withdrawn.txt"})
    changed = project.config.model_copy(update={"cohort": cohort})
    (project.root / "config.json").write_text(changed.model_dump_json())
    with pytest.raises(LeakageError, match="case_0002: its participant has withdrawn"):
        plan(open_project(project.root))


def test_a_plan_that_failed_with_other_settings_is_no_plan(planned, tmp_path):
    project = copied_project(planned.project, tmp_path / "project")
    patch = TINY.plan.model_copy(update={"patch_voxels": (8, 8, 8)})
    other = TINY.model_copy(update={"plan": Plan.model_validate(patch.model_dump()), "mixture": Mixture(ct=tmp_path)})
    with pytest.raises(RetrainingError, match=r"mixture\.ct"):
        plan(project, other)
    assert workspace_of(project, 1).settings == TINY  # what its plan was made with


def test_changed_settings_are_not_ignored_and_those_of_machines_are_taken(planned, tmp_path):
    project = copied_project(planned.project, tmp_path / "project")
    workspace = workspace_of(project, 1)
    write_settings(project.root, TINY.model_copy(update={"job_minutes": 7}))
    assert settings_to_train(project.root, workspace.settings).job_minutes == 7
    write_settings(project.root, TINY.model_copy(update={"epochs": 2000}))
    with pytest.raises(RetrainingError, match=r"differs from the plan \(epochs\)"):
        train_in_jobs(project, 1, [])


def test_only_folds_of_the_training_are_trained(planned, tmp_path):
    cross = TINY.model_copy(update={"folds": "cross"})
    assert checked_fold(cross, 3, "2") == "2"
    for settings, fold in ((cross, "3"), (cross, "all"), (TINY, "0"), (cross, "../x")):
        with pytest.raises(RetrainingError, match="this training has"):
            checked_fold(settings, 3, fold)
    project = copied_project(planned.project, tmp_path / "project")
    keep_settings(workspace_of(project, 1).settings_file, cross)
    call = CliRunner().invoke(retrain_command, ["train", "--fold", "3", "--project", str(project.root)])
    assert call.exit_code == 1
    assert not workspace_of(project, 1).results.exists()


def test_nothing_is_planned_while_a_fold_is_trained(planned, tmp_path):
    project = copied_project(planned.project, tmp_path / "project")
    fold = workspace_of(project, 1).fold("all")
    fold.mkdir(parents=True)
    lock = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    command = [sys.executable, "-c", lock, str(fold / "training.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        job.stdout.readline()
        with pytest.raises(RetrainingError, match="another job trains"):
            plan(project, TINY.model_copy(update={"epochs": 5}))
        job.communicate("\n")
    plan(project, TINY.model_copy(update={"epochs": 5}))
    assert workspace_of(project, 1).settings.epochs == 5
