"""What a column and a table of DixonFlow are.

Everything that is said about a column is said once, in a `Column`: the Parquet schema, the check of the rows, the
dictionary and datapackage.json are all generated from it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd

NAME_ENDINGS: dict[str, str] = {
    **{"mL": "ml", "cm2": "cm2", "mm": "mm", "s": "seconds", "MB": "mb", "1": "", "ratio": "", "": ""},
    **{"T": "t", "ms": "ms", "deg": "deg", "years": "years", "1/s": "per_s"},
    **{"%": "percent", "cm": "cm", "kg": "kg", "kg/m2": "kg_per_m2"},
}
"""How the name of a column ends that holds values in a unit. `1` is a ratio, the empty unit is text or a count."""


class ColumnType(StrEnum):
    """The plain types that Parquet readers of Python, R and SQL share."""

    STRING = "string"
    DOUBLE = "double"
    INT64 = "int64"
    BOOL = "bool"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name
        As in the file; ends in its unit.
    type
        Plain type of the values.
    description
        What it is, for a reader of the table who knows nothing else.
    unit
        Unit of the values: a key of `NAME_ENDINGS`.
    definition
        How the value is computed, or what its words mean; empty where the description says all.
    source
        Paper or project that a definition or number comes from, else `DixonFlow`.
    nullable
        Whether values may be missing.
    allowed
        The closed set of values, empty where there is none.
    minimum, maximum
        Inclusive bounds of the values; none where there is none.
    published_dice
        Mean Dice that was published of the model for the structure behind the column.
    published_dice_source
        Who measured it, and on what.
    """

    name: str
    type: ColumnType
    description: str
    unit: str = ""
    definition: str = ""
    source: str = "DixonFlow"
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    published_dice: float | None = None
    published_dice_source: str = ""

    def __post_init__(self) -> None:
        if self.unit not in NAME_ENDINGS:
            raise ValueError(f"column {self.name}: unknown unit {self.unit!r}")
        if not self.name.endswith(NAME_ENDINGS[self.unit]):
            raise ValueError(f"column {self.name}: the name must end in its unit, {NAME_ENDINGS[self.unit]}")
        if not self.description:
            raise ValueError(f"column {self.name} has no description")


def text_column(
    name: str, description: str, definition: str = "", *, nullable: bool = False, allowed: Iterable[str] = ()
) -> Column:
    """Make a column of text; `allowed` are the words that it may hold, any by default."""
    words = tuple(str(word) for word in allowed)
    return Column(name, ColumnType.STRING, description, definition=definition, nullable=nullable, allowed=words)


@dataclass(frozen=True)
class Rule:
    """A condition between columns that every row must meet.

    Attributes
    ----------
    name
        The condition in words, for the error message.
    holds
        Takes the rows, returns one boolean per row.
    """

    name: str
    holds: Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, and the keys by which its rows are sorted and unique.

    Attributes
    ----------
    name
        File name without `.parquet`.
    description
        What one row is.
    keys
        Columns that identify a row; rows are sorted by them, missing keys last.
    columns
        All columns, in the order of the file.
    rules
        Conditions between columns.
    since
        First major version of the schema whose files have these columns with these meanings.
    """

    name: str
    description: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = field(default=(), compare=False)
    since: int = 1

    def __post_init__(self) -> None:
        names = [column.name.lower() for column in self.columns]  # SQL readers do not tell upper from lower case
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"table {self.name} has duplicate columns: {', '.join(twice)}")
        if not self.keys or set(self.keys) - set(self.names):
            raise ValueError(f"table {self.name}: the keys must be columns of the table")
        if any(self[key].nullable and self[key].type is not ColumnType.STRING for key in self.keys):
            raise ValueError(f"table {self.name}: a key that may be missing must be a string")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        """Column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
