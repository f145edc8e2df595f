"""`scans.parquet` of the cohort stage: one row for everything that was found, whatever became of it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dixonflow.cohort.conservation import CohortFiles
from dixonflow.cohort.found import UnnamedEntry
from dixonflow.rawdata.acquisition import StationAcquisition
from dixonflow.rawdata.raw_scan import RawScan, options_as_json, options_from_json
from dixonflow.tables.columns import Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.outcome_rules import reason_fits_status
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import Layout, Reason, ScanId, ScanSequence, Status


@dataclass(frozen=True)
class CohortScan:
    """What became of one entry of the raw folders at the cohort stage.

    Attributes
    ----------
    entry
        The raw scan, or the entry that should be one and whose name gives no participant and session.
    content_key
        Key over fingerprint, name and options: equal keys, equal outcome. Empty where the scan was not inspected.
    reason, message
        `none` and empty where the scan is whole.
    note
        What is worth knowing of a scan and no reason to exclude it.
    shard
        Set of scans that one job processes; empty where the scan goes to no job.
    n_stations, n_slices
        None where unknown; slices of all stations in one contrast.
    attempt
        Number of inspections with this key, or of failed attempts to open the scan.
    content
        As `FoundScan.content`.
    patient_id_matches
        Whether the patient id in its files is that of its name; None where they hold none.
    left_out
        The part of the note that its own files gave.
    reading
        What in its files earlier versions read wrongly, or options decided; empty for nothing.
    superseded, others
        As in `FoundScan`.
    acquisitions
        What the headers say of each station.
    images
        As `FoundScan.images`.
    """

    entry: RawScan | UnnamedEntry
    content_key: str = ""
    reason: Reason = Reason.NONE
    message: str = ""
    note: str = ""
    shard: str = ""
    n_stations: int | None = None
    n_slices: int | None = None
    attempt: int = 0
    content: str = ""
    patient_id_matches: bool | None = None
    left_out: str = ""
    reading: str = ""
    superseded: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    acquisitions: tuple[StationAcquisition, ...] = ()
    images: str = ""

    @property
    def scan(self) -> ScanId | None:
        """Participant and session; None where the name gives none."""
        return self.entry.scan

    @property
    def status(self) -> Status:
        """Status that goes with the reason."""
        return self.reason.status

    @property
    def is_unopened(self) -> bool:
        """Whether the file system gave nothing of it: that may be over at the next call, whatever its reason says."""
        return self.reason is Reason.UNREADABLE_FILE and not self.entry.raw_key


_YES_NO: dict[bool | None, str | None] = {True: "yes", False: "no", None: None}


COHORT_SCANS = Table(
    "cohort_scans",
    "One row per entry of the raw folders, except entries known not to be scans.",
    ("participant_id", "session_id", "source", "sequence"),
    (
        text_column(
            "participant_id", "Participant id as written by the cohort; null if the name gives none", nullable=True
        ),
        text_column("session_id", "Session of the participant; null if the name gives none", nullable=True),
        text_column("source", "File or folder of the scan"),
        text_column("layout", "Layout of the raw data", allowed=Layout),
        text_column("raw_key", "Fingerprint of the raw data; null if it could not be read", nullable=True),
        text_column("content_key", "Key over fingerprint, name and options; null if not inspected", nullable=True),
        text_column("status", "Outcome of the scan", allowed=Status),
        text_column("reason", "Why the scan is not ok", allowed=Reason),
        text_column("message", "Explanation for people; empty for ok"),
        text_column("note", "Remarks that are no reason to exclude the scan; usually empty"),
        text_column("shard", "Shard: scans that one job processes; null if not processed", nullable=True),
        Column("n_stations", ColumnType.INT64, "Number of stations; null if unknown", nullable=True, minimum=0),
        Column("n_slices", ColumnType.INT64, "Slices of all stations; null if unknown", nullable=True, minimum=0),
        Column(
            "attempt",
            ColumnType.INT64,
            "Number of inspections with this key, or of failed attempts to open the scan",
            minimum=0,
        ),
        text_column("state", "State of its files on disk when they were read; null if unknown", nullable=True),
        text_column(
            "content", "Fingerprint of all bytes, if raw_key is from a version that covered fewer", nullable=True
        ),
        text_column(
            "patient_id_matches",
            "Whether the patient id in its files matches its name; null if they hold none",
            allowed=("yes", "no"),
            nullable=True,
        ),
        text_column("left_out", "Files that are not part of the scan; usually empty"),
        text_column("reading", "What earlier versions misread in its files, or options decided; usually empty"),
        text_column("more_sources", "Further files or folders of the scan, one per line; usually empty"),
        text_column("superseded", "Files that a later delivery replaces, one per line; usually empty"),
        text_column("others", "Files that hold the scan or a part of it again, one per line; usually empty"),
        text_column("acquisitions", "What the headers say of each station, as JSON"),
        text_column("options", "How the scan is read, as JSON; empty for the default"),
        text_column("sequence", "How the scan was acquired; empty if the name gives no scan"),
        text_column("images", "Digest of its images, free of names and packing; null if not read", nullable=True),
    ),
    (Rule("status and reason agree", reason_fits_status),),
)
"""A working table of the run; the `scans` table that is handed out is made from it."""

_ADDED = ("more_sources", "superseded", "others", "acquisitions", "options", "sequence", "images")
"""Columns that tables of earlier versions lack, all of text."""


def write_scans(path: Path, scans: Iterable[CohortScan]) -> None:
    """Write the rows as Parquet, sorted, whole or not at all."""
    write_table(path, COHORT_SCANS, _to_arrow(scans))


def table_digest(scans: Iterable[CohortScan]) -> str:
    """SHA-256 over all that the rows say of the scans; how often and in what state files were read is no part of it.

    Nor are the digests of images: what they lead to is in the reasons.
    """
    plain = [replace(row, entry=_without_state(row.entry), attempt=0, content="") for row in scans]
    return hashlib.sha256(repr(_to_arrow(plain).drop_columns(["images"]).to_pylist()).encode()).hexdigest()


def _without_state(entry: RawScan | UnnamedEntry) -> RawScan | UnnamedEntry:
    return replace(entry, state="") if isinstance(entry, RawScan) else entry


def _to_arrow(scans: Iterable[CohortScan]) -> pa.Table:
    rows = [
        {
            "sequence": row.scan.sequence.value if row.scan else "",
            "participant_id": row.scan.participant if row.scan else None,
            "session_id": row.scan.session if row.scan else None,
            "source": str(row.entry.path),
            "layout": row.entry.layout.value,
            "raw_key": row.entry.raw_key or None,
            "content_key": row.content_key or None,
            "status": row.status.value,
            "reason": row.reason.value,
            "message": row.message,
            "note": row.note,
            "shard": row.shard or None,
            "n_stations": row.n_stations,
            "n_slices": row.n_slices,
            "attempt": row.attempt,
            "state": row.entry.state or None,
            "content": row.content or None,
            "patient_id_matches": _YES_NO[row.patient_id_matches],
            "left_out": row.left_out,
            "reading": row.reading,
            "more_sources": _lines(row.entry.more_paths if isinstance(row.entry, RawScan) else ()),
            "superseded": _lines(row.superseded),
            "others": _lines(row.others),
            "acquisitions": json.dumps([each.as_dict() for each in row.acquisitions]) if row.acquisitions else "",
            "options": options_as_json(row.entry.options) if isinstance(row.entry, RawScan) else "",
            "images": row.images or None,
        }
        for row in scans
    ]
    types = {ColumnType.STRING: pa.string(), ColumnType.INT64: pa.int64()}
    schema = pa.schema([(column.name, types[column.type]) for column in COHORT_SCANS.columns])
    return pa.Table.from_pylist(rows, schema)


def read_scans(path: Path) -> list[CohortScan]:
    """Read the rows.

    Raises
    ------
    TableError
        If the file is missing, damaged or not of this table.
    """
    return [
        CohortScan(
            entry=_entry(row),
            content_key=row["content_key"] or "",
            reason=Reason(row["reason"]),
            message=row["message"],
            note=row["note"],
            shard=row["shard"] or "",
            n_stations=row["n_stations"],
            n_slices=row["n_slices"],
            attempt=row["attempt"],
            content=row["content"] or "",
            patient_id_matches={word: value for value, word in _YES_NO.items()}[row["patient_id_matches"]],
            left_out=row["left_out"],
            reading=row["reading"],
            superseded=_paths(row["superseded"]),
            others=_paths(row["others"]),
            acquisitions=tuple(StationAcquisition.from_dict(each) for each in json.loads(row["acquisitions"] or "[]")),
            images=row["images"] or "",
        )
        for row in read_table(path, COHORT_SCANS, added=_ADDED).to_pylist()
    ]


def read_files(path: Path) -> CohortFiles:
    """Read what the cohort stage made of the files in the raw folders. Raises TableError."""
    columns = read_table(path, COHORT_SCANS, added=_ADDED).select(["participant_id", "source", *_ADDED[:3]]).to_pylist()
    rows = [row for row in columns if row["participant_id"] is not None]
    used = {file for row in rows for file in (row["source"], *row["more_sources"].splitlines())}
    left_out = {file for row in rows for file in (*row["superseded"].splitlines(), *row["others"].splitlines())}
    return CohortFiles(frozenset(used), frozenset(left_out))


def _lines(paths: Iterable[Path]) -> str:
    return "\n".join(map(str, paths))


def _paths(lines: str) -> tuple[Path, ...]:
    return tuple(map(Path, lines.splitlines()))


def _entry(row: Mapping[str, Any]) -> RawScan | UnnamedEntry:
    layout, path = Layout(row["layout"]), Path(row["source"])
    if row["participant_id"] is None:
        return UnnamedEntry(layout, path, row["message"])
    scan = ScanId(row["participant_id"], row["session_id"], ScanSequence(row["sequence"] or ScanSequence.DIXON))
    more, options = _paths(row["more_sources"]), options_from_json(row["options"])
    return RawScan(scan, layout, path, row["raw_key"] or "", row["state"] or "", more, options)
