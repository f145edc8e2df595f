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

from dixonflow.ratings.store import read_ratings

pytestmark = needs_browser

_LONGEST_PAUSE_S = 0.4
_GIVE = """
const pause = arguments[0];
window.seen = window.seen ?? new Set();
new MutationObserver(() => {
  for (const each of document.querySelectorAll("#ratings [data-rating]")) window.seen.add(each.dataset.rating);
}).observe(document.getElementById("ratings"), {childList: true});
let left = 40;
const timer = setInterval(() => {
  left -= 1;
  if (left < 0) clearInterval(timer);
  else document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "1", bubbles: true}));
}, pause);
"""
"""Gives 40 verdicts, one every so many milliseconds, and notes the ids of all that the page shows."""


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
def test_no_verdict_that_was_shown_is_lost_when_server_and_browser_are_killed(tmp_path, kills):
    results, _ = write_small_run(tmp_path)
    chance, profile, port = random.Random(kills), tmp_path / "profile", free_port()
    seen, killed = set(), {"server": 0, "browser": 0}
    server, browser = ReviewProcess(tmp_path, port=port), start_browser(profile)
    page = Page(browser)
    while sum(killed.values()) < kills:
        open_scan(page, server)
        page.run(_GIVE, chance.randint(10, 120))
        time.sleep(0.2 + chance.random())
        victims = chance.choice([("server",), ("browser",), ("server", "browser"), ("browser", "server")])
        for victim in victims:
            if browser is not None:
                seen |= set(page.run("return [...window.seen]"))
            killed[victim] += 1
            if victim == "server":
                server.kill()
                time.sleep(chance.random() * _LONGEST_PAUSE_S)  # verdicts go on to be given, and wait
            else:
                kill_browser(browser)
                browser = None
        if "server" in victims:
            server = ReviewProcess(tmp_path, port=port)
        if browser is None:
            browser = start_browser(profile)
            page = Page(browser)
        else:
            seen |= set(page.run("return [...window.seen]"))
    open_scan(page, server)
    page.saved()
    found = ids_on_disk(results)
    print(f"\nkilled {killed}, {len(seen)} verdicts were shown, {len(found)} are on the disk")
    assert seen and seen <= found
    browser.quit()
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
        page.wait(lambda: page.text("#saved") == "1 not saved yet", "the count")
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
