"""Nothing is left of a participant who has withdrawn, and case names stay taken."""

from retraining_run import LABELS, random_request, set_up

from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.cases import all_cases, proposal_of
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, frozen_participants, read_ledger
from dixonflow.retraining.nnunet_raw import write_dataset
from dixonflow.retraining.selection.select import Request, Source, select
from dixonflow.retraining.status import describe
from dixonflow.retraining.withdrawal import forget_withdrawn


def corrected_project(tmp_path):
    _, project = set_up(tmp_path)
    rows = [*select(project, Request(Source.RANDOM, 0, CaseSet.TEST, None, "demo")).scans]
    rows += select(project, random_request(4)).scans
    for number in (0, 1):
        list(export_cases(project, number))
        back = tmp_path / f"back{number}"
        back.mkdir()
        for case in project.export(number).glob("case_*"):
            labels, affine = read_labels(proposal_of(project, number, case.name))
            labels[2, 2, 2] = LABELS["spleen"]
            write_labels(back / f"{case.name}.nii.gz", labels, affine)
        list(return_labels(project, number, back, "reader1"))
    write_dataset(project, 1)
    return project, rows


def test_files_and_ids_of_withdrawn_participants_are_gone(tmp_path):
    project, rows = corrected_project(tmp_path)
    gone = {rows[0].scan.participant: rows[0], rows[2].scan.participant: rows[2]}
    append_to_ledger(project.ledger, [Entry(Step.TRAINED, 1, CaseSet.TRAIN, rows[2].scan, rows[2].case)])
    project.config.cohort.withdrawn.write_text("\n".join(gone))
    found = forget_withdrawn(project)
    assert found.cases == tuple(sorted(row.case for row in gone.values()))
    assert found.files > 15 and found.networks == ("round 1",)
    for path in project.root.rglob("*"):
        assert not any(path.name.startswith(row.case) for row in gone.values())
        if path.suffix in (".csv", ".json"):
            assert not any(participant in path.read_text() for participant in gone)
    assert {case.name for case in all_cases(project)} == {row.case for row in rows} - set(found.cases)
    assert frozen_participants(read_ledger(project.ledger)) == {rows[1].scan.participant}
    assert forget_withdrawn(project).cases == () and "1, frozen" in describe(project)[0]


def test_the_next_steps_go_on_without_them(tmp_path):
    project, rows = corrected_project(tmp_path)
    project.config.cohort.withdrawn.write_text(rows[-1].scan.participant)
    forget_withdrawn(project)
    assert write_dataset(project, 1).training == 6
    more = select(project, random_request(1, 2)).scans
    assert [row.case for row in more] == ["case_0007"]
    assert len([entry for entry in read_ledger(project.ledger) if entry.step is Step.SELECTED]) == 7


def test_a_call_that_was_cut_off_is_completed(tmp_path):
    project, rows = corrected_project(tmp_path)
    participant = rows[3].scan.participant
    ledger = project.ledger.read_bytes()
    project.config.cohort.withdrawn.write_text(participant)
    forget_withdrawn(project)
    project.ledger.write_bytes(ledger)  # as it was killed before the ledger
    forget_withdrawn(project)
    assert participant.encode() not in project.ledger.read_bytes() + project.selected(1).read_bytes()
    assert len(all_cases(project)) == 5
