"""Two rounds of retraining on phantoms by the command line: corrected cases raise the Dice on the frozen test set.

The truth of the phantom is what the annotator returns. The first round is trained on scans of one scanner; in the
second, scans of another one are corrected that suppresses fat badly, where the first network fails.
"""

import csv

import pytest

from dixonflow.retraining.ledger import CaseSet, Step, read_ledger
from dixonflow.retraining.project import open_project
from dixonflow.trials.retraining_loop import Loop

MARGIN = 0.1
"""Of the mean Dice over structures and test cases; it was 0.18."""


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    loop = Loop(tmp_path_factory.mktemp("loop"), cases=[(3, 0), (0, 3)], test=2, epochs=5, iterations=40)
    return loop, loop.run()


def test_corrected_cases_raise_dice_on_the_frozen_set(loop):
    _, (first, second) = loop
    assert (first.trained_cases, second.trained_cases) == (3, 6)
    assert (first.test_cases, second.test_cases) == (4, 4)
    assert second.compared_with == "retrained01"
    assert second.gain == pytest.approx(second.mean_dice - first.mean_dice, abs=1e-5)
    assert second.gain > MARGIN
    assert not second.stop


def test_no_test_participant_was_trained_on_and_the_ledger_says_who_was_where(loop):
    project = open_project(loop[0].project)
    entries = read_ledger(project.ledger)
    of_step = {step: {entry.scan.participant for entry in entries if entry.step is step} for step in Step}
    assert len(of_step[Step.FROZEN]) == len(of_step[Step.EVALUATED]) == 4
    assert len(of_step[Step.TRAINED]) == 6
    assert not of_step[Step.TRAINED] & of_step[Step.FROZEN]
    assert {entry.set for entry in entries if entry.step is Step.TRAINED} == {CaseSet.TRAIN}


def test_a_loop_that_is_done_does_nothing_again(loop):
    done, results = loop
    before = {path: path.stat().st_mtime_ns for path in done.folder.rglob("*") if path.is_file()}
    assert done.run() == results
    for step in ("dataset", "plan", "train", "import"):
        done.call(step, "--round", "2")
    kept = [path for path in before if path.suffix in {".pth", ".b2nd", ".safetensors", ".yaml"}]
    assert len(kept) > 20
    unchanged = {"training.yaml", "retraining.yaml"}
    assert all(path.stat().st_mtime_ns == before[path] for path in kept if path.name not in unchanged)
    with (done.project / "rounds.csv").open() as file:
        assert [row["round"] for row in csv.DictReader(file)] == ["1", "2"]
