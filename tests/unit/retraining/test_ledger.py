"""The ledger is only ever added to, and half a line that a killed process left does not count."""

import pytest

from dixonflow.retraining.ledger import (
    CaseSet,
    Entry,
    Step,
    append_to_ledger,
    frozen_participants,
    ledger_sha256,
    read_ledger,
)
from dixonflow.retraining.project import RetrainingError
from dixonflow.vocabulary import ScanId, ScanSequence


def entry(participant: str = "000123", step: Step = Step.SELECTED, **changes) -> Entry:
    fields = {"round": 1, "set": CaseSet.TRAIN, "scan": ScanId(participant, "2"), "case": "case_0001"} | changes
    return Entry(step, **fields)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.csv"


def test_lines_are_read_as_they_were_written(path):
    written = [
        entry(digests=("a" * 32, "b" * 32), note="failed check: volume, left"),
        entry("000124", Step.PROPAGATED, scan=ScanId("000124", "2", ScanSequence.ME_VIBE), case="case_0002_mevibe"),
        entry("000125", Step.ACCEPTED, file_sha256="c" * 64, who="reader1", when="2026-01-02T03:04:05+00:00"),
    ]
    assert append_to_ledger(path, written) == written
    found = read_ledger(path)
    assert found == written
    assert (found[2].who, found[2].when) == ("reader1", "2026-01-02T03:04:05+00:00")
    assert found[0].who and found[0].when


def test_a_repeated_step_adds_nothing_and_a_changed_one_does(path):
    first, second = entry(step=Step.ACCEPTED, file_sha256="a" * 64), entry(step=Step.ACCEPTED, file_sha256="b" * 64)
    append_to_ledger(path, [first])
    before = path.read_bytes()
    assert append_to_ledger(path, [first, first]) == []
    assert path.read_bytes() == before
    append_to_ledger(path, [second])
    append_to_ledger(path, [first])  # the first correction again: it is the last word now
    assert [each.file_sha256[0] for each in read_ledger(path)] == ["a", "b", "a"]
    assert path.read_bytes().startswith(before)


@pytest.mark.parametrize("kept", [1, 30, -1])
def test_half_a_line_does_not_count_and_is_written_again(path, kept):
    append_to_ledger(path, [entry("1")])
    whole = path.read_bytes()
    append_to_ledger(path, [entry("2")])
    second = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + second[:kept])
    assert read_ledger(path) == [entry("1")]
    append_to_ledger(path, [entry("2")])
    assert read_ledger(path) == [entry("1"), entry("2")]
    assert path.read_bytes().count(b"\n") == 3


def test_the_hash_covers_every_whole_line(path):
    append_to_ledger(path, [entry("1")])
    first = ledger_sha256(path)
    path.write_bytes(path.read_bytes() + b"half")
    assert ledger_sha256(path) == first
    append_to_ledger(path, [entry("2")])
    assert ledger_sha256(path) != first


def test_a_note_cannot_make_a_second_line(path):
    append_to_ledger(path, [entry(note='a\nb,"c"')])
    assert read_ledger(path)[0].note == 'a b,"c"'
    assert path.read_bytes().count(b"\n") == 2


def test_test_participants_are_those_of_the_test_set(path):
    append_to_ledger(path, [entry("1"), entry("2", Step.FROZEN, set=CaseSet.TEST, round=0, case="")])
    assert frozen_participants(read_ledger(path)) == {"2"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"selected", b"elected"),
        (b",train,", b",both,"),
        (b"sub-000123_ses-2", b"../../x"),
        (b",1,train", b",-1,train"),
        (b",1,train", b",1e9,train"),
        (b"when,", b"where,"),
        (b",case_0001,", b",case_0001,,,"),
        (b"selected", b'"selected'),
        (b"selected", b"\xff"),
    ],
)
def test_a_damaged_line_is_named(path, old, new):
    append_to_ledger(path, [entry()])
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(RetrainingError, match=r"damaged|columns") as error:
        read_ledger(path)
    assert "000123" not in str(error.value)
    assert "\n" not in str(error.value)
