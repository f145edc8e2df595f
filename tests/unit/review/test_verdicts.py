"""A verdict is on what was seen, and what was said last is what counts."""

import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import write_small_run

from dixonflow.ratings.store import current, read_ratings

pytestmark = needs_browser

_AN_HOUR_BACK = """
const Real = Date;
window.Date = class extends Real {
  constructor(...values) { if (values.length) super(...values); else super(Real.now() - 3600000); }
  static now() { return Real.now() - 3600000; }
};
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


@pytest.mark.parametrize(("keys", "left"), [("1u", {"liver"}), ("1u1", {"liver", None}), ("1uu", set())])
def test_undo_takes_back_the_last_verdict_though_the_browser_still_writes_it(opened, keys, left):
    results, _, page = opened
    open_first(page)
    page.choose("liver")
    page.press("1")
    page.wait(lambda: said(results) == [("liver", "good")], "the first verdict")
    page.saved()
    page.press("w")
    page.wait(lambda: page.text("#subject").endswith("as a whole") and not page.count("#figures.waiting"), "pictures")
    page.press_at_once(keys)
    page.wait(lambda: len(read_ratings(results.ratings)) == 1 + len(keys), "all of it")
    assert {structure for structure, _ in said(results)} == left


@pytest.mark.parametrize(("held", "passed"), [("/case/", 1), ("/api/rows", 0)])
def test_there_is_no_verdict_on_the_scan_before_while_the_next_one_is_awaited(opened, held, passed):
    results, _, page = opened
    page.hold(held, passed)
    open_first(page)
    first = page.data("shown")
    page.press("1")
    page.wait(lambda: len(said(results)) == 1, "the verdict")
    page.saved()  # and the rows of the list are asked for again
    page.press_at_once("j1")
    page.wait(lambda: "No verdict was given: the next scan was not shown yet" in page.text("#notices"), "the notice")
    page.release(held)
    page.wait(lambda: page.data("shown") != first, "the next scan")
    page.press("k")
    page.shown(first)
    page.press("1")
    page.wait(lambda: len(read_ratings(results.ratings)) == 2, "a verdict on the first scan, which is shown again")


def test_there_is_no_verdict_on_a_scan_that_is_not_yet_shown_and_the_notice_stays_until_there_is_one(opened):
    results, _, page = opened
    page.hold("/picture/")
    page.press("\ue007")
    page.wait(lambda: page.text("#subject").startswith("Verdicts are on"), "the scan without its pictures")
    page.press("1")
    page.wait(lambda: "No verdict was given" in page.text("#notices"), "the notice")
    page.release("/picture/")
    page.wait(lambda: page.data("shown"), "the pictures")
    assert "No verdict was given" in page.text("#notices") and said(results) == []
    page.press("1")
    page.wait(lambda: len(said(results)) == 1, "the verdict")
    assert "No verdict was given" not in page.text("#notices")
