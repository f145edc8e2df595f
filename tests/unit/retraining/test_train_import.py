"""Plan and preprocessing that resume, and a trained fold that becomes a model which configurations name."""

import json
import shutil

import blosc2
import numpy as np
import pytest
import torch
from retraining_data import LABELS, TINY, tiny_case, tiny_project, write_dataset

from dixonflow.config import check_folders, read_config
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.load import MODELS, load_models
from dixonflow.retraining.import_round import import_trained
from dixonflow.retraining.ledger import Step, read_ledger
from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.training_cases import corrected_cases, trained_cases
from dixonflow.retraining.nnunet.workspace import Workspace, workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.segment.networks import load_networks, options_of_file


@pytest.fixture(scope="module")
def project(planned, tmp_path_factory) -> Project:
    """A copy of the planned project, its fold trained."""
    folder = tmp_path_factory.mktemp("import") / "project"
    shutil.copytree(planned.project.root, folder)
    for name in ("config.json", "retraining.yaml"):
        path = folder / name
        path.write_text(path.read_text().replace(str(planned.project.root), str(folder)))
    settings = planned.project.settings.model_copy(update={"config": folder / "config.json"})
    project = Project(folder, settings)
    train_fold(workspace_of(project, 1), "all", settings.seed)
    return project


def test_a_trained_round_is_named_in_a_configuration_and_runs(project):
    config = read_config(project.settings.config)
    with pytest.raises(ConfigError, match="there is no model 'retrained01'"):
        check_folders(config, MODELS)
    workspace = workspace_of(project, 1)
    found = import_trained(project, workspace, "retrained01")
    assert found.new
    check_folders(config, MODELS)
    (model,) = load_models(config)
    assert model.structures == LABELS
    assert model.orientation == "RAS"
    assert model.sources["training"].startswith("3 cases, 0 copies")
    assert len(model.sources["ledger_sha256"]) == 64
    assert json.loads(model.sources["settings"])["epochs"] == TINY.epochs
    image, _ = tiny_case(1)
    predictor = load_networks(model, options_of_file(model, config.segment))
    prepared = predictor.prepare([image], (4.0, 4.0, 4.0))
    labels = predictor.restore(prepared, predictor.infer(prepared))
    assert labels.shape == image.shape
    assert set(np.unique(labels)) <= {0, *LABELS.values()}
    trained = [entry for entry in read_ledger(project.ledger) if entry.step is Step.TRAINED]
    assert [entry.case for entry in trained] == ["case_0001", "case_0002", "case_0003"]


def test_an_import_is_repeated_without_change_and_another_model_is_not_overwritten(project):
    workspace = workspace_of(project, 1)
    import_trained(project, workspace, "again")
    ledger = project.ledger.read_bytes()
    assert not import_trained(project, workspace, "again").new
    assert project.ledger.read_bytes() == ledger
    other = Workspace(project.root / "other", 1)
    shutil.copytree(workspace.root, other.root)
    content = torch.load(other.checkpoint("all"), weights_only=False)
    content["current_epoch"] += 1
    torch.save(content, other.checkpoint("all"))
    with pytest.raises(RetrainingError, match="another model"):
        import_trained(project, other, "again")
    with pytest.raises(RetrainingError, match="ships with DixonFlow"):
        import_trained(project, workspace, "demo")


def test_a_model_file_of_another_name_than_its_folder_is_refused(project):
    config = read_config(project.settings.config)
    import_trained(project, workspace_of(project, 1), "renamed")
    (config.segment.weights / "renamed").rename(config.segment.weights / "wrong")
    renamed = config.model_copy(update={"segment": config.segment.model_copy(update={"models": ("wrong",)})})
    with pytest.raises(ModelError, match="name must be wrong"):
        load_models(renamed)


def test_a_damaged_checkpoint_leaves_no_model(project):
    other = Workspace(project.root / "damaged", 1)
    shutil.copytree(workspace_of(project, 1).root, other.root)
    content = other.checkpoint("all").read_bytes()
    other.checkpoint("all").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="checkpoint_final"):
        import_trained(project, other, "damaged")
    other.checkpoint("all").unlink()
    with pytest.raises(RetrainingError, match="fold all is not trained"):
        import_trained(project, other, "damaged")
    assert not list((project.root / "models").glob("*damaged*/model.yaml"))


def test_a_plan_that_was_cut_off_completes_only_what_is_missing(planned, tmp_path):
    workspace = Workspace(tmp_path / "network", 1)
    shutil.copytree(workspace_of(planned.project, 1).root, workspace.root)
    dataset = dataset_folder(planned.project, 1)
    images = sorted(workspace.cases.glob("*.b2nd"))
    # compressed bytes may differ from one call to the next, the voxels not
    before = {path: (blosc2.open(str(path))[:], path.stat().st_mtime_ns) for path in images}
    # as if it was killed in the middle of the second case
    workspace.planned_file.unlink()
    (workspace.preprocessed / "cases_done" / "case_0002.txt").unlink()
    (workspace.cases / "case_0002.b2nd").write_bytes(b"half")
    (workspace.cases / "case_0009.pkl").write_bytes(b"of another data set")
    plans = workspace.plans_file.stat().st_mtime_ns
    plan_training(planned.project, workspace, TINY, dataset)
    assert workspace.plans_file.stat().st_mtime_ns == plans
    assert not (workspace.cases / "case_0009.pkl").exists()
    for path, (content, written) in before.items():
        assert (blosc2.open(str(path))[:] == content).all()
        assert (path.stat().st_mtime_ns == written) is not path.name.startswith("case_0002")
    plan = json.loads(workspace.plans_file.read_text())["configurations"]["3d_fullres"]
    assert (plan["patch_size"], plan["batch_size"]) == ([16, 16, 16], 2)
    assert plan["architecture"]["arch_kwargs"]["features_per_stage"] == [4, 8, 8]


def test_other_data_is_not_planned_over_a_training(project, tmp_path):
    dataset = tmp_path / "dataset"
    shutil.copytree(dataset_folder(project, 1), dataset)
    for folder in ("imagesTr", "labelsTr"):
        for path in (dataset / folder).glob("case_0003*"):
            path.unlink()
    splits = [{"train": ["case_0001"], "val": ["case_0002"]}, {"train": ["case_0002"], "val": ["case_0001"]}]
    (dataset / "splits_final.json").write_text(json.dumps(splits))
    with pytest.raises(RetrainingError, match="has trained on other data"):
        plan_training(project, workspace_of(project, 1), TINY, dataset)


def test_two_contrasts_of_a_scan_are_one_case(tmp_path):
    project = tiny_project(tmp_path / "project")
    dataset = dataset_folder(project, 1)
    shutil.rmtree(dataset)
    names = [f"case_000{number}_{contrast}" for contrast in ("water", "fat") for number in (1, 2, 3)]
    write_dataset(dataset, names)
    workspace = workspace_of(project, 1)
    plan_training(project, workspace, TINY, dataset)
    planned = json.loads(workspace.planned_file.read_text())
    assert (planned["cases"], planned["participants"], planned["copies_and_ct"]) == (3, 3, 0)
    assert trained_cases(workspace) == sorted(names)
    assert corrected_cases(workspace, read_ledger(project.ledger)) == {"case_0001", "case_0002", "case_0003"}
