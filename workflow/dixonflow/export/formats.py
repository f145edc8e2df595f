"""Writers of tables for other programs: every value is read back as it is here, nulls are missing values.

A null of text is an empty text in Stata and SPSS, which have no other.
"""

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pyreadstat
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from dixonflow.errors import ConfigError
from dixonflow.export.names import SPSS_LENGTH, STATA_LENGTH, short_names
from dixonflow.export.source import Exported, Variable, is_text
from dixonflow.system.atomic import atomic_path, write_bytes

_STATA_LABEL, _SPSS_LABEL = 80, 256
_STATA_UNICODE = 14
"""Stata 14 and later read UTF-8; the next newer format is for Stata/MP alone."""

_LONGEST_TEXT = 2045
_LARGEST = 8.9884656743e307
"""Largest number of Stata: above are its missing values."""

_EXCEL_ROWS, _EXCEL_COLUMNS, _EXCEL_TEXT = 1_048_576, 16_384, 32_767
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def write_stata(source: Exported, path: Path) -> dict[str, str]:
    """Write a .dta file of Stata 14; return the name of each column in it.

    Raises
    ------
    ConfigError
        If a text is longer than it can be.
    """
    return _write_by_pyreadstat(source, path, STATA_LENGTH, _STATA_LABEL)


def write_spss(source: Exported, path: Path) -> dict[str, str]:
    """Write a .sav file of SPSS; return the name of each column in it.

    Raises
    ------
    ConfigError
        If a text is longer than it can be.
    """
    return _write_by_pyreadstat(source, path, SPSS_LENGTH, _SPSS_LABEL)


def _write_by_pyreadstat(source: Exported, path: Path, length: int, label_length: int) -> dict[str, str]:
    names = short_names([each.name for each in source.variables], length)
    rows = pd.DataFrame({names[each.name]: _plain(source.rows[each.name]) for each in source.variables})
    for name, column in rows.items():
        if is_text(column) and max((len(text.encode()) for text in _plain(column)), default=0) > _LONGEST_TEXT:
            raise ConfigError(f"table {source.name}: {name} has a text of more than {_LONGEST_TEXT} bytes")
    labels: list[str | None] = [_label(each, label_length) for each in source.variables]
    with atomic_path(path) as temporary:
        if path.suffix == ".dta":
            pyreadstat.write_dta(
                rows, str(temporary), file_label=f"DixonFlow: {source.name}"[:80], column_labels=labels,
                version=_STATA_UNICODE,
            )  # fmt: skip
        else:
            pyreadstat.write_sav(
                rows, str(temporary), file_label=f"DixonFlow: {source.name}"[:60], column_labels=labels
            )
    return names


def _plain(column: "pd.Series") -> "pd.Series":
    if column.dtype == "Int64":
        return column.astype(float)  # the whole numbers of a table are counts: far below 2^53
    if is_text(column):
        return pd.Series([value if isinstance(value, str) else "" for value in column], column.index, dtype=object)
    return column


def _label(variable: Variable, length: int) -> str:
    unit = f" ({variable.unit})" if variable.unit not in ("", "1") else ""
    room = length - len(unit)
    return f"{variable.label[:room]}{unit}"


def write_csv(source: Exported, path: Path) -> dict[str, str]:
    """Write a CSV file in UTF-8: text in quotes, so that ids keep their zeros; numbers without loss, nulls empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([each.name for each in source.variables])
    columns = [_cells(source.rows[each.name]) for each in source.variables]
    for row in zip(*columns, strict=True):
        writer.writerow([_Empty() if cell is None else cell for cell in row])
    write_bytes(path, buffer.getvalue().encode())
    return {each.name: each.name for each in source.variables}


class _Empty(float):
    """A null in CSV: the writer leaves numbers unquoted, and this one has no digits."""

    def __repr__(self) -> str:
        return ""

    __str__ = __repr__


def _cells(column: "pd.Series") -> list[str | float | int | None]:
    """Plain values; null is None, and floating-point numbers are as short as they can be without loss."""
    if is_text(column):
        return [value if isinstance(value, str) else None for value in column]
    missing = column.isna()
    kind = int if column.dtype == "Int64" else float
    return [None if gone else kind(value) for value, gone in zip(column, missing, strict=True)]


def write_excel(source: Exported, path: Path) -> dict[str, str]:
    """Write an .xlsx file: ids as text, numbers with 16 digits, control characters as blanks.

    Raises
    ------
    ConfigError
        If there is more than a sheet can hold, or a cell.
    """
    rows, columns = source.rows.shape
    if rows + 1 > _EXCEL_ROWS or columns > _EXCEL_COLUMNS:
        raise ConfigError(
            f"table {source.name} has {rows:,} rows and {columns:,} columns: a sheet has {_EXCEL_ROWS:,} and "
            f"{_EXCEL_COLUMNS:,}; export it as CSV"
        )
    cells = [_cells(source.rows[each.name]) for each in source.variables]
    if any(isinstance(value, str) and len(value) > _EXCEL_TEXT for column in cells for value in column):
        raise ConfigError(f"table {source.name} has a text of more than {_EXCEL_TEXT:,} characters: export it as CSV")
    book = Workbook(write_only=True)
    sheet = book.create_sheet(source.name[:31])
    sheet.append([each.name for each in source.variables])
    for row in zip(*cells, strict=True):
        sheet.append([_excel_cell(sheet, value) for value in row])
    with atomic_path(path) as temporary:
        book.save(temporary)
    return {each.name: each.name for each in source.variables}


def _excel_cell(sheet: object, value: str | float | None) -> object:
    if not isinstance(value, str):
        return value
    # text that begins like a formula stays text
    cell = WriteOnlyCell(sheet, value=_NOT_IN_XML.sub(" ", value))
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def check_finite(source: Exported) -> None:
    """Raise ConfigError for a number that is not finite, or in the range of Stata's missing values."""
    for each in source.variables:
        column = source.rows[each.name]
        if not is_text(column) and column.dtype == float and (column.abs() > _LARGEST).any():
            raise ConfigError(f"table {source.name}: {each.name} has a value that is not finite, or too large")
