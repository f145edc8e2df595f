"""Take the pictures of docs/review.md: the review page of a finished demo run, in Chromium.

Needs `make demo` and scripts/install_browser.sh. The ratings that it gives go to a copy of the results.
"""

import io
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from dixonflow.cli.options import run
from dixonflow.config import read_config

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 300_000
_COLOURS = 200


def main(
    config: Annotated[Path, typer.Option(help="Configuration of a finished run.")] = Path("config.yaml"),
    target: Annotated[Path, typer.Option(help="Folder of the pictures.")] = ROOT / "docs",
) -> None:
    """Take the pictures."""
    sys.path.append(str(ROOT / "tests/helpers"))
    driven = import_module("review_page")

    settings = read_config(config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = folder / "results"
        shutil.copytree(settings.results, results, ignore=shutil.ignore_patterns("ratings", "temporary", "logs"))
        copied = settings.model_copy(update={"results": results})
        (folder / "config.json").write_text(copied.model_dump_json(), encoding="utf-8")
        with driven.ReviewProcess(folder, "--without-ids") as server:
            browser = driven.start_browser(folder / "profile", draws=True)
            try:
                _take(driven.Page(browser), server.address, target)
            finally:
                browser.quit()


def _take(page: Any, address: str, target: Path) -> None:
    page.open(address)
    page.press("\ue007")
    page.wait(lambda: page.count("figure img") == 2, "the first scan")
    page.choose("kidney_left")
    page.press("1")
    page.saved()
    _save(page, target / "review_scan.png")
    page.press("3")
    page.wait(lambda: page.count("dialog[open]"), "the dialog")
    page.press("n")
    _save(page, target / "review_verdict.png")
    page.press("\ue00c", "v")
    page.wait(lambda: page.data("planes"), "the planes")
    _save(page, target / "review_planes.png")
    page.press("v", "j")
    page.wait(lambda: page.text("#place").startswith("2 of"), "the next scan")
    page.press("3")
    page.wait(lambda: page.count("dialog[open]"), "the dialog")
    page.press("m", "\ue007")
    page.saved()
    page.press("\ue00c")
    page.wait(lambda: page.count("#list-view:not([hidden])") and "anna: faulty" in page.text("#rows"), "the list")
    _save(page, target / "review_list.png")


def _save(page: Any, path: Path) -> None:
    """Save what the browser shows with few colours, which makes it a third as large."""
    page.settle()
    shown = Image.open(io.BytesIO(page.browser.get_screenshot_as_png())).convert("RGB")
    encoded = io.BytesIO()
    shown.quantize(_COLOURS, dither=Image.Dither.NONE).save(encoded, "PNG", optimize=True)
    if len(encoded.getvalue()) > LARGEST_BYTES:
        sys.exit(f"{path.name} has more than {LARGEST_BYTES:,} bytes")
    path.write_bytes(encoded.getvalue())
    print(f"{path} {len(encoded.getvalue()):,} bytes")


if __name__ == "__main__":
    run(main)
