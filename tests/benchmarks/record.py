"""One row of the table and of results/benchmarks.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Record:
    """What one benchmark found.

    Attributes
    ----------
    name
        Of the benchmark.
    peer, peer_version
        Whom we compare with; the version is None where the peer is missing, both where there is none to compare with.
    ours_s, peer_s
        Median seconds; None where nothing was measured.
    ratio
        peer_s over ours_s; None unless the outputs were found equal.
    equal
        Whether the outputs are equal, as `note` says how; None where there was nothing to compare.
    ours_peak_mb, peer_peak_mb
        Largest resident memory of the timed process (MB), median.
    note
        How equal, why unequal, what is missing or went wrong.
    """

    name: str
    peer: str | None
    peer_version: str | None
    ours_s: float | None
    peer_s: float | None
    ratio: float | None
    equal: bool | None
    ours_peak_mb: float | None
    peer_peak_mb: float | None
    note: str

    @property
    def failed(self) -> bool:
        """Whether outputs differ or a side that is there did not run to its end."""
        return self.equal is False or self.ours_s is None


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write the list as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n", encoding="utf-8")


def read_records(path: Path) -> list[Record]:
    """Read what `write_records` wrote; none where there is no file."""
    if not path.exists():
        return []
    return [Record(**record) for record in json.loads(path.read_text(encoding="utf-8"))]


def print_table(records: Sequence[Record], console: Console) -> None:
    """Print the records, a row each."""
    table = Table(title="DixonFlow and its peers: medians of both in one run")
    for column in ("benchmark", "peer"):
        table.add_column(column)
    for column in ("ours", "peer", "ratio", "our peak", "its peak"):
        table.add_column(column, justify="right")
    table.add_column("outputs")
    for record in records:
        peer = " ".join(part for part in (record.peer, record.peer_version) if part) or "-"
        missing = record.peer is not None and record.peer_version is None
        table.add_row(
            record.name,
            f"{peer} missing" if missing else peer,
            _number(record.ours_s, " s"),
            _number(record.peer_s, " s"),
            "unequal" if record.equal is False else _number(record.ratio, "x"),
            _number(record.ours_peak_mb, " MB"),
            _number(record.peer_peak_mb, " MB"),
            record.note,
        )
    console.print(table)


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"
