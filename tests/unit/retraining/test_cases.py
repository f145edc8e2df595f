"""Cases as the ledger tells them."""

import shutil

import pytest
from retraining_run import LABELS, labels_of, write_small_run

from dixonflow.retraining import cases
from dixonflow.retraining.cases import all_cases, case_name, training_cases
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger
from dixonflow.retraining.project import RetrainingError
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

SCANS = {ScanId(f"00{number}", "2"): number for number in range(1, 5)}
SHA = "a" * 64


@pytest.fixture
def project(tmp_path):
    """Cases 1 to 3 in round 1, of which 1 and 2 came back; case 4, a test case, came back."""
    run = write_small_run(tmp_path, SCANS)
    project = run.start(tmp_path / "retraining")
    entries = []
    for number, scan in enumerate(SCANS, 1):
        test = number == 4
        fields = {"round": 0 if test else 1, "set": CaseSet.TEST if test else CaseSet.TRAIN, "scan": scan}
        entries.append(Entry(Step.SELECTED, case=case_name(number), **fields))
        for contrast in project.settings.contrasts:
            target = cases.exported_image(project, fields["round"], case_name(number), contrast)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.results.stitched(scan, contrast), target)
        if number != 3:
            entries.append(Entry(Step.ACCEPTED, case=case_name(number), file_sha256=SHA, **fields))
            target = cases.accepted_labels(project, fields["round"], case_name(number), SHA)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.results.labels(scan, "demo"), target)
    append_to_ledger(project.ledger, entries)
    return project


def test_training_has_the_corrected_cases_of_the_training_set_alone(project):
    found = training_cases(project, 1)
    assert [case.name for case in found] == ["case_0001", "case_0002"]
    assert {case.scan.participant for case in found} == {"001", "002"}
    assert all(set(case.images) == {Contrast.WATER, Contrast.FAT} for case in found)
    assert [case.name for case in cases.test_cases(project)] == ["case_0004"]
    assert [case.name for case in all_cases(project) if case.labels is None] == ["case_0003"]


def test_earlier_rounds_count_and_later_ones_do_not(project):
    scan = ScanId("003", "2")
    accepted = Entry(Step.ACCEPTED, 2, CaseSet.TRAIN, scan, "case_0005", file_sha256=SHA)
    append_to_ledger(project.ledger, [Entry(Step.SELECTED, 2, CaseSet.TRAIN, scan, "case_0005"), accepted])
    for contrast in project.settings.contrasts:
        target = cases.exported_image(project, 2, "case_0005", contrast)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.results.stitched(scan, contrast), target)
    labels = cases.accepted_labels(project, 2, "case_0005", SHA)
    labels.parent.mkdir(parents=True)
    shutil.copyfile(project.results.labels(scan, "demo"), labels)
    assert len(training_cases(project, 1)) == 2
    assert [case.round for case in training_cases(project, 2)] == [1, 1, 2]


def test_withdrawn_participants_leave_every_set(project):
    listed = project.config.cohort.withdrawn
    listed.write_text("001\n004\n")
    assert [case.name for case in training_cases(project, 1)] == ["case_0002"]
    assert cases.test_cases(project) == []


def test_a_missing_file_is_named_and_not_left_out_in_silence(project):
    cases.accepted_labels(project, 1, "case_0002", SHA).unlink()
    with pytest.raises(RetrainingError, match=r"case_0002.*missing") as error:
        training_cases(project, 1)
    assert "002_ses" not in str(error.value)


def test_case_names_hold_no_participant_id():
    assert case_name(1) == "case_0001"
    assert case_name(12345, ScanId("0099", "2", ScanSequence.ME_VIBE)) == "case_12345_mevibe"
    assert cases.CASE_NAME.fullmatch("case_12345_mevibe") and not cases.CASE_NAME.fullmatch("case_1/../x")


def test_the_labels_of_the_helper_are_what_the_settings_say():
    assert set(labels_of(1).ravel().tolist()) == {0, *LABELS.values()}
