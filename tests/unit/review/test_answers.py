"""Label maps for the three planes: the one that was shown, or none."""

import json
from http import HTTPStatus
from pathlib import Path

import pytest
from reviewable_run import label_key, write_small_run
from synthetic_tables import MODEL

from dixonflow.report.contact_sheet import sheet_name
from dixonflow.review.answers import Answers
from dixonflow.review.cases import read_cases
from dixonflow.review.room import ReviewOptions, open_room
from dixonflow.vocabulary import ScanSequence


@pytest.fixture
def opened(tmp_path):
    """The results, a scan, and a function that asks for its label map by its key."""
    results, (scan, *_) = write_small_run(tmp_path)
    room = open_room(results, {ScanSequence.DIXON: (MODEL,)}, read_cases(results), ReviewOptions("anna"))
    path = f"/volume/{Path(sheet_name(scan, f'key of {scan.participant}')).stem}/labels.nii.gz"
    answers = Answers(room, "token")
    return results, scan, lambda key: answers.get(path, {"model": "demo", "label_map_key": key})


def test_the_label_map_that_was_shown_is_served(opened):
    results, scan, ask = opened
    assert ask(label_key(scan)).content == results.labels(scan, "demo").read_bytes()


@pytest.mark.parametrize("content", ['{"content_key": "ab"}', "", None], ids=["another", "damaged", "none"])
def test_a_label_map_that_was_computed_again_is_not_served_as_the_one_that_was_shown(opened, content):
    results, scan, ask = opened
    sidecar = results.labels_sidecar(scan, "demo")
    sidecar.unlink()
    if content is not None:
        sidecar.write_text(content)
    for key in (label_key(scan), "x"):
        answer = ask(key)
        assert answer.status is HTTPStatus.CONFLICT
        assert json.loads(answer.content) == {"error": "the label map was computed again: open the scan again"}


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_label_map_that_cannot_be_read_is_not_served(opened, kind):
    results, scan, ask = opened
    path = results.labels(scan, "demo")
    path.unlink()
    if kind == "folder":
        path.mkdir()
    answer = ask(label_key(scan))
    assert answer.status is HTTPStatus.NOT_FOUND and str(results.root).encode() not in answer.content
