"""Tables in the lines of a text: whatever separates their cells, they are looked at like other tables."""

import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from dixonflow.privacy.egress_counts import in_items
from dixonflow.privacy.egress_tables import ID_COLUMN, NUMBER, PEOPLE, cleaned, in_rows
from dixonflow.privacy.known_people import KnownPeople

_SEPARATORS = (r"\s*\|\s*", r"\s*&\s*", r"\s*,\s*", r"\s*;\s*", r"\t", r"\s{2,}")
_BETWEEN = re.compile(r"[\s/:;,|&{}()\[\]\"'=]+")
"""What may separate the words and numbers of a line where none of the above does."""

_VALUE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?|na|nan|null|none", re.IGNORECASE)
_LATEX = re.compile(r"\s*(\\\\(\[[^]]*\])?|\\(hline|toprule|midrule|bottomrule)\b)\s*")
_ENDS_SENTENCE = re.compile(r".*[.!?:]\W*")
_FEWEST_NUMBERS = 2
"""Numbers in a line of text from which it may be the row of a table."""

_MOST_NAMES = 12
"""Words of a line that only blanks separate and that names columns: more are a sentence."""

Rows = list[list[str]]


def in_lines(text: str, people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    """Check lines of a text that are like those of a table: they follow each other and have as many cells.

    Parameters
    ----------
    known
        Whether a study wrote the text, or somebody has looked at it: its rows need no number of people then.
    """
    if people.own_values(np.array([float(each) for each in re.findall(r"\d+\.\d+", text)], float)):
        yield "it holds values of single participants"
    pairs = [(line.strip(), _LATEX.sub("", line).strip()) for line in text.splitlines()]
    lines = [line for whole, line in pairs if not whole or not set(line) <= set("|-:+= ")]  # no rules under headings
    rest = list(lines)
    for separator in _SEPARATORS:
        for start, rows in _runs(lines, separator):
            for table in _tables(rows):
                rest[start : start + len(rows)] = [""] * len(rows)
                yield from in_rows(table, people, limit, known)
    for table in _alike([_pieces(line) for line in rest if line]):
        yield from in_rows(table, people, limit, known)
    if not known and any(_names_ids(*pair) for pair in itertools.pairwise([line for line in rest if line])):
        yield "a line says that the lines below it are of single participants"
    yield from in_items(lines, limit)


def _runs(lines: Sequence[str], separator: str) -> Iterator[tuple[int, Rows]]:
    """Lines that follow each other and have as many cells, more than one, with the place of the first."""
    run: Rows = []
    for place, line in enumerate([*lines, ""]):
        cells = re.split(separator, line.strip("|").strip())
        if run and len(cells) != len(run[0]):
            yield place - len(run), run
            run = []
        if len(cells) > 1:
            run.append(cells)


def _tables(run: Rows) -> Iterator[Rows]:
    """The part of a run that is a table: all of it, or what begins with the name of a column of ids."""
    numbers = sum(sum(bool(NUMBER.match(cell)) for cell in cells) >= _FEWEST_NUMBERS for cells in run)
    if numbers >= 2 or (len(run) > 1 and any(PEOPLE.fullmatch(cleaned(cell)) for cell in run[0])):
        yield run
    for place, cells in enumerate(run[:-1]):
        if any(ID_COLUMN.fullmatch(cleaned(cell)) for cell in cells):
            yield run[place:]


def _alike(lines: Sequence[list[str]]) -> Iterator[Rows]:
    """Lines that follow each other with words and two numbers or more in the same places, below their heading."""
    kinds = [[bool(_VALUE.fullmatch(cell)) for cell in cells] for cells in lines]
    place = 0
    for kind, group in itertools.groupby(kinds):
        start, place = place, place + len(list(group))
        if sum(kind) >= _FEWEST_NUMBERS and place - start > 1:
            headed = start > 0 and len(kinds[start - 1]) == len(kind) and not any(kinds[start - 1])
            yield list(lines[start - headed : place])


def _pieces(line: str) -> list[str]:
    """Words and numbers of a line, whatever separates them."""
    return _BETWEEN.split(line.strip(" {}()[]\"'|&,;"))


def _names_ids(heading: str, below: str) -> bool:
    """Whether a line has the name of a column of ids, and the next one as many words, one of them with a digit."""
    names, cells = _pieces(heading), _pieces(below)
    return (
        len(names) == len(cells) <= _MOST_NAMES
        and not any(_ENDS_SENTENCE.fullmatch(line) for line in (heading, below))
        and any(ID_COLUMN.fullmatch(cleaned(name)) for name in names)
        and not any(_VALUE.fullmatch(name) for name in names)
        and any(any(character.isdigit() for character in cell) for cell in cells)
    )
