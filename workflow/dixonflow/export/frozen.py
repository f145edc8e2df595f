"""A citable version of the tables: as they are, with what made them, what describes them, and checksums of all."""

import functools
import itertools
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.errors import ConfigError
from dixonflow.export.source import LINKING, PARTICIPANT, WRITTEN_BY_PEOPLE
from dixonflow.paths import Results
from dixonflow.system.atomic import as_json, write_bytes
from dixonflow.system.regular_file import sha256_of
from dixonflow.tables.definitions import DICTIONARY
from dixonflow.tables.parquet import read_pieces
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import Status

CHECKSUMS = "SHA256SUMS"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}")
_UNFINISHED = re.compile(rf"\.[0-9a-f]{{12}}\.{_VERSION.pattern}")
"""Folders of versions that are being written. Other hidden files and folders are the user's."""


@dataclass(frozen=True)
class Described:
    """What stands next to the tables.

    Attributes
    ----------
    provenance
        Versions, models, configuration, numbers of scans.
    methods
        In words.
    bibtex
        What to cite.
    """

    provenance: Mapping[str, Any]
    methods: str
    bibtex: str


def pack_release(
    results: Results,
    version: str,
    described: Described,
    withdrawn: Collection[str] = (),
    bridge: Mapping[str, str] | None = None,
) -> Path:
    """Write `releases/<version>/` below the results; it is there as a whole, or not at all.

    Parameters
    ----------
    results
        Of a run whose tables are finished, and that is not active.
    version
        Name of the version, such as 2026.1.
    described
        What stands next to the tables.
    withdrawn
        Participants who have withdrawn: none of them may have a value in the tables.
    bridge
        Ids to write instead of our own. Who is not in it is left out; columns that lead back to our ids are, too.
        Comments of raters are left out in any case.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        If the version has no such name or is there already, or the tables are not finished or hold somebody who has
        withdrawn.
    TableError
        If a table is damaged.
    """
    if not _VERSION.fullmatch(version):
        raise ConfigError("the name of a version has letters, digits, dots, - and _, at most 41 in all")
    target = results.releases / version
    if os.path.lexists(target):
        raise ConfigError(f"{target} is there already: a version that was cited does not change, take another name")
    if not results.datapackage.exists():
        raise ConfigError(f"{results.tables} has no finished tables: run the workflow first")
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".*"):  # of a process that was killed
        if _UNFINISHED.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
    unfinished = target.with_name(f".{secrets.token_hex(6)}.{version}")
    try:
        left_out = _write_tables(results, unfinished / "tables", withdrawn, bridge)
        provenance = {
            "version": version,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            **described.provenance,
        }
        if bridge is not None:
            provenance["rows_left_out_for_want_of_an_id"] = left_out
        write_bytes(unfinished / "provenance.json", as_json(provenance))
        write_bytes(unfinished / "methods.md", described.methods.encode())
        write_bytes(unfinished / "references.bib", described.bibtex.encode())
        files = sorted(path for path in unfinished.rglob("*") if path.is_file())
        lines = [f"{sha256_of(path)}  {path.relative_to(unfinished).as_posix()}\n" for path in files]
        write_bytes(unfinished / CHECKSUMS, "".join(lines).encode())
        for path in unfinished.rglob("*"):
            if path.is_file():
                path.chmod(0o444)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _write_tables(
    results: Results, folder: Path, withdrawn: Collection[str], bridge: Mapping[str, str] | None
) -> dict[str, int]:
    """Copy the tables that datapackage.json names, or write them with other ids; return the rows left out."""
    try:
        package = json.loads(results.datapackage.read_bytes())
        resources = [(resource, results.tables / resource["path"]) for resource in package["resources"]]
    except (ValueError, LookupError, TypeError) as error:
        raise TableError(f"{results.datapackage} cannot be read: {type(error).__name__}") from error
    folder.mkdir(parents=True)
    left_out: dict[str, int] = {}
    gone: dict[str, set[str]] = {}
    for resource, source in resources:
        # all of it is read, a piece at a time: what is damaged is not cited
        pieces = _without_withdrawn(read_pieces(source), withdrawn, source)
        names = [field["name"] for field in resource["schema"]["fields"]]
        if bridge is None and (typed := [name for name in names if name in WRITTEN_BY_PEOPLE]):
            pq.write_table(pa.concat_tables(pieces).drop_columns(typed), folder / source.name, compression="zstd")
            gone[source.stem] = set(typed)
            _leave_out(resource["schema"], [name for name in names if name not in typed])
        elif bridge is None and not (source.stem == DICTIONARY.name and gone):
            for _ in pieces:
                pass
            shutil.copyfile(source, folder / source.name)
        elif bridge is not None and PARTICIPANT in names:
            written = _write_with_other_ids(pieces, bridge, _keys(resource["schema"]), folder / source.name)
            left_out[source.stem] = pq.read_metadata(source).num_rows - written
            gone[source.stem] = {name for name in names if name in LINKING}
            _leave_out(resource["schema"], [name for name in names if name not in LINKING])
        else:
            table = pa.concat_tables(pieces)
            table = _without_columns(table, gone) if source.stem == DICTIONARY.name else table
            pq.write_table(table, folder / source.name, compression="zstd")
    description = as_json(package) if bridge is not None or gone else results.datapackage.read_bytes()
    write_bytes(folder / results.datapackage.name, description)
    return left_out


