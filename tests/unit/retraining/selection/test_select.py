"""Scans are selected once, from the source that was asked for, and the same way each time."""

from dataclasses import replace
from pathlib import Path

import pytest
from retraining_run import random_request, set_up, write_people, write_quality

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.ratings.rating import Rating, time_now
from dixonflow.ratings.store import RatingStore
from dixonflow.retraining.ledger import CaseSet, Step, read_ledger
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.selection.ranking import LABEL_CHECKS
from dixonflow.retraining.selection.select import Request, Source, read_selected, select
from dixonflow.retraining.selection.strata import Stratum
from dixonflow.vocabulary import Cause, ScanId, Verdict

AGREEMENT = "contrast_agreement"


def scan(number: int) -> ScanId:
    return ScanId(f"{1000 + number}", "2")


def request(source: Source, count: int | None = None, **more) -> Request:
    return Request(source, 1, CaseSet.TRAIN, count, "demo", **more)


def test_failure_mining_takes_the_worst_first_and_no_test_participant(tmp_path):
    run, project = set_up(tmp_path)
    found = {
        (scan(1), AGREEMENT, "liver"): ("review", 0.7),
        (scan(2), AGREEMENT, "liver"): ("review", 0.2),
        (scan(3), AGREEMENT, "liver"): ("review", 0.75),
        (scan(3), AGREEMENT, "spleen"): ("review", 0.75),
        (scan(4), AGREEMENT, "liver"): ("fail", 0.79),
        (scan(5), AGREEMENT, "liver"): ("pass", 0.9),
        (scan(8), AGREEMENT, "liver"): ("fail", 0.1),
        (scan(6), AGREEMENT, "heart"): ("fail", 0.1),  # no structure of the project
        (scan(6), "cut_by_field_of_view", "liver"): ("fail", 0.1),  # not the network's fault
    }
    write_quality(run.results, found)
    rows = select(project, request(Source.FAILURES, 10)).scans
    assert [row.scan for row in rows] == [scan(4), scan(3), scan(2), scan(1)]
    assert rows[1].why == "contrast_agreement liver, contrast_agreement spleen"
    with pytest.raises(RetrainingError, match="no check nothing"):
        select(project, request(Source.FAILURES, 3, checks=("nothing",)))
    with pytest.raises(RetrainingError, match="no scan left"):
        select(project, request(Source.FAILURES, 3, checks=(AGREEMENT,)))


def test_the_checks_that_count_by_default_exist_and_others_can_be_named(tmp_path):
    assert set(LABEL_CHECKS) <= set(CHECKS)
    run, project = set_up(tmp_path)
    write_quality(run.results, {(scan(6), "cut_by_field_of_view", "liver"): ("fail", 0.1)})
    with pytest.raises(RetrainingError, match="no scan left"):
        select(project, request(Source.FAILURES, 3))
    assert select(project, request(Source.FAILURES, 3, checks=("cut_by_field_of_view",))).scans[0].scan == scan(6)


def test_ratings_choose_what_a_rater_finds_faulty_now(tmp_path):
    run, project = set_up(tmp_path)
    store = RatingStore(run.results.root / "ratings", "reader1")

    def rate(number, verdict, structure="liver"):
        cause = Cause.NETWORK if verdict is not Verdict.GOOD else None
        store.add(Rating(scan(number), "demo", structure, verdict, cause, "reader1", time_now(), ""))

    for number, verdict in ((1, "usable"), (2, "faulty"), (3, "faulty"), (8, "faulty")):
        rate(number, Verdict(verdict))
    rate(2, Verdict.GOOD)  # the last word counts
    rate(3, Verdict.FAULTY, "spleen")
    rows = select(project, request(Source.RATINGS, 10)).scans
    assert [(row.scan, row.why) for row in rows] == [(scan(3), "faulty: liver, spleen")]
    rows = select(project, request(Source.RATINGS, 10, usable=True)).scans
    assert [row.scan for row in rows] == [scan(1)]


def test_the_same_request_selects_nothing_more_and_a_second_source_adds(tmp_path):
    _, project = set_up(tmp_path)
    first = select(project, random_request(2))
    files = project.selected(1).read_bytes(), project.ledger.read_bytes()
    assert select(project, random_request(2)) == replace(first, passed_over=0)
    assert (project.selected(1).read_bytes(), project.ledger.read_bytes()) == files
    more = select(project, random_request(3))
    rows = read_selected(project, 1)
    assert [row.case for row in rows] == [f"case_{number:04d}" for number in range(1, 6)]
    assert len({row.scan for row in rows}) == 5 and rows[2:] == list(more.scans)


