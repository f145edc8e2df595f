"""A step that is killed between any two files is completed by the same call."""

import os
import shutil
import signal

import pytest
from retraining_run import LABELS, random_request, set_up

from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import proposal_of
from dixonflow.retraining.ledger import read_ledger
from dixonflow.retraining.nnunet_raw import write_dataset
from dixonflow.retraining.selection.freeze import freeze_participants
from dixonflow.retraining.selection.select import select


def step_of(name, project, back):
    return {
        "freeze": lambda: freeze_participants(project, named=back.parent / "test.txt"),
        "select": lambda: select(project, random_request(3)),
        "export": lambda: list(export_cases(project, 1)),
        "return": lambda: list(return_labels(project, 1, back, "reader1")),
        "dataset": lambda: write_dataset(project, 1),
    }[name]


STEPS = ("freeze", "select", "export", "return", "dataset")


def correct(project, back):
    back.mkdir(exist_ok=True)
    for case in ("case_0001", "case_0002", "case_0003"):
        labels, affine = read_labels(proposal_of(project, 1, case))
        labels[2, 2, 2] = LABELS["spleen"]
        write_labels(back / f"{case}.nii.gz", labels, affine)


def killed(step, number) -> bool:
    """Call a step in a process that is killed at the flush of its file with this number; whether it was."""
    process = os.fork()
    if process == 0:
        flushes, flush = [0], os.fsync

        def counting(descriptor):
            flushes[0] += 1
            if flushes[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            flush(descriptor)

        os.fsync = counting
        try:
            step()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def content_of(project):
    """All files by their names but those with times in them, and the ledger without times."""
    files = {
        path.relative_to(project.root).as_posix(): path.read_bytes()
        for path in project.root.rglob("*")
        if path.is_file() and path.name not in ("ledger.csv", "returned.csv") and not path.name.startswith(".")
    }
    return files, read_ledger(project.ledger)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_killed_at_any_file_is_completed_by_the_same_call(tmp_path, name):
    _, project = set_up(tmp_path)
    back = tmp_path / "back"
    if name == "freeze":
        shutil.rmtree(project.round(0))
        project.ledger.unlink()
    for earlier in STEPS[: STEPS.index(name)]:
        step_of(earlier, project, back)()
        if earlier == "export":
            correct(project, back)
    before = tmp_path / "before"
    shutil.copytree(project.root, before)
    step = step_of(name, project, back)
    step()
    wanted = content_of(project)
    number = 1
    while True:
        shutil.rmtree(project.root)
        shutil.copytree(before, project.root)
        was_killed = killed(step, number)
        step()
        assert content_of(project) == wanted, number
        if not was_killed:
            break
        number += 3 if name in ("export", "return", "dataset") and number > 4 else 1
    assert number > 2  # it was killed at more than one file
