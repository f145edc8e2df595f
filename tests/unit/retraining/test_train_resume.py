"""A training that was killed and resumed gives the weights of an undisturbed one, bit for bit."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from retraining_data import TINY

from dixonflow.errors import ModelError
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.workspace import Workspace, workspace_of
from dixonflow.retraining.project import RetrainingError

HELPER = Path(__file__).resolve().parents[2] / "helpers" / "killed_training.py"
KILLED = -9
KILLS = ("step", "write", "rename")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, planned):
    """Workspaces of one plan: `never` trained undisturbed, the others killed where their name says, then resumed."""
    folder = tmp_path_factory.mktemp("training")
    begun = workspace_of(planned.project, 1)
    runs = ["never"]
    for name in ("never", *KILLS):
        shutil.copytree(begun.root, folder / name)
    for name in KILLS:
        runs += [f"{name}={name}", f"{name}=never"]
    runs[0] = "never=never"
    call = subprocess.run(
        [sys.executable, str(HELPER), *(f"{folder}/{run}" for run in runs)], capture_output=True, text=True, check=False
    )
    assert call.returncode == 0, call.stderr
    ended = dict(zip(runs, map(int, call.stdout.split()), strict=True))
    return {name: Workspace(folder / name, 1) for name in ("never", *KILLS)}, ended


def learnt(workspace: Workspace):
    content = torch.load(workspace.checkpoint("all"), weights_only=False)
    return content["network_weights"], content["optimizer_state"]["state"], content["current_epoch"]


@pytest.mark.parametrize("where", KILLS)
def test_killed_and_resumed_gives_the_same_weights(trained, where):
    workspaces, ended = trained
    assert ended["never=never"] == 0
    assert (ended[f"{where}={where}"], ended[f"{where}=never"]) == (KILLED, 0)
    weights, momentum, epochs = learnt(workspaces["never"])
    again, momentum_again, epochs_again = learnt(workspaces[where])
    assert epochs == epochs_again == TINY.epochs
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert momentum.keys() == momentum_again.keys()
    for number, state in momentum.items():
        assert torch.equal(state["momentum_buffer"], momentum_again[number]["momentum_buffer"])
    assert not all(torch.equal(tensor, torch.zeros_like(tensor)) for tensor in weights.values())
    log = "".join(path.read_text() for path in workspaces[where].fold("all").glob("training_log_*.txt"))
    assert log.count("Epoch 0") == 1  # it did resume
    assert not list(workspaces[where].fold("all").glob("checkpoint_latest*"))


def test_another_seed_gives_other_weights_and_a_finished_fold_stays(trained, tmp_path):
    workspaces, _ = trained
    copy = Workspace(tmp_path / "copy", 1)
    shutil.copytree(workspaces["never"].root, copy.root)
    before = copy.checkpoint("all").read_bytes()
    train_fold(copy, "all", 8)
    assert copy.checkpoint("all").read_bytes() == before
    copy.checkpoint("all").unlink()
    train_fold(copy, "all", 8)
    weights, again = learnt(workspaces["never"])[0], learnt(copy)[0]
    assert not all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_training_that_is_not_planned_is_refused(tmp_path):
    with pytest.raises(RetrainingError, match="retrain plan"):
        train_fold(Workspace(tmp_path, 1), "all", 7)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"half a line",
        b"PK\x03\x04 and no more",
        pickle.dumps([1, 2]),
        b"\x80\x02cnowhere\nnothing\n.",
        bytes(1000),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_line(planned, tmp_path, content):
    workspace = Workspace(tmp_path / "copy", 1)
    shutil.copytree(workspace_of(planned.project, 1).root, workspace.root)
    workspace.fold("all").mkdir(parents=True)
    workspace.latest("all").write_bytes(content)
    with pytest.raises(ModelError, match=r"checkpoint_latest.pth cannot be read: remove it"):
        train_fold(workspace, "all", 7)