def test_random_choice_follows_the_seed_alone(tmp_path):
    chosen = []
    for number, seed in enumerate((3, 3, 4)):
        _, project = set_up(tmp_path / str(number), participants=12, seed=seed)
        chosen.append([row.scan for row in select(project, random_request(4)).scans])
    assert chosen[0] == chosen[1] != chosen[2]


def test_strata_are_drawn_from_evenly_and_unknown_is_one_of_them(tmp_path):
    run, project = set_up(tmp_path, participants=12)
    people = {scan(number): ("female", 55.0, "a") for number in range(1, 8)}
    people |= {scan(8): ("male", 61.0, "a"), scan(9): (None, None, None)}
    write_people(run.results, people)
    by = (Stratum.SEX, Stratum.AGE)
    rows = select(project, request(Source.RANDOM, 4, by=by)).scans
    groups = [row.why.removeprefix("random ") for row in rows]
    assert sorted(groups[:3]) == ["sex=female age=50", "sex=male age=60", "sex=unknown age=unknown"]


def test_strata_need_a_table_of_covariates(tmp_path):
    _, project = set_up(tmp_path)
    with pytest.raises(RetrainingError, match=r"cohort\.covariates"):
        select(project, request(Source.RANDOM, 4, by=(Stratum.SITE,)))


def test_test_cases_are_the_frozen_participants(tmp_path):
    _, project = set_up(tmp_path)
    rows = select(project, Request(Source.RANDOM, 0, CaseSet.TEST, None, "demo")).scans
    assert {row.scan for row in rows} == {scan(7), scan(8)}
    assert all(row.set is CaseSet.TEST for row in rows)


def test_withdrawn_participants_are_not_selected(tmp_path):
    _, project = set_up(tmp_path)
    project.config.cohort.withdrawn.write_text("1001\n1002\n")
    rows = select(project, random_request(10)).scans
    assert {row.scan for row in rows} == {scan(3), scan(4), scan(5), scan(6)}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("1001\n", "line 1: not a scan name"),
        ("sub-1001_ses-2\nsub-1001_ses-2\n", "line 2: sub-1001_ses-2 is there twice"),
        ("# list\nsub-4711_ses-2\n", "line 2: sub-4711_ses-2 is no Dixon scan with the status ok"),
        ("\udcff", "not in UTF-8"),
        ("sub-1007_ses-2\n", "1007 is a frozen test participant"),
    ],
)
def test_a_wrong_list_is_refused_whole(tmp_path, content, problem):
    _, project = set_up(tmp_path)
    (tmp_path / "list.txt").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RetrainingError, match=problem):
        select(project, request(Source.LIST, file=tmp_path / "list.txt"))
    assert read_selected(project, 1) == []


def test_a_call_that_was_killed_before_the_ledger_is_completed_by_the_next(tmp_path):
    _, project = set_up(tmp_path)
    frozen = project.ledger.read_bytes()
    select(project, random_request(3))
    whole = project.ledger.read_bytes()
    for kept in (len(frozen), len(frozen) + 50, len(whole) - 1):
        project.ledger.write_bytes(whole[:kept])
        select(project, random_request(3))
        assert [e.case for e in read_ledger(project.ledger) if e.step is Step.SELECTED] == [
            "case_0001",
            "case_0002",
            "case_0003",
        ]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (request(Source.RANDOM, 0), "at least 1"),
        (request(Source.RANDOM), "--count"),
        (request(Source.LIST), "--file"),
        (request(Source.LIST, file=Path("nothing.txt")), r"nothing\.txt cannot be read"),
        (replace(request(Source.RANDOM, 1), round=3), "nothing is selected in round 2"),
        (replace(request(Source.RANDOM, 1), round=0), "number from 1"),
        (replace(request(Source.RANDOM, 1), set=CaseSet.TEST), "number from 1"),
    ],
)
def test_a_request_that_makes_no_sense_says_what_to_do(tmp_path, asked, problem):
    _, project = set_up(tmp_path)
    with pytest.raises(RetrainingError, match=problem):
        select(project, asked)
