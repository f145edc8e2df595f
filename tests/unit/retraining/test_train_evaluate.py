"""Evaluation measures the model that the round trained, against the last one that was evaluated."""

import logging
import shutil

import numpy as np
import pytest
import torch
from retraining_data import LABELS, TINY, copied_project, tiny_case
from tiny_model import tiny_demo
from typer.testing import CliRunner

from dixonflow.cli.networks.retrain import retrain_command
from dixonflow.imaging.nifti import read_nifti, write_labels, write_nifti
from dixonflow.merge.strategies import merge
from dixonflow.postprocess.label_map import postprocess
from dixonflow.retraining.cases import Case, accepted_labels, exported_image, propagated_file, propagated_note
from dixonflow.retraining.cases import test_cases as reference_cases
from dixonflow.retraining.evaluate_round import FINAL_ROUND, evaluate_round, evaluation_file
from dixonflow.retraining.import_round import import_trained
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger
from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.workspace import workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.retraining.rounds import StopRule, read_rounds, rounds_file, write_rounds
from dixonflow.retraining.test_set import segment_case
from dixonflow.segment.networks import load_networks, options_of_file
from dixonflow.system.regular_file import sha256_of
from dixonflow.vocabulary import Contrast, MergeStrategy, ScanId, ScanSequence


def add_test_case(project: Project, number: int) -> None:
    """Add a frozen participant with an image and a reference mask."""
    image, classes = tiny_case(number)
    name, scan, grid = f"case_{number:04d}", ScanId(f"8000{number}", "2"), np.diag([4.0, 4.0, 4.0, 1.0])
    write_nifti(exported_image(project, 0, name, Contrast.WATER), image, grid)
    mask = project.root / "mask.nii.gz"
    write_labels(mask, np.array([0, LABELS["liver"], LABELS["spleen"]], np.uint8)[classes], grid)
    digest = sha256_of(mask)
    target = accepted_labels(project, 0, name, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    mask.rename(target)
    steps = [Entry(step, 0, CaseSet.TEST, scan, name) for step in (Step.FROZEN, Step.SELECTED)]
    append_to_ledger(project.ledger, [*steps, Entry(Step.ACCEPTED, 0, CaseSet.TEST, scan, name, file_sha256=digest)])


@pytest.fixture(scope="module")
def project(planned, tmp_path_factory) -> Project:
    """A copy of the planned project with two test cases, its fold trained; round 3 is a copy of round 1."""
    project = copied_project(planned.project, tmp_path_factory.mktemp("evaluate") / "project")
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


def test_the_final_model_is_trained_from_its_start_and_compared_with_the_last_round(project):
    write_rounds(rounds_file(project), [])
    import_trained(project, workspace_of(project, 1), "mine")
    first = evaluate_round(project, 1, "mine", StopRule())
    final = workspace_of(project, 1, final=True)
    plan_training(project, final, TINY, dataset_folder(project, 1))
    words = ["train", "--round", "1", "--final", "--fold", "all", "--project", str(project.root)]
    call = CliRunner().invoke(retrain_command, words)
    assert call.exit_code == 0, call.output
    assert final.checkpoint("all").is_file()
    model = import_trained(project, final, "retrainedfinal", final=True).model
    assert "from random weights" in model.title
    result = evaluate_round(project, 1, "retrainedfinal", StopRule(), final=True)
    assert (result.round, result.compared_with, result.stop) == (FINAL_ROUND, "mine", False)
    assert result.gain == pytest.approx(result.mean_dice - first.mean_dice)
    assert [each.round for each in read_rounds(rounds_file(project))] == [1, FINAL_ROUND]
    assert evaluation_file(project, FINAL_ROUND).name == "final.csv"


def test_a_test_case_of_another_sequence_does_not_end_the_evaluation(project):
    write_rounds(rounds_file(project), [])
    case = reference_cases(project)[0]
    name, scan = f"{case.name}_haste", ScanId(case.scan.participant, case.scan.session, ScanSequence.HASTE)
    for source, target in ((next(iter(case.images.values())), "t2"), (case.labels, "labels")):
        path = propagated_file(project, 0, name, target)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    note = propagated_note(case.labels)
    append_to_ledger(project.ledger, [Entry(Step.PROPAGATED, 0, CaseSet.TEST, scan, name, note=note)])
    cases = reference_cases(project)
    assert name in {each.name for each in cases}
    import_trained(project, workspace_of(project, 1), "mine")
    assert evaluate_round(project, 1, "mine", StopRule()).test_cases == len(cases) - 1


def test_contrasts_are_merged_as_the_run_merges_them(project, tmp_path):
    model = tiny_demo(tmp_path)
    assert len(model.input_contrasts) > 1
    images = {}
    for seed, contrast in enumerate(model.input_contrasts):
        images[contrast] = tmp_path / f"{contrast.value}.nii.gz"
        write_nifti(images[contrast], tiny_case(seed)[0], np.diag([4.0, 4.0, 4.0, 1.0]))
    case = Case("case_0001", ScanId("8000", "2"), 0, CaseSet.TEST, images)
    predictor = load_networks(model, options_of_file(model, project.config.segment))
    found = {}
    for strategy in (MergeStrategy.MEAN_SCORES, MergeStrategy.FIRST):
        merged_by = project.config.merge.model_copy(update={"strategy": strategy})
        found[strategy] = segment_case(model, predictor, case, project.config.model_copy(update={"merge": merged_by}))
    maps = {}
    for contrast, path in images.items():
        prepared = predictor.prepare([read_nifti(path).data], (4.0, 4.0, 4.0))
        maps[contrast] = predictor.restore(prepared, predictor.infer(prepared))
    merged = merge(maps, model, 64.0, MergeStrategy.FIRST)
    repair_sides = project.config.postprocess.repair_sides
    expected = postprocess(merged, model, (4.0, 4.0, 4.0), repair_sides=repair_sides).labels
    assert np.array_equal(found[MergeStrategy.FIRST], expected)
    assert not np.array_equal(expected, found[MergeStrategy.MEAN_SCORES])
