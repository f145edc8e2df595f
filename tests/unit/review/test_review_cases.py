"""Cases, lists and queries, on tables as aggregate writes them."""

from pathlib import Path

import pytest
from reviewable_run import write_small_run

from dixonflow.ratings.rating import Rating, time_now
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.review.cases import ReviewError, read_cases, read_list
from dixonflow.review.judgements import Judgements
from dixonflow.review.queries import Query, matching
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import Cause, ScanId, Verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def cases(run):
    return read_cases(run[0])


@pytest.fixture
def nobody(tmp_path):
    return Judgements(tmp_path / "ratings", "anna", blinded=False)


def found(cases, judgements, *, blinded=False, with_ids=True, **values):
    order = matching(cases, Query.parse(values), judgements, blinded=blinded, with_ids=with_ids)
    return [cases.at(int(place)).scan.participant for place in order]


def test_every_scan_but_the_withdrawn_is_a_case_with_the_key_of_its_contact_sheet(run, cases):
    _, scans = run
    assert len(cases) == 15
    for scan in scans:
        case = cases.find(Path(sheet_name(scan, f"key of {scan.participant}")).stem)
        assert (case.scan, case.is_ok) == (scan, True)
        assert case.name(with_ids=True) == f"{scan.participant}, session 2"
    assert cases.find("0" * 20) is None


def test_the_worst_come_first_and_the_order_can_be_changed(cases, nobody):
    worst = found(cases, nobody)[:3]
    assert worst[0] == "1000005" and set(worst) == {"1000003", "1000005", "1000007"}
    assert found(cases, nobody, sort="id") == sorted(found(cases, nobody))
    shuffled = found(cases, nobody, sort="random", seed="1")
    assert sorted(shuffled) == sorted(found(cases, nobody)) and shuffled != found(cases, nobody, sort="id")
    assert shuffled == found(cases, nobody, sort="random", seed="1") != found(cases, nobody, sort="random", seed="2")


def test_the_random_order_is_that_of_the_seed_in_every_run_and_when_scans_come_or_leave(run, cases, nobody):
    fewer = found(read_cases(run[0], run[1][2:9]), nobody, sort="random", seed="1")
    assert fewer == [each for each in found(cases, nobody, sort="random", seed="1") if each in fewer]


def test_filters_combine(cases, nobody):
    assert set(found(cases, nobody, check="contrast_agreement")) == {"1000005", "1000007"}
    assert found(cases, nobody, check="contrast_agreement", structure="liver", sort="check") == ["1000007"]
    assert found(cases, nobody, grade="fail") == ["1000005"]
    assert len(found(cases, nobody, grade="none")) == 3 == len(found(cases, nobody, text="200000"))
    assert found(cases, nobody, text="1000003 2") == ["1000003"]
    assert found(cases, nobody, status="failed", sequence="dixon", text="nobody") == []


@pytest.mark.parametrize(
    "values", [{"grade": "x"}, {"sort": "x"}, {"seed": "-1"}, {"colour": "red"}, {"text": "x" * 500}]
)
def test_filters_that_there_are_not_are_refused(values):
    with pytest.raises(ReviewError):
        Query.parse(values)


def test_rated_cases_are_found_by_who_rated_and_how(run, cases, nobody, tmp_path):
    _, scans = run
    other = Judgements(tmp_path / "ratings", "bert", blinded=False)
    other.add(Rating(scans[0], "demo", "liver", Verdict.FAULTY, Cause.CUT, "bert", time_now(), ""))
    nobody.add(Rating(scans[1], "demo", None, Verdict.GOOD, None, "anna", time_now(), ""))
    assert found(cases, nobody, rated="yes") == ["1000001"]
    assert "1000000" in found(cases, nobody, rated="no")
    assert found(cases, nobody, verdict="faulty") == ["1000000"]
    blind = Judgements(tmp_path / "ratings", "anna", blinded=True)
    assert found(cases, blind, blinded=True, sort="random", verdict="faulty") == []
    taken_back = Rating(scans[1], "demo", None, Verdict.GOOD, None, "anna", time_now(), "", withdrawn=True)
    nobody.add(taken_back)
    assert found(cases, nobody, rated="yes") == []


