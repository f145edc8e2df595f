"""A verdict is on what was seen, and what was said last is what counts."""

import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import write_small_run
from synthetic_tables import MODEL

from dixonflow.ratings.store import current, read_ratings
from dixonflow.vocabulary import ScanId

pytestmark = needs_browser

_AN_HOUR_BACK = """
const Real = Date;
window.Date = class extends Real {
  constructor(...values) { if (values.length) super(...values); else super(Real.now() - 3600000); }
  static now() { return Real.now() - 3600000; }
};
"""
_NO_PICTURES = """
const real = window.fetch;
window.fetch = (path, ...rest) => (String(path).startsWith("/picture/") ? new Promise(() => {}) : real(path, ...rest));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = start_browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """The results, the server and the page, which shows the list."""
    results, _ = write_small_run(tmp_path)
    with ReviewProcess(tmp_path) as server:
        page = Page(browser)
        browser.get("about:blank")
        page.open(server.address)
        yield results, server, page


def said(results):
    return [(each.structure, each.verdict.value) for each in current(read_ratings(results.ratings))]


def open_first(page):
    page.press("\ue007")
    page.wait(lambda: page.data("shown"), "a scan")


def test_the_last_word_counts_even_if_the_clock_was_set_back(opened):
    results, _, page = opened
    open_first(page)
    page.choose("liver")
    page.press("1")
    page.wait(lambda: said(results) == [("liver", "good")], "the first verdict")
    page.run(_AN_HOUR_BACK)
    page.press("3")
    page.wait(lambda: page.count("dialog[open]"), "the dialog")
    page.press("n", "\ue007")
    page.wait(lambda: said(results) == [("liver", "faulty")], "the second verdict, which is the later one")
    page.wait(lambda: "liver: faulty" in page.text("#ratings"), "the second verdict on the page")
    page.press("u")
    page.wait(lambda: said(results) == [], "undo")
    page.run("location.reload()")  # with the right clock again; what was taken back is later than that
    page.wait(lambda: page.data("shown"), "the scan")
    page.run(_AN_HOUR_BACK)
    page.choose("liver")
    page.press("1")
    page.wait(lambda: said(results) == [("liver", "good")], "the verdict after undo")


def test_undo_takes_back_the_last_verdict_and_no_other_while_none_can_be_saved(opened, tmp_path):
    results, server, page = opened
    open_first(page)
    page.choose("liver")
    page.press("1")
    page.saved()
    page.press("w")
    page.wait(lambda: page.text("#subject").endswith("as a whole") and not page.count("#figures.waiting"), "pictures")
    server.kill()
    for count, key in enumerate("1u1u", 1):
        page.press(key)
        page.wait(lambda count=count: page.data("pending") == str(count), "a verdict that waits")
    with ReviewProcess(tmp_path, port=server.port) as other:
        page.open(other.address)
        page.saved()
        assert said(results) == [("liver", "good")]


def test_a_verdict_may_follow_the_choice_of_a_structure_at_once(opened):
    results, _, page = opened
    open_first(page)
    page.press("f", "liver")
    page.wait(lambda: page.text("#subject").endswith("liver"), "the structure")
    page.press("1")
    page.wait(lambda: said(results) == [("liver", "good")], "the verdict")


def test_a_verdict_on_a_label_map_that_was_computed_again_meanwhile_says_so(opened):
    results, _, page = opened
    open_first(page)
    shown = ScanId(page.text("#scan-title").partition(",")[0], "2")
    results.labels_sidecar(shown, MODEL.name).write_text('{"content_key": "ab"}')
    page.press("1")
    page.wait(lambda: "was computed again" in page.text("#notices"), "the notice")
    page.wait(lambda: "of another label map" in page.text("#ratings"), "the verdict, marked")


def test_there_is_no_verdict_on_a_scan_that_is_not_yet_shown(opened):
    results, _, page = opened
    page.run(_NO_PICTURES)
    page.press("\ue007")
    page.wait(lambda: page.text("#subject").startswith("Verdicts are on"), "the scan without its pictures")
    page.press("1")
    page.wait(lambda: "No verdict was given" in page.text("#notices"), "the notice")
    assert said(results) == []
