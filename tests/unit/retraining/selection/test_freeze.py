"""Test participants are frozen once, with all their scans, and stay."""

import pytest
from retraining_run import set_up, write_people, write_small_run

from dixonflow.retraining.ledger import CaseSet, Step, frozen_participants, read_ledger
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.freeze import check_frozen, freeze_participants
from dixonflow.retraining.selection.strata import Stratum
from dixonflow.vocabulary import ScanId

SCANS = {ScanId(f"{1000 + number}", "2"): number for number in range(1, 11)}


def test_all_visits_of_a_test_participant_are_frozen(tmp_path):
    run = write_small_run(tmp_path, SCANS | {ScanId("1001", "3"): 20})
    project = run.start(tmp_path / "retraining", folds=3)
    (tmp_path / "test.txt").write_text("1001\n1002\n")
    assert freeze_participants(project, named=tmp_path / "test.txt") == ["1001", "1002"]
    entries = read_ledger(project.ledger)
    assert {entry.scan.name for entry in entries} == {"sub-1001_ses-2", "sub-1001_ses-3", "sub-1002_ses-2"}
    assert all(entry.step is Step.FROZEN and entry.set is CaseSet.TEST and len(entry.digests) == 6 for entry in entries)


def test_a_draw_is_even_over_the_strata_and_the_same_again(tmp_path):
    run = write_small_run(tmp_path, SCANS)
    write_people(run.results, {scan: ("male" if seed < 3 else "female", 50.0, "a") for scan, seed in SCANS.items()})
    project = run.start(tmp_path / "retraining", folds=3)
    drawn = freeze_participants(project, count=4, by=(Stratum.SEX,))
    assert len(set(drawn) & {"1001", "1002"}) == 2
    before = project.ledger.read_bytes()
    assert freeze_participants(project, count=4, by=(Stratum.SEX,)) == drawn
    assert project.ledger.read_bytes() == before


def test_another_choice_is_refused_once_there_is_one(tmp_path):
    _, project = set_up(tmp_path)
    with pytest.raises(RetrainingError, match="frozen already"):
        freeze_participants(project, count=3)
    (tmp_path / "other.txt").write_text("1001\n")
    with pytest.raises(RetrainingError, match="frozen already"):
        freeze_participants(project, named=tmp_path / "other.txt")
    assert frozen_participants(read_ledger(project.ledger)) == {"1007", "1008"}


def test_a_call_that_was_killed_is_completed(tmp_path):
    _, project = set_up(tmp_path)
    whole = project.ledger.read_bytes()
    for kept in (0, 40, whole.rfind(b"\n", 0, -1) + 1, len(whole) - 2):
        project.ledger.write_bytes(whole[:kept])
        with pytest.raises(RetrainingError, match="repeat dixonflow retrain start"):
            check_frozen(project)
        assert freeze_participants(project) == ["1007", "1008"]
        check_frozen(project)


@pytest.mark.parametrize(
    ("ids", "count", "problem"),
    [
        ("4711\n", None, "1 participants have no scan"),
        ("", None, "at least one"),
        (None, 0, "at least one"),
        (None, 8, "fewer than 3 participants are left"),
    ],
)
def test_a_choice_that_leaves_nothing_to_do_is_refused(tmp_path, ids, count, problem):
    run = write_small_run(tmp_path, SCANS)
    project = run.start(tmp_path / "retraining", folds=3)
    (tmp_path / "test.txt").write_text(ids or "")
    with pytest.raises(RetrainingError, match=problem):
        freeze_participants(project, count=count, named=tmp_path / "test.txt" if ids is not None else None)
    assert not project.ledger.exists()


def test_nothing_is_selected_before_test_participants_are_frozen(tmp_path):
    project = write_small_run(tmp_path, SCANS).start(tmp_path / "retraining")
    with pytest.raises(RetrainingError, match="retrain start"):
        check_frozen(project)
