"""A label map that is computed again while a rater looks at it: verdicts are on what was seen, and the page says so."""

import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import write_small_run
from synthetic_tables import MODEL

from dixonflow.ratings.store import read_ratings
from dixonflow.vocabulary import ScanId

pytestmark = needs_browser

_FAIL_ONCE = """
const real = window.fetch;
window.fetch = (path, options) => {
  if (!String(path).startsWith("/case/")) return real(path, options);
  window.fetch = real;
  return Promise.resolve(new Response("{}", {status: 500}));
};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = start_browser(tmp_path_factory.mktemp("profile"), draws=True)
    yield started
    started.quit()


class Opened(Page):
    """The page at a scan; only that one's `/case/` was answered where the others are held back."""

    def __init__(self, browser, results):
        super().__init__(browser)
        self.results = results

    def open_first(self):
        self.press("\ue007")
        self.wait(lambda: self.data("shown"), "a scan")
        self.first, self.name = self.data("shown"), self.text("#scan-title")

    def compute_again(self):
        scan = ScanId(self.name.partition(",")[0], "2")
        self.results.labels_sidecar(scan, MODEL.name).write_text('{"content_key": "ab"}')

    def keys(self):
        """Label maps that verdicts are on."""
        return [each.label_map_key for each in read_ratings(self.results.ratings)]

    def rates_the_new_one(self):
        self.wait(lambda: not self.count("#figures.waiting"), "the pictures of the new label map")
        self.press("1")
        self.wait(lambda: "ab" in self.keys(), "the next verdict")


@pytest.fixture
def page(browser, tmp_path):
    results, _ = write_small_run(tmp_path)
    with ReviewProcess(tmp_path) as server:
        made = Opened(browser, results)
        browser.get("about:blank")
        made.open(server.address)
        yield made


def test_a_verdict_on_a_label_map_that_was_computed_again_meanwhile_says_so(page):
    page.open_first()
    page.compute_again()
    page.press("1")
    page.wait(lambda: "was computed again" in page.text("#notices"), "the notice")
    page.wait(lambda: "of another label map" in page.text("#ratings"), "the verdict, marked")
    page.rates_the_new_one()
    assert len(page.keys()) == 2


def test_the_rater_who_has_moved_on_is_told_and_not_taken_back(page):
    page.hold("/case/", 1)
    page.hold("/api/ratings")
    page.open_first()
    page.compute_again()
    page.press("1")
    page.wait(lambda: page.data("pending") == "1", "the verdict")
    page.press("j")
    page.release("/api/ratings")
    page.wait(lambda: f"The label map of {page.name} was computed again" in page.text("#notices"), "the notice")
    page.release("/case/")
    page.wait(lambda: page.data("shown") != page.first, "the next scan")
    assert page.text("#scan-title") != page.name


def test_a_verdict_that_is_saved_after_the_rater_has_moved_on_says_so(page):
    page.hold("/api/ratings")
    page.open_first()
    page.compute_again()
    page.press("1")
    page.wait(lambda: page.data("pending") == "1", "the verdict")
    page.press("j")
    page.wait(lambda: page.data("shown") != page.first, "the next scan")
    page.release("/api/ratings")
    page.wait(lambda: f"The label map of {page.name} was computed again" in page.text("#notices"), "the notice")
    page.press("k")
    page.shown(page.first)
    page.rates_the_new_one()


def test_two_verdicts_that_are_saved_during_one_renewal_are_no_endless_replacement(page):
    page.hold("/case/", 1)
    page.open_first()
    page.compute_again()
    page.press_at_once("11")
    page.wait(lambda: len(page.keys()) == 2, "two verdicts")
    page.saved()
    assert "is being replaced" not in page.text("#notices")
    page.release("/case/")
    page.wait(lambda: "of another label map" in page.text("#ratings"), "the verdict, marked")
    page.rates_the_new_one()


def test_a_renewal_that_failed_is_tried_again(page):
    page.open_first()
    page.compute_again()
    page.run(_FAIL_ONCE)
    page.press("1")
    page.wait(lambda: "the server answers 500" in page.text("#notices"), "the failure")
    page.press("1")
    page.wait(lambda: "of another label map" in page.text("#ratings"), "the new label map")
    assert "is being replaced" not in page.text("#notices")
    page.rates_the_new_one()


def test_pictures_of_another_label_map_are_not_shown_as_those_of_the_earlier_one(page):
    page.open_first()
    page.compute_again()
    page.run("delete document.body.dataset.shown")
    page.press(".")
    page.shown(page.first)
    page.rates_the_new_one()
    assert page.keys() == ["ab"]


def test_three_planes_are_those_of_the_label_map_that_a_verdict_is_on(page):
    page.open_first()
    page.compute_again()
    page.run("delete document.body.dataset.shown")
    page.press("v")
    page.wait(lambda: "the label map was computed again" in page.text("#notices"), "the reason")
    page.shown(page.first)
    assert page.count("#planes[hidden]") and page.count("figure img")
    page.press("v")
    page.wait(lambda: page.data("planes") == page.first, "the planes of the new one")
    page.press("1")
    page.wait(lambda: page.keys() == ["ab"], "the verdict")
