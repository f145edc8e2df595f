"""The review page in a real browser: the server as a process of its own, and Chromium (scripts/install_browser.sh)."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".browser/axe-core-4.14.1/axe.min.js"
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1400,900"),
)
_WITHOUT_GPU, _DRAWN_BY_CPU = ("--disable-gpu",), ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_PATIENCE_S = 60.0

_there = bool(shutil.which("chromium") and shutil.which("chromedriver") and AXE.is_file())
if not _there and "CI" in os.environ:
    raise RuntimeError("Chromium or axe-core is not installed, and CI skips no test: run scripts/install_browser.sh")
needs_browser = pytest.mark.skipif(
    not _there, reason="Chromium or axe-core is not installed (scripts/install_browser.sh)"
)


class ReviewProcess:
    """`dixonflow review` as a user calls it; `address` is what it printed."""

    def __init__(self, folder: Path, *options: str, rater: str = "anna", port: int = 0) -> None:
        command = [sys.executable, "-m", "dixonflow", "review", "--config", "config.json", "--no-browser"]
        command += ["--rater", rater, "--port", str(port), *options]
        self._log = (folder / "review.log").open("a")
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=self._log, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("http://"):
                break
        else:
            raise AssertionError(f"no address: {said}, {(folder / 'review.log').read_text()}")
        self.said, self.address = "".join(said), line.strip()
        self.port = urlsplit(self.address).port
        self.token = re.search("token=(.+)", self.address)[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.cookie = f"dixonflow_review_{self.port}={self.token}"

    def get(self, path: str) -> Any:
        with urlopen(Request(self.base + path, headers={"Cookie": self.cookie})) as answer:
            content = answer.read()
            return json.loads(content) if "json" in answer.headers["Content-Type"] else content

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._log.close()

    def __enter__(self) -> "ReviewProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def start_browser(profile: Path, *, draws: bool = False) -> webdriver.Chrome:
    """Start Chromium with a folder of its own; `draws` for pages that need WebGL."""
    options = Options()
    options.binary_location = shutil.which("chromium")
    for flag in (*_FLAGS, *(_DRAWN_BY_CPU if draws else _WITHOUT_GPU), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


_HOLD = """
const [start, passed] = arguments, real = window.fetch;
const released = new Promise((resolve) => { (window.held ??= {})[start] = resolve; });
let count = 0;
window.fetch = async (path, options) => {
  if (String(path).startsWith(start)) {
    count += 1;
    if (count > passed) await released;
  }
  return real(path, options);
};
"""


class Page:
    """What a user does at the page."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def open(self, address: str) -> None:
        self.browser.get(address)
        self.wait(lambda: self.data("ready"), "the page is ready")

    def press(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def data(self, name: str) -> str | None:
        return self.run("return document.body.dataset[arguments[0]] ?? null", name)

    def run(self, script: str, *values: object) -> Any:
        return self.browser.execute_script(script, *values)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def count(self, selector: str) -> int:
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def wait(self, true: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if found := true():
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited in vain for: {what}; notices: {self.text('#notices')}")

    def shown(self, key: str) -> None:
        self.wait(lambda: self.data("shown") == key, f"the scan {key}")

    def saved(self) -> None:
        self.wait(lambda: self.data("pending") == "0", "all verdicts are saved")

    def choose(self, structure: str) -> None:
        """Have the pictures cropped to a structure."""
        self.run(
            "const s = document.getElementById('focus'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
            structure,
        )
        self.wait(lambda: structure.replace("_", " ") in self.text("#subject"), "the structure")
        self.wait(lambda: not self.count("#figures.waiting"), "its pictures")

    def press_at_once(self, keys: str) -> None:
        """Press keys with no time between them, in which the page could do anything."""
        self.run(
            "const press = (key) => new KeyboardEvent('keydown', {key, bubbles: true});"
            "for (const key of arguments[0]) document.body.dispatchEvent(press(key));",
            keys,
        )

    def hold(self, start: str, passed: int = 0) -> None:
        """Hold back requests whose path starts so, but for the first few, until `release`."""
        self.run(_HOLD, start, passed)

    def release(self, start: str) -> None:
        self.run("window.held[arguments[0]]()", start)

    def settle(self) -> None:
        """Wait until what was drawn is on the screen."""
        self.browser.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300)))"
        )

    def violations(self) -> list[str]:
        """What axe-core objects to, with the elements."""
        self.run(AXE.read_text(encoding="utf-8"))
        found = self.browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        return [f"{each['id']}: {node['target']}" for each in found["violations"] for node in each["nodes"]]

    def requests(self) -> list[str]:
        """Addresses that the browser has asked for since this was called last."""
        messages = [json.loads(each["message"])["message"] for each in self.browser.get_log("performance")]
        return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
