"""What was found, row by row: printed and saved at once, so that an interrupted run keeps what it has."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from dixonflow.system.atomic import write_bytes, write_json

Value = float | int | str | bool | None
State = Literal["passed", "failed", "measured", "skipped"]


@dataclass(frozen=True)
class Row:
    """One check or measurement.

    Attributes
    ----------
    section, network, case
        What it is of.
    state
        `passed` or `failed` of a check, `measured` where nothing is demanded, `skipped` with the reason in `note`.
    values
        Numbers by name, units in the names; None where there is no number.
    note
        Why it failed or was skipped, or what the numbers rest on.
    """

    section: str
    network: str
    case: str
    state: State
    values: dict[str, Value] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def checked(
        cls, section: str, network: str, case: str, passed: bool, values: dict[str, Value], note: str = ""
    ) -> "Row":
        """Row of a check."""
        return cls(section, network, case, "passed" if passed else "failed", values, note)


@dataclass(frozen=True)
class Budget:
    """Until when a section may begin further rows (seconds of `time.monotonic`)."""

    ends: float

    @classmethod
    def of(cls, seconds: float) -> "Budget":
        """From now on."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds, 0 where it is over."""
        return max(0.0, self.ends - time.monotonic())


class Recorder:
    """Rows of a run, in a JSON file and a page in Markdown that are whole after each row."""

    def __init__(self, folder: Path, name: str, machine: dict[str, Value]) -> None:
        self.rows: list[Row] = []
        self.machine = machine
        self.json, self.page = folder / f"{name}.json", folder / f"{name}.md"

    def add(self, row: Row) -> None:
        """Print and save."""
        self.rows.append(row)
        numbers = ", ".join(f"{name} {_text(value)}" for name, value in row.values.items())
        print(
            f"{row.section:<11}{row.network:<10}{row.case}: {row.state}", *filter(None, (numbers, row.note)), sep="  "
        )
        content = {"machine": self.machine, "rows": [asdict(each) for each in self.rows]}
        write_json(self.json, content)
        write_bytes(self.page, markdown(self.machine, self.rows).encode())

    @property
    def failed(self) -> list[Row]:
        """Checks that failed."""
        return [row for row in self.rows if row.state == "failed"]


def markdown(machine: dict[str, Value], rows: Sequence[Row]) -> str:
    """Give a table for each section, below what the machine is."""
    lines = [", ".join(f"{name}: {_text(value)}" for name, value in machine.items()), ""]
    for section in dict.fromkeys(row.section for row in rows):
        chosen = [row for row in rows if row.section == section]
        names = list(dict.fromkeys(name for row in chosen for name in row.values))
        lines += [f"### {section}", "", _line(["network", "case", "state", *names, "note"])]
        lines.append(_line(["---"] * (len(names) + 4)))
        for row in chosen:
            numbers = [_text(row.values.get(name)) for name in names]
            lines.append(_line([row.network, row.case, row.state, *numbers, row.note]))
        lines.append("")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _text(value: Value) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
