"""The page in a real browser, on a small run with images."""

import json
from pathlib import Path

import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import label_key, write_small_run
from selenium.webdriver.common.keys import Keys

from dixonflow.ratings.store import current, read_ratings
from dixonflow.report.contact_sheet import sheet_name

pytestmark = needs_browser


def key_of(scan):
    return Path(sheet_name(scan, f"key of {scan.participant}")).stem


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    results, scans = write_small_run(folder)
    return folder, results, scans


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = start_browser(tmp_path_factory.mktemp("profile"), draws=True)
    yield started
    started.quit()


@pytest.fixture(scope="module")
def server(run):
    with ReviewProcess(run[0]) as started:
        yield started


@pytest.fixture
def page(browser, server):
    made = Page(browser)
    browser.get("about:blank")
    made.open(server.address)
    return made


def ratings(run):
    return current(read_ratings(run[1].root / "ratings"))


def test_the_list_has_the_worst_first_and_is_searched_sorted_and_filtered_by_keys(page, run):
    rows = page.text("#rows").splitlines()
    assert rows[0].startswith("1000005") and page.text("#count") == "15 of 15 scans"
    page.press("/", "1000003")
    page.wait(lambda: page.text("#count") == "1 of 15 scans", "the search")
    page.press(Keys.ESCAPE, Keys.ENTER)
    page.shown(key_of(run[2][3]))
    page.press(Keys.ESCAPE)
    page.run("document.getElementById('search').value = ''")
    for name, value, count in (("status", "failed", 1), ("status", "", 15), ("check", "contrast_agreement", 2)):
        page.run(
            "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event('change', {bubbles: true}))",
            f"filter-{name}",
            value,
        )
        page.wait(lambda count=count: page.text("#count") == f"{count} of 15 scans", f"the filter {name}")
    assert "contrast agreement kidney left" in page.text("#rows")


def open_scan(page, server, scan):
    page.run("location.hash = arguments[0]", f"#/scan/{key_of(scan)}")
    page.shown(key_of(scan))


def test_a_scan_shows_what_the_check_names_in_three_panels_and_two_planes(page, server, run):
    open_scan(page, server, run[2][5])
    assert page.text("#focus option:checked").startswith("contrast agreement: kidney left")
    captions = page.run("return [...document.querySelectorAll('figcaption')].map(each => each.innerText)")
    assert [text.partition(",")[0] for text in captions] == ["coronal", "axial"]
    assert all(text.endswith("water, label map on in-phase, fat") for text in captions)
    before = page.run("return document.querySelector('figure img').naturalHeight")
    page.press("w")
    page.wait(lambda: page.text("#focus option:checked") == "whole body", "the whole body")
    page.wait(lambda: page.run("return document.querySelector('figure img')?.naturalHeight") != before, "a picture")
    slices = page.text("figcaption")
    page.press(".")
    page.wait(lambda: page.text("figcaption") not in ("", slices), "the next slice")
    width = page.run("return document.querySelector('figure img').clientWidth")
    page.press("+", "+")
    page.wait(lambda: page.run("return document.querySelector('figure img').clientWidth") > width, "zoom")


def test_a_verdict_is_given_by_keys_alone_and_is_on_the_disk(page, server, run):
    scan = run[2][7]
    open_scan(page, server, scan)
    page.press("3")
    page.wait(lambda: page.count("dialog[open]"), "the dialog")
    page.press(Keys.ENTER)
    assert page.text("#judge-problem") == "A faulty verdict needs a cause."
    page.press("n", Keys.TAB, "half of it", Keys.ENTER)
    page.wait(lambda: "faulty" in page.text("#ratings"), "the verdict")
    page.saved()
    (rating,) = [each for each in ratings(run) if each.scan == scan]
    assert (rating.verdict, rating.cause, rating.comment) == ("faulty", "network", "half of it")
    assert rating.structure == page.run("return document.getElementById('focus').value")
    assert (rating.rater, rating.model, rating.label_map_key) == ("anna", "demo", label_key(scan))
    page.press("w", "1")
    page.wait(lambda: len([each for each in ratings(run) if each.scan == scan]) == 2, "the second verdict")
    page.saved()
    page.wait(lambda: "whole label map: good" in page.text("#ratings"), "both verdicts")
    page.press("u")
    page.wait(lambda: [each.structure for each in ratings(run) if each.scan == scan] == [rating.structure], "undo")
    page.saved()
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.count("#list-view:not([hidden])") and "anna: faulty" in page.text("#rows"), "the list")


def test_j_and_k_go_through_the_list(page, run):
    page.press(Keys.ENTER)
    page.wait(lambda: page.data("shown"), "the first scan")
    first = page.data("shown")
    page.press("j")
    page.wait(lambda: page.data("shown") not in (None, first), "the next scan")
    page.press("k")
    page.shown(first)


