"""Tables in text, separated by tab, semicolon or comma."""

import csv
import io
from collections.abc import Iterator

from dixonflow.evaluation.masks.problem import EvaluationError


def text_table(text: str, what: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Read a table: the names of its columns, and the number and the cells of each line that is not empty.

    A line that is longer or shorter than the first has its cells in the wrong columns.

    Parameters
    ----------
    text
        Its first line names the columns.
    what
        What the table is called in errors.

    Raises
    ------
    EvaluationError
        If a column is there twice, or, from the lines, if one has more or fewer cells than there are columns.
    csv.Error
        If it is none.
    """
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max("\t;,", key=first.count))
    names = [name.strip() for name in next(lines, [])]
    if len(set(names)) < len(names):
        raise EvaluationError(f"{what} has a column twice")

    def rows() -> Iterator[tuple[int, list[str]]]:
        for line in filter(None, lines):
            if len(line) != len(names):
                raise EvaluationError(f"{what}: line {lines.line_num} has {len(line)} cells, not {len(names)}")
            yield lines.line_num, line

    return names, rows()
