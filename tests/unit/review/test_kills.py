"""Verdicts are never lost: server and browser are killed at random while verdicts are given."""

import os
import random
import signal
import socket
import time

import psutil
import pytest
from review_page import Page, ReviewProcess, needs_browser, start_browser
from reviewable_run import write_small_run
from selenium.common.exceptions import WebDriverException

from dixonflow.ratings.store import read_ratings

pytestmark = needs_browser

_LONGEST_PAUSE_S = 0.4
_GIVE = """
const [count, first] = arguments;
window.given = window.given ?? [];
for (let place = 0; place < count; place += 1) {
  document.dispatchEvent(new KeyboardEvent("keydown", {key: "1", bubbles: true}));
}
return Object.keys(localStorage).filter((name) => name.startsWith("dixonflow-review/"));
"""
"""Gives verdicts; returns the names of those that the browser keeps, which have their ids."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kill_browser(browser) -> None:
    """Kill Chromium and all that it started, as when power fails."""
    driver = psutil.Process(browser.service.process.pid)
    for process in [*driver.children(recursive=True), driver]:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    browser.service.process.wait()


def ids_on_disk(results) -> set[str]:
    return {rating.rating_id for rating in read_ratings(results.root / "ratings")}


def open_scan(page, server) -> None:
    page.open(server.address)
    if not page.data("shown"):
        page.press("\ue007")
        page.wait(lambda: page.data("shown"), "a scan")


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_no_verdict_is_lost_when_server_and_browser_are_killed(tmp_path, kills):
    results, _ = write_small_run(tmp_path)
    chance, profile, port = random.Random(kills), tmp_path / "profile", free_port()
    acknowledged, kept, killed = set(), set(), {"server": 0, "browser": 0}
    server, browser = ReviewProcess(tmp_path, port=port), start_browser(profile)
    page = Page(browser)
    for _ in range(kills):
        open_scan(page, server)
        names = page.run(_GIVE, chance.randint(1, 6))
        kept |= {name.rpartition("/")[2] for name in names}
        time.sleep(chance.random() * _LONGEST_PAUSE_S)
        victims = chance.choice([("server",), ("browser",), ("server", "browser"), ("browser", "server")])
        for victim in victims:
            killed[victim] += 1
            if victim == "server":
                server.kill()
                # what the page shows as saved at this moment has been acknowledged
                if "browser" not in victims:
                    left = {name.rpartition("/")[2] for name in page.run("return Object.keys(localStorage)")}
                    acknowledged |= kept - left
                    assert acknowledged <= ids_on_disk(results)
            else:
                kill_browser(browser)
        if "server" in victims:
            server = ReviewProcess(tmp_path, port=port)
        if "browser" in victims:
            browser = start_browser(profile)
            page = Page(browser)
    open_scan(page, server)
    page.saved()
    left = [name for name in page.run("return Object.keys(localStorage)") if name.startswith("dixonflow-review/")]
    found = ids_on_disk(results)
    lost_by_browser = kept - found
    print(f"\n{sum(killed.values())} kills {killed}, {len(kept)} verdicts, {len(found)} on the disk, {len(acknowledged)} checked")
    assert left == []
    assert acknowledged <= found
    assert lost_by_browser == set()
    page.press("\ue00c")
    try:
        browser.quit()
    except WebDriverException:
        kill_browser(browser)
    server.kill()


def test_the_page_says_that_the_server_is_gone_and_sends_what_waits_when_it_is_back(tmp_path):
    results, _ = write_small_run(tmp_path)
    port = free_port()
    server, browser = ReviewProcess(tmp_path, port=port), start_browser(tmp_path / "profile")
    try:
        page = Page(browser)
        open_scan(page, server)
        server.kill()
        page.press("1")
        page.wait(lambda: "The server does not answer" in page.text("#notices"), "the notice")
        assert page.text("#saved") == "1 not saved yet"
        assert "not saved yet" in page.text("#ratings")
        server = ReviewProcess(tmp_path, port=port)
        page.wait(lambda: "Open the address that dixonflow review printed" in page.text("#notices"), "the hint")
        page.open(server.address)
        page.saved()
        assert page.text("#saved") == "All verdicts are saved"
        assert len(ids_on_disk(results)) == 1
    finally:
        browser.quit()
        server.kill()