def test_back_in_the_list_the_selection_is_where_it_was(page):
    page.press(Keys.ENTER)
    page.wait(lambda: page.data("shown"), "the first scan")
    page.press(Keys.ESCAPE, "j", "j", "a", Keys.ESCAPE)
    page.wait(lambda: page.count("#list-view:not([hidden])"), "the list")
    page.wait(lambda: page.count("#row-2[aria-selected=true]"), "the third row")


def test_three_planes_of_the_real_images_are_loaded_on_demand_from_this_machine(page, server, run):
    open_scan(page, server, run[2][0])
    assert not [url for url in page.requests() if "niivue" in url or "/volume/" in url]
    page.press("v")
    page.wait(lambda: page.data("planes") == key_of(run[2][0]), "the planes")
    asked = page.requests()
    assert {url.partition("?")[0].rpartition("/")[2] for url in asked} >= {"niivue.js", "water.nii.gz", "labels.nii.gz"}
    assert [url for url in asked if not url.startswith((server.base, "data:", f"blob:{server.base}"))] == []
    page.press("v")
    page.wait(lambda: page.count("figure"), "the pictures")


def test_a_scan_without_images_shows_its_overview_and_the_reason(page, server, run):
    open_scan(page, server, run[2][8])
    assert "the water image is not there" in page.text("#figures")
    assert page.run("return document.querySelector('#figures img').naturalWidth") > 0
    assert page.text("#subject") == "There is no label map to judge."
    page.press("1")
    assert page.data("pending") == "0"


def test_damaged_images_are_named_and_the_page_lives_on(page, server, run):
    scan = run[2][3]
    results = run[1]
    (fat,) = results.anat(scan).glob("*acq-fat*")
    content = fat.read_bytes()
    fat.write_bytes(content[:2000])
    try:
        open_scan(page, server, scan)
        page.wait(lambda: "the fat image cannot be read" in page.text("#figures"), "the reason")
        assert scan.participant not in page.text("#figures")
        assert page.count("figure img") == 2
    finally:
        fat.write_bytes(content)


def test_errors_of_the_page_are_shown_to_the_user_and_sent_nowhere(page, server):
    page.requests()
    page.run("document.getElementById('help').remove()")
    page.press("?")
    page.wait(lambda: "An error on this page" in page.text("#notices"), "the error of a key")
    page.run("document.getElementById('rows').remove()")
    page.press("j")
    page.wait(lambda: page.count("#notices .notice") == 2, "the rejected promise")
    assert "null" in page.text("#notices")
    assert page.requests() == []


@pytest.mark.parametrize("view", ["list", "scan", "dialog", "help", "agreement", "planes"])
def test_axe_finds_no_violations(page, server, run, view):
    if view in ("scan", "dialog", "planes"):
        open_scan(page, server, run[2][7])
    keys = {"dialog": "3", "help": "?", "agreement": "a", "planes": "v"}
    if view in keys:
        page.press(keys[view])
        waits = {"agreement": "#agreement p, #agreement table", "planes": "[data-planes]"}
        page.wait(lambda: page.count(waits.get(view, "dialog[open]")), view)
    assert page.violations() == []


def test_a_link_of_the_report_leads_to_its_scan(page, server, run):
    page.open(f"{server.base}/#/scan/{key_of(run[2][5])}")
    page.shown(key_of(run[2][5]))


def test_everything_comes_from_this_machine(page, server, run):
    page.requests()
    page.browser.get("about:blank")
    page.open(server.address)
    assert [url for url in page.requests() if not url.startswith((server.base, "about:", "data:"))] == []


def test_the_agreement_of_two_raters_is_shown(page, run):
    own = [json.loads(line) for line in (run[1].root / "ratings" / "anna.jsonl").read_text().splitlines()]
    other = [row | {"rater": "bert", "rating_id": f"b{place}"} for place, row in enumerate(own)]
    (run[1].root / "ratings" / "bert.jsonl").write_text("".join(json.dumps(row) + "\n" for row in other))
    page.press("a")
    page.wait(lambda: page.count("#agreement table"), "the table")
    assert "everything" in page.text("#agreement")


def test_a_verdict_that_the_server_refuses_is_shown_and_kept_until_the_user_discards_it(page, server, run):
    open_scan(page, server, run[2][0])
    page.run(
        "const send = window.fetch; window.fetch = (path, options) => {"
        "if (options?.method === 'POST') options.body = options.body.replace('\"good\"', '\"superb\"');"
        "return send(path, options); };"
    )
    page.press("1")
    page.wait(lambda: "names a verdict or a cause that there is not" in page.text("#notices"), "the reason")
    assert page.text("#saved") == "All verdicts are saved, 1 refused"
    assert "not saved yet" in page.text("#ratings")
    page.run(
        "[...document.querySelectorAll('#notices button')].find((each) => each.innerText === 'Discard it').click()"
    )
    page.wait(lambda: page.text("#saved") == "All verdicts are saved", "the end of it")
