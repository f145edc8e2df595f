"""What is known of the cohorts' deliveries: `acquisition.json` as typed values."""

import json
import re
from functools import cache
from importlib import resources
from typing import Any

from dixonflow.vocabulary import DIXON, Contrast, Layout, ScanId


@cache
def _facts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath("acquisition.json").read_text("utf-8"))
    return content


@cache
def contrast_words(kind: str) -> dict[str, Contrast]:
    """Words of one kind (`image_type_words`, `dixon_words`, `series_suffixes`) and the contrasts they stand for."""
    return {word: contrast for contrast in DIXON for word in _facts()[kind][contrast.value]}


def composed_word() -> str:
    """Word in the tags of images that the scanner put together from stations."""
    word: str = _facts()["composed_word"]["word"]
    return word


def expected_stations(layout: Layout) -> int | None:
    """Number of stations of a complete scan; None where it is not known beforehand."""
    count: int | None = _facts()["n_stations"][layout.value]
    return count


def scan_of_zip(name: str, layout: Layout, pattern: str | None = None) -> ScanId | None:
    """Participant and session from the name of a zip; None where it does not follow the layout.

    Raises
    ------
    re.error, IndexError
        If `pattern` is no regular expression, or lacks the groups `participant` and `session`.
    """
    match = re.fullmatch(pattern or _facts()["zip_names"][layout.value], name)
    if match is None:
        return None
    try:
        return ScanId(match["participant"], match["session"])
    except ValueError:
        return None
