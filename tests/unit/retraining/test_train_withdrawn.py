"""A participant who withdraws after the plan is not trained on, and every network with their cases is named."""

import json
import shutil

import numpy as np
import pytest
from retraining_data import LABELS, TINY, copied_project, tiny_case, tiny_project
from typer.testing import CliRunner

from dixonflow.cli.networks.retrain import retrain_command
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.retraining.import_round import import_trained
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.ledger import Step, read_ledger
from dixonflow.retraining.nnunet.jobs import train_in_jobs
from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.settings import Mixture, write_settings
from dixonflow.retraining.nnunet.training_cases import check_not_withdrawn
from dixonflow.retraining.nnunet.workspace import workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import Project, RetrainingError, open_project
from dixonflow.retraining.status import round_statuses
from dixonflow.retraining.withdrawal import forget_withdrawn


def withdraw(project: Project, *participants: str) -> Project:
    """The project, its run with a list of participants who have withdrawn."""
    path = project.root / "withdrawn.txt"
    path.write_text("\n".join(["participant_id", *participants]) + "\n")
    cohort = project.config.cohort.model_copy(update={"withdrawn": path})
    changed = project.config.model_copy(update={"cohort": cohort})
    project.settings.config.write_text(changed.model_dump_json())
    return open_project(project.root)


def test_a_planned_training_is_not_trained_or_imported(planned, tmp_path):
    project = withdraw(copied_project(planned.project, tmp_path / "project"), "70001")
    write_settings(project.root, TINY)
    workspace = workspace_of(project, 1)
    for forgotten in (False, True):  # the ledger says it once the list has been worked through
        if forgotten:
            assert forget_withdrawn(project).networks == ()
        with pytest.raises(LeakageError, match="case_0002, whose participant has withdrawn"):
            train_in_jobs(project, 1, [])
        with pytest.raises(LeakageError, match="case_0002"):
            import_trained(project, workspace, "mine")
        call = CliRunner().invoke(retrain_command, ["train", "--fold", "all", "--project", str(project.root)])
        assert call.exit_code == 1
        assert "case_0002, whose participant has withdrawn" in call.output + str(call.exception)
    assert not workspace.results.exists()


def test_every_network_with_a_case_is_named_before_it_is_imported(planned, tmp_path):
    project = withdraw(copied_project(planned.project, tmp_path / "project"), "70001")
    first = workspace_of(project, 1)
    for other in (workspace_of(project, 2), workspace_of(project, 1, final=True)):
        shutil.copytree(first.preprocessed, other.preprocessed)
    splits = json.loads(first.splits_file.read_text())
    without = [{side: [name for name in split[side] if name != "case_0002"] for side in split} for split in splits]
    workspace_of(project, 2).splits_file.write_text(json.dumps(without))
    for workspace in (first, workspace_of(project, 2), workspace_of(project, 1, final=True)):
        workspace.fold("all").mkdir(parents=True)
        workspace.latest("all").touch()
    expected = ("round 1", "the final model of round 1")
    found = forget_withdrawn(project)
    assert (found.cases, found.networks) == (("case_0002",), expected)
    assert forget_withdrawn(project).networks == expected  # as long as they are there
    workspace_of(project, 2).splits_file.write_text("half")
    assert "round 2" in forget_withdrawn(project).networks


def test_ct_cases_are_in_the_ledger_and_withdrawal_removes_their_copies(tmp_path):
    project = tiny_project(tmp_path / "project")
    grid = np.diag([4.0, 4.0, 4.0, 1.0])
    for number, name in enumerate(("a", "a_b")):
        image, classes = tiny_case(50 + number)
        write_nifti(tmp_path / "ct" / "images" / f"{name}.nii.gz", image, grid)
        write_labels(
            tmp_path / "ct" / "labels" / f"{name}.nii.gz",
            np.array([0, LABELS["liver"], LABELS["spleen"]], np.uint8)[classes],
            grid,
        )
    (tmp_path / "ct" / "participants.csv").write_text("case,participant\na,80001\na_b,80002\n")
    settings = TINY.model_copy(update={"mixture": Mixture(ct=tmp_path / "ct", elastic_copies=2)})
    workspace = workspace_of(project, 1)
    plan_training(project, workspace, settings, dataset_folder(project, 1))
    lines = [entry for entry in read_ledger(project.ledger) if entry.step is Step.DATASET]
    assert [(entry.case, entry.scan.participant) for entry in lines] == [("ct_a", "80001"), ("ct_a_b", "80002")]
    assert json.loads(workspace.planned_file.read_text())["copies_and_ct"] == 8
    assert next(each for each in round_statuses(project) if each.round == 1).in_dataset == 0
    check_not_withdrawn(project, workspace)
    of_ct = {path.name for path in workspace.root.rglob("ct_a*")}
    project = withdraw(project, "80001")
    with pytest.raises(LeakageError, match="ct_a, whose participant"):
        check_not_withdrawn(project, workspace)
    found = forget_withdrawn(project)
    assert found.cases == ("ct_a",)
    kept = {path.name for path in workspace.root.rglob("ct_a*")}
    assert kept == {name for name in of_ct if name.startswith("ct_a_b")}
    assert len(kept) == 6 and found.files == 7
    assert "80001" not in project.ledger.read_text()


def test_a_ct_case_that_the_ledger_does_not_know_is_not_taken_for_another(tmp_path, planned):
    project = copied_project(planned.project, tmp_path / "project")
    workspace = workspace_of(project, 1)
    splits = json.loads(workspace.splits_file.read_text())
    splits[0]["train"].append("ct_case_0001")
    workspace.splits_file.write_text(json.dumps(splits))
    with pytest.raises(RetrainingError, match="does not know ct_case_0001: call dixonflow retrain plan again"):
        check_not_withdrawn(project, workspace)
