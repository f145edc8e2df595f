"""Three planes: only those of the scan and the model that a verdict would be on."""

import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import write_small_run

pytestmark = needs_browser

_SECOND_MODEL = """
const real = window.fetch;
window.fetch = async (path, options) => {
  const answer = await real(path, options);
  if (!String(path).startsWith("/case/")) return answer;
  const content = await answer.json();
  content.models.push({...content.models[0], name: "other"});
  return new Response(JSON.stringify(content));
};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = start_browser(tmp_path_factory.mktemp("profile"), draws=True)
    yield started
    started.quit()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_small_run(folder)
    with ReviewProcess(folder) as started:
        yield started


@pytest.fixture
def page(browser, server):
    made = Page(browser)
    browser.get("about:blank")
    made.open(server.address)
    return made


def open_first(page):
    page.press("\ue007")
    return page.wait(lambda: page.data("shown"), "a scan")


def test_another_model_closes_the_planes_of_the_one_before(page):
    page.run(_SECOND_MODEL)
    first = open_first(page)
    page.press("v")
    page.wait(lambda: page.data("planes") == first, "the planes")
    page.press("w")
    assert page.data("planes") == first  # another structure is in the same label map
    page.run("const s = document.getElementById('model'); s.value = 'other'; s.dispatchEvent(new Event('change'))")
    page.wait(lambda: page.count("#planes[hidden]"), "the end of the planes")
    assert page.data("planes") is None and page.count("#figures:not([hidden])")


def test_planes_that_arrive_late_are_not_shown_for_the_next_scan(page):
    first = open_first(page)
    page.hold(f"/volume/{first}/")
    page.press("v", "j")
    page.wait(lambda: page.data("shown") not in (None, first), "the next scan")
    second = page.data("shown")
    page.press("v")
    page.wait(lambda: page.data("planes") == second, "the planes of the next scan")
    page.release(f"/volume/{first}/")
    page.settle()
    assert page.data("planes") == second and not page.count("#planes[hidden], #planes.waiting")


def test_the_planes_before_are_hidden_until_those_of_the_scan_are_there(page):
    first = open_first(page)
    page.press("v")
    page.wait(lambda: page.data("planes") == first, "the planes")
    page.press("j")
    page.wait(lambda: page.data("shown") not in (None, first), "the next scan")
    second = page.data("shown")
    page.hold(f"/volume/{second}/")
    page.press("v")
    page.wait(lambda: page.count("#planes:not([hidden])"), "the place of the planes")
    visibility = "return getComputedStyle(document.getElementById('niivue')).visibility"
    assert page.run(visibility) == "hidden"
    page.release(f"/volume/{second}/")
    page.wait(lambda: page.data("planes") == second, "the planes of the next scan")
    assert page.run(visibility) == "visible"