def test_a_blinded_rater_can_neither_filter_nor_sort_by_grades(cases, nobody):
    for values in ({}, {"sort": "worst"}, {"sort": "random", "grade": "fail"}, {"sort": "random", "check": "x"}):
        with pytest.raises(ReviewError, match="blinded"):
            found(cases, nobody, blinded=True, **values)


def test_without_ids_cases_are_numbered_in_an_order_that_does_not_follow_ids(run):
    cases = read_cases(run[0], with_ids=False)
    names = [cases.at(place).name(with_ids=False) for place in range(len(cases))]
    assert names == [f"case {number}" for number in range(1, 16)]
    ids = [cases.at(place).scan.participant for place in range(len(cases))]
    assert ids != sorted(ids) and ids != sorted(ids, reverse=True)
    judgements = Judgements(run[0].root / "none", "anna", blinded=False)
    assert found(cases, judgements, with_ids=False, text="1000003") == []
    assert len(found(cases, judgements, with_ids=False, text="15")) == 1


@pytest.mark.parametrize("with_ids", [True, False])
def test_numbers_and_orders_hold_at_each_start_though_some_scans_have_no_raw_data(tmp_path, nobody, with_ids):
    results, _ = write_small_run(tmp_path)
    rows = read_table(results.scan_table, SCANS).to_pandas()
    unread = {"1000002", "1000006", "2000001"}
    rows.loc[rows["participant_id"].isin(unread), "raw_key"] = None
    write_table(results.scan_table, SCANS, rows)
    said = []
    for _ in range(4):
        cases = read_cases(results, with_ids=with_ids)
        listed = found(cases, nobody, with_ids=with_ids, sort="random", seed="1")
        assert set(listed[-3:]) == unread
        all_cases = [cases.at(place) for place in range(len(cases))]
        numbers = {case.number: case.scan.participant for case in all_cases}
        assert {numbers[number] for number in (13, 14, 15)} == unread
        if not with_ids:
            assert [case.number for case in all_cases] == list(range(1, 16))
        said.append((listed[:-3], [numbers[number] for number in range(1, 13)]))
    assert said == said[:1] * 4


def test_a_list_restricts_the_cases_to_the_scans_it_names(run, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(
        "\ufeffsession_id,participant_id,why\r\n2,1000004,odd\r\n2,1000002,\r\n2,999,\r\n", encoding="utf-8"
    )
    listed = read_list(path)
    assert listed == [ScanId("1000004", "2"), ScanId("1000002", "2"), ScanId("999", "2")]
    assert [read_cases(run[0], listed).at(place).scan.participant for place in (0, 1)] == ["1000002", "1000004"]
    with pytest.raises(ReviewError, match="none of the scans"):
        read_cases(run[0], [ScanId("999", "2")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant_id\n1\n", "has no column session_id"),
        ("participant_id,session_id\n1000004,2\n10 04,2\n", "line 3 names no scan"),
        ("participant_id,session_id,sequence\n1,2,xray\n", "line 2 names no scan"),
        ("participant_id,session_id\n1\n", "line 2 names no scan"),
        ("", "has no column participant_id"),
    ],
)
def test_a_damaged_list_is_named_with_its_line_and_without_ids(text, message, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(ReviewError, match=message) as error:
        read_list(path)
    assert "10 04" not in str(error.value)


def test_results_without_tables_say_what_to_do(tmp_path, run):
    from dixonflow.paths import Results

    with pytest.raises(ReviewError, match="run the pipeline first"):
        read_cases(Results(tmp_path))
    damaged = Results(tmp_path / "damaged")
    damaged.tables.mkdir(parents=True)
    damaged.scan_table.write_bytes(run[0].scan_table.read_bytes()[:500])
    (damaged.tables / "quality.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReviewError, match="run dixonflow aggregate"):
        read_cases(damaged)
