"""Test participants are frozen once, with all their scans, and stay."""

import pytest
from retraining_run import AFFINE, images_of, random_request, set_up, write_people, write_small_run

from dixonflow.cohort.table import CohortScan, read_scans, write_scans
from dixonflow.imaging.nifti import write_nifti
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.retraining.leakage import voxel_digests
from dixonflow.retraining.ledger import CaseSet, Step, frozen_participants, read_ledger
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.freeze import check_frozen, freeze_participants
from dixonflow.retraining.selection.select import select
from dixonflow.retraining.selection.strata import Stratum
from dixonflow.vocabulary import Contrast, Layout, ScanId, ScanSequence

SCANS = {ScanId(f"{1000 + number}", "2"): number for number in range(1, 11)}


def test_all_visits_of_a_test_participant_are_frozen(tmp_path):
    run = write_small_run(tmp_path, SCANS | {ScanId("1001", "3"): 20})
    project = run.start(tmp_path / "retraining", folds=3)
    (tmp_path / "test.txt").write_text("1001\n1002\n")
    assert freeze_participants(project, named=tmp_path / "test.txt") == ["1001", "1002"]
    entries = read_ledger(project.ledger)
    assert {entry.scan.name for entry in entries} == {"sub-1001_ses-2", "sub-1001_ses-3", "sub-1002_ses-2"}
    assert all(
        entry.step is Step.FROZEN and entry.set is CaseSet.TEST and len(entry.digests) == 10 for entry in entries
    )


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


def test_a_lost_list_is_no_reason_to_draw_others(tmp_path):
    _, project = set_up(tmp_path)
    listed = project.round(0) / "frozen.csv"
    content = listed.read_bytes()
    listed.unlink()
    with pytest.raises(RetrainingError, match="frozen already"):
        freeze_participants(project, count=3)
    assert freeze_participants(project) == ["1007", "1008"] and listed.read_bytes() == content
    listed.write_text("participant_id\n1007\n")
    with pytest.raises(RetrainingError, match="does not name all test participants of the ledger"):
        freeze_participants(project)


def test_who_was_selected_for_training_is_not_frozen_later(tmp_path):
    _, project = set_up(tmp_path)
    scan = select(project, random_request(1)).scans[0].scan
    listed = project.round(0) / "frozen.csv"
    listed.write_text(listed.read_text() + f"{scan.participant}\n")
    with pytest.raises(RetrainingError, match="1 of these participants were selected for training"):
        freeze_participants(project)
    assert scan.participant not in frozen_participants(read_ledger(project.ledger))


def test_later_visits_and_other_sequences_of_test_participants_are_recognised_under_another_id(tmp_path):
    run, project = set_up(tmp_path)
    visit, haste, twin = ScanId("1008", "3"), ScanId("1008", "2", ScanSequence.HASTE), ScanId("1020", "2")
    write_small_run(tmp_path, dict(run.scans) | {visit: 30, twin: 30})
    raw = RawScan(haste, Layout.UKB, tmp_path / "raw" / "haste.zip", "b" * 64)
    write_scans(run.results.scans, [*read_scans(run.results.scans), CohortScan(raw)])
    write_nifti(run.results.stitched(haste, Contrast.T2), images_of(32)[Contrast.WATER], AFFINE)
    found = select(project, random_request(20))
    assert twin not in {row.scan for row in found.scans} and found.passed_over == 1
    entries = {entry.scan: entry for entry in read_ledger(project.ledger) if entry.step is Step.FROZEN}
    assert f"voxels:{voxel_digests(images_of(32)[Contrast.WATER])[0]}" in entries[haste].digests
    before = project.ledger.read_bytes()
    freeze_participants(project)
    assert project.ledger.read_bytes() == before
