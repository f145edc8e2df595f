"""Evaluation measures the model that the round trained, against the last one that was evaluated."""

import logging
import shutil

import numpy as np
import pytest
import torch
from retraining_data import LABELS, tiny_case

from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.retraining.annotation.export import file_sha256
from dixonflow.retraining.cases import accepted_labels, exported_image
from dixonflow.retraining.evaluate_round import evaluate_round
from dixonflow.retraining.import_round import import_trained
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.workspace import workspace_of
from dixonflow.retraining.project import Project, RetrainingError, open_project
from dixonflow.retraining.rounds import StopRule, read_rounds, rounds_file, write_rounds
from dixonflow.vocabulary import Contrast, ScanId


def add_test_case(project: Project, number: int) -> None:
    """Add a frozen participant with an image and a reference mask."""
    image, classes = tiny_case(number)
    name, scan, grid = f"case_{number:04d}", ScanId(f"8000{number}", "2"), np.diag([4.0, 4.0, 4.0, 1.0])
    write_nifti(exported_image(project, 0, name, Contrast.WATER), image, grid)
    mask = project.root / "mask.nii.gz"
    write_labels(mask, np.array([0, LABELS["liver"], LABELS["spleen"]], np.uint8)[classes], grid)
    digest = file_sha256(mask)
    target = accepted_labels(project, 0, name, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    mask.rename(target)
    steps = [Entry(step, 0, CaseSet.TEST, scan, name) for step in (Step.FROZEN, Step.SELECTED)]
    append_to_ledger(project.ledger, [*steps, Entry(Step.ACCEPTED, 0, CaseSet.TEST, scan, name, file_sha256=digest)])


@pytest.fixture(scope="module")
def project(planned, tmp_path_factory) -> Project:
    """A copy of the planned project with two test cases, its fold trained; round 3 is a copy of round 1."""
    folder = tmp_path_factory.mktemp("evaluate") / "project"
    shutil.copytree(planned.project.root, folder)
    for name in ("config.json", "retraining.yaml"):
        path = folder / name
        path.write_text(path.read_text().replace(str(planned.project.root), str(folder)))
    project = open_project(folder)
    train_fold(workspace_of(project, 1), "all", project.settings.seed)
    shutil.copytree(workspace_of(project, 1).root, workspace_of(project, 3).root)
    for copy in list(workspace_of(project, 3).root.glob("*/Dataset901_Round01")):
        copy.rename(copy.with_name(workspace_of(project, 3).dataset_name))
    for number in (8, 9):
        add_test_case(project, number)
    return project


def test_only_the_model_of_the_round_is_measured(project):
    other = workspace_of(project, 3)
    content = torch.load(other.checkpoint("all"), weights_only=False)
    content["network_weights"] = {name: tensor * 0 for name, tensor in content["network_weights"].items()}
    torch.save(content, other.checkpoint("all"))
    import_trained(project, other, "another")
    for name, message in (("another", "is not what"), ("mine", "is not imported"), ("../mine", "lower-case")):
        with pytest.raises(RetrainingError, match=message):
            evaluate_round(project, 1, name, StopRule())
    for name in ("../mine", "", "my model", "Mine"):
        with pytest.raises(RetrainingError, match="lower-case"):
            import_trained(project, other, name)
    assert not (project.root / "mine").exists()


def test_a_round_is_compared_with_the_last_one_that_was_evaluated(project, caplog):
    import_trained(project, workspace_of(project, 1), "mine")
    import_trained(project, workspace_of(project, 3), "another")
    first = evaluate_round(project, 1, "mine", StopRule())
    assert (first.test_cases, first.compared_with, first.gain) == (2, "", None)
    with caplog.at_level(logging.WARNING):
        third = evaluate_round(project, 3, "another", StopRule())
    assert "between 1 and 3 were not evaluated" in caplog.text
    assert third.compared_with == "mine"
    assert third.gain == pytest.approx(third.mean_dice - first.mean_dice)
    add_test_case(project, 10)
    evaluate_round(project, 3, "another", StopRule())
    assert "round 1 was evaluated on 2 test cases, now there are 3" in caplog.text
    path = rounds_file(project)
    path.write_text(path.read_text().replace(first.model_sha256, "0" * 64))
    with pytest.raises(RetrainingError, match="other weights than when round 1"):
        evaluate_round(project, 3, "another", StopRule())


def test_a_proposing_model_that_resamples_in_its_own_way_does_not_end_the_evaluation(project):
    write_rounds(rounds_file(project), [])
    import_trained(project, workspace_of(project, 1), "mine")
    base = project.config.segment.weights / "mine"
    shutil.copytree(base, base.with_name("own"), dirs_exist_ok=True)
    text = (base / "model.yaml").read_text().replace("name: mine", "name: own", 1)
    text = text.replace("resampling: nnunet", "resampling: first\nspacing_mm: [4, 4, 4]")
    (base.with_name("own") / "model.yaml").write_text(text)
    began = Project(project.root, project.settings.model_copy(update={"model": "own"}))
    result = evaluate_round(began, 1, "mine", StopRule())
    assert result.compared_with == ""
    assert [each.round for each in read_rounds(rounds_file(project))] == [1]
