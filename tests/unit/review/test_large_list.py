"""The list of 100,000 scans; how long things take is printed (pytest -s), and never asserted."""

import statistics
import time

import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import SHAPE, write_images, write_large_run
from selenium.webdriver.common.keys import Keys

from dixonflow.review.cases import read_cases

pytestmark = needs_browser

SCANS, SEEN = 100_000, 12
FULL_SIZE = (224, 174, 370)
"""Voxels of a stitched scan of UK Biobank."""

_TIMED = """
const [key, done] = arguments;
const before = document.body.dataset.shown ?? "";
const start = performance.now();
const observer = new MutationObserver(() => {
  if ((document.body.dataset.shown ?? "") === before) return;
  observer.disconnect();
  requestAnimationFrame(() => done(performance.now() - start));
});
observer.observe(document.body, {attributes: true});
document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
"""


@pytest.mark.parametrize("shape", [SHAPE, pytest.param(FULL_SIZE, marks=pytest.mark.slow)], ids=["small", "full"])
def test_the_list_of_100000_scans_has_few_rows_in_the_page_and_answers_keys(tmp_path, shape):
    results = write_large_run(tmp_path, SCANS)
    cases = read_cases(results)
    for place in cases.worst_first[:SEEN]:
        write_images(results, cases.at(int(place)).scan, shape)
    begun = time.monotonic()
    with ReviewProcess(tmp_path) as server:
        started = time.monotonic() - begun
        browser = start_browser(tmp_path / "profile")
        try:
            page = Page(browser)
            page.open(server.address)
            listed = page.run("return performance.getEntriesByName('listed')[0].startTime")
            paint = page.run("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
            assert page.text("#count") == "100,000 of 100,000 scans"
            assert 5 < page.count("#rows [role=row]") < 100
            page.press(Keys.END)
            page.wait(lambda: page.count(f"#row-{SCANS - 1}[aria-selected=true]"), "the last row")
            assert page.count("#rows [role=row]") < 100
            page.press("/", "1099999")
            page.wait(lambda: page.text("#count") == "1 of 100,000 scans", "the search")
            page.run("document.getElementById('search').value = ''")
            page.press(Keys.ESCAPE)
            filtered = page.run("return performance.now()")
            page.run(
                "const s = document.getElementById('filter-check'); s.value = 'contrast_agreement';"
                "s.dispatchEvent(new Event('change', {bubbles: true}))"
            )
            page.wait(lambda: page.text("#count") not in ("1 of 100,000 scans", "100,000 of 100,000 scans"), "a filter")
            filtered = page.run("return performance.now()") - filtered
            page.open(server.address)
            page.press(Keys.ENTER)
            page.wait(lambda: page.data("shown"), "the first scan")
            steps = []
            for _ in range(SEEN - 4):
                time.sleep(1.5 if shape == SHAPE else 5)  # as long as a rater looks, at least
                steps.append(page.browser.execute_async_script(_TIMED, "j"))
            back = [page.browser.execute_async_script(_TIMED, "k") for _ in range(3)]
            assert page.count("figure img") == 2
        finally:
            browser.quit()
    print(
        f"\n{SCANS:,} scans, images of {shape}: server {started:.1f} s; first paint {paint} ms, list {listed:.0f} ms; "
        f"filter {filtered:.0f} ms; next scan {statistics.median(steps):.0f} ms (largest {max(steps):.0f}), "
        f"previous {statistics.median(back):.0f} ms"
    )