def _without_withdrawn(pieces: Iterator[pa.Table], withdrawn: Collection[str], source: Path) -> Iterator[pa.Table]:
    """Pass the pieces of a table on. Raises ConfigError where somebody has a row who has withdrawn."""
    gone = pa.array(sorted(withdrawn), pa.string())
    for piece in pieces:
        if PARTICIPANT in piece.column_names:
            rows = piece.filter(pc.is_in(piece[PARTICIPANT], value_set=gone))
            if "status" in rows.column_names:  # a row without values that says so
                rows = rows.filter(pc.not_equal(rows["status"], Status.WITHDRAWN.value))
            if rows.num_rows:
                raise ConfigError(f"{source.name} holds participants who have withdrawn: run the workflow first")
        yield piece


def _without_columns(dictionary: pa.Table, gone: Mapping[str, set[str]]) -> pa.Table:
    """The dictionary without the columns that were left out of tables."""
    pairs = zip(dictionary["table_name"].to_pylist(), dictionary["name"].to_pylist(), strict=True)
    return dictionary.filter(pa.array([name not in gone.get(table, ()) for table, name in pairs], pa.bool_()))


def _write_with_other_ids(
    pieces: Iterator[pa.Table], bridge: Mapping[str, str], keys: Sequence[str], path: Path
) -> int:
    """Write a table with other ids, sorted by its keys; return the rows written.

    Memory holds what is alike in the keys before the participant: of a long table one structure and measure.
    """
    leading = keys[: keys.index(PARTICIPANT)] if PARTICIPANT in keys else []
    known = (with_other_ids(rows, bridge, keys) for rows in _runs(pieces, leading))
    first = next(known)
    written = 0
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for rows in itertools.chain([first], known):
            writer.write_table(rows)
            written += rows.num_rows
    return written


def _runs(pieces: Iterator[pa.Table], leading: Sequence[str]) -> Iterator[pa.Table]:
    """Rows of a sorted table, cut only where a value of the leading columns changes; nowhere if there are none."""
    waiting = next(pieces)
    for piece in pieces:
        waiting = pa.concat_tables([waiting, piece])
        start = _start_of_last(waiting, leading)
        if start:
            yield waiting.slice(0, start)
            waiting = waiting.slice(start)
    yield waiting


def _start_of_last(rows: pa.Table, leading: Sequence[str]) -> int:
    """Where the rows begin that are like the last one in the leading columns; the next piece may have more of them."""
    if not rows.num_rows or not leading:
        return 0
    alike = functools.reduce(pc.and_, (pc.equal(rows[name], rows[name][-1]) for name in leading))
    return int(pc.index(alike, True).as_py())


def with_other_ids(table: pa.Table, bridge: Mapping[str, str], keys: Sequence[str]) -> pa.Table:
    """Rows of a table whose participant is in the bridge, with the other id, sorted by the keys: the order is new."""
    place = pc.index_in(table[PARTICIPANT], pa.array(list(bridge), pa.string()))
    known = table.filter(pc.is_valid(place))
    others = pa.array(list(bridge.values()), pa.string()).take(pc.drop_null(place))
    field = table.schema.field(PARTICIPANT)
    known = known.set_column(table.schema.get_field_index(PARTICIPANT), field, others)
    known = known.drop_columns([name for name in LINKING if name in known.column_names])
    order = dict.fromkeys([*keys, PARTICIPANT])
    return known.sort_by([(name, "ascending") for name in order if name in known.column_names])


def _leave_out(schema: dict[str, Any], there: list[str]) -> None:
    """Take columns that were left out of the description of a table."""
    schema["fields"] = [field for field in schema["fields"] if field["name"] in there]
    if not set(_keys(schema)) <= set(there):
        schema.pop("primaryKey", None)
        schema.pop("uniqueKeys", None)


def _keys(schema: Mapping[str, Any]) -> list[str]:
    """Columns that a table is sorted by."""
    keys = schema.get("primaryKey", schema.get("uniqueKeys", []))
    return [name for key in keys for name in (key if isinstance(key, list) else [key])]
