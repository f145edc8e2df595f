"""Counts of few people where they do not stand alone in a cell: next to shares, as differences, in lists."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROUP = (
    r"(?:participants?|people|persons?|subjects?|patients?|scans?|images?|cases?|women|woman|men|man|females?|males?"
    r"|girls?|boys?|observations?|obs)"
)
_SINGLE = re.compile(
    r"\s*['\"]?[+-]?\d[\d,. '\u00a0\u2009\u202f]*(?:[eE][+-]?\d+)?\s*%?['\"]?\s*"
    r"|\s*\d+\s*(?:-|\u2013|to)\s*\d+\s*|\s*\d{4}-\d\d?-\d\d?\b.*"
)
"""One number, of which the column says what it is; a range; a date."""

_NO_WORDS = re.compile(r"(?:n\s*=|[\d\s.,;:/|()\[\]+%&~=<>≤±\u2013*-])*", re.IGNORECASE)
_TOKEN = re.compile(r"(?<![\w.,<≤])(?<![<≤]\s)(\d+)(?![\w.,]*\d)(?!\s*%)(?!\w)")
_SAID = re.compile(
    rf"\bn\s*[=:]\s*(\d+)\b|[(\[]\s*(\d+)\s*(?:/\s*\d+\s*)?[;,]?\s*(?:[\d.]+\s*%\s*)?[)\]]"
    rf"|\b(\d+)\s*(?:/|of|out of)\s*\d|\b(\d+)\s+{_GROUP}\b|\b{_GROUP}\s*[=:]?\s*(\d+)\b",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"(?P<mark>[-*+•]\s+|\d+[.)]\s+)?(?P<label>[^=:&]*?[^\W\d][^=:&]*?)(?:[\"']?\s*(?P<sign>[=:&])\s*|\s+)"
    r"[\"'{]?(?P<count>\d\W*(?:\d\W*)*)"
)
"""A line that is a label and numbers."""

_NO_COUNT = re.compile(
    r".*\b(version|volume|number|no|nr|issue|edition|fig|figure|tables?|sections?|chapter|pages?|step|parts?|panel|year|month"
    r"|day|date|level|seed|order|degree|degrees|df|wave|visit|session|stage|phase|model|grade|type|class|instance|segment"
    r"|lobe|station|group|quartile|quintile|decile|threads?|cores?|decimals|digits|limit|mean|sd|se|median|p|r|share"
    r"|percent|%)\W*",
    re.IGNORECASE,
)
"""Labels behind which a small number counts nobody."""

_OF_PEOPLE = re.compile(rf".*\b{_GROUP}\W*", re.IGNORECASE)
_MOST_WORDS, _MOST_CHARACTERS = 8, 200
"""Of a label, and of its line: more is a sentence."""


def holds_small_count(cell: str, limit: int) -> bool:
    """Whether a cell of several numbers, or of words and numbers, has a count from 1 to less than a limit."""
    if _SINGLE.fullmatch(cell):
        return False
    if _NO_WORDS.fullmatch(cell):
        found = _TOKEN.findall(cell)
    else:
        found = [each for groups in _SAID.findall(cell) for each in groups if each]
    return any(0 < int(each) < limit for each in found)


def small_differences(
    counts: Mapping[str, NDArray[np.floating[Any]]], totals: Sequence[str], limit: int
) -> Iterator[str]:
    """Find columns that count a part of what another one counts: what is missing counts people, too.

    Parameters
    ----------
    counts
        Columns of whole numbers, by name.
    totals
        Those of them that count people.
    limit
        Smallest count that may leave.
    """
    for total in totals:
        for part in counts:
            both = np.isfinite(counts[total]) & np.isfinite(counts[part])
            rest = (counts[total] - counts[part])[both]
            is_part = part != total and bool((rest >= 0).all()) and bool((counts[part][both] >= 0).all())
            if is_part and ((rest > 0) & (rest < limit)).any():
                yield f"columns {total} and {part} differ by counts under {limit}"


def in_items(lines: Sequence[str], limit: int) -> Iterator[str]:
    """Find small counts in lines that are a label and a number: items of lists, `name: 3`, rows of two cells.

    A label and a number that only a blank separates may end a sentence: it counts if the label names people, or the
    next or the last line is like it.
    """
    items = [_ITEM.fullmatch(line) if len(line) <= _MOST_CHARACTERS else None for line in lines]
    for place, item in enumerate(items):
        if item is None or _words(item) > _MOST_WORDS or _NO_COUNT.fullmatch(item["label"]):
            continue
        near = [each for each in (*items[max(place - 1, 0) : place], *items[place + 1 : place + 2]) if each]
        is_row = item["mark"] or item["sign"] or _OF_PEOPLE.fullmatch(item["label"])
        if not is_row and not any(_words(each) == _words(item) and not each["sign"] for each in near):
            continue
        if any(0 < int(each) < limit for each in _TOKEN.findall(item["count"])):
            yield f"a line has a count under {limit}"
            return


def _words(item: re.Match[str]) -> int:
    return len(item["label"].split())
