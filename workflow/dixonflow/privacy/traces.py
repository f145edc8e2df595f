"""Finds ids of participants in names and contents of files, and takes the rows and lines out that are theirs.

In names and free text an id counts as `sub-<id>`, or as a word of its own if it has five characters or more: shorter
ones are also sessions and numbers of other participants. In tables and records the column of the participant decides.
"""

import gzip
import json
import os
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.privacy.rating_lines import is_of_rater, rated_person, typed
from dixonflow.system.atomic import atomic_path, write_bytes
from dixonflow.tables.parquet import ROW_GROUP_ROWS

IMAGES = (".nii.gz", ".nii")
"""Files that hold voxels: they are removed by their path, and not searched."""

RECORDS = ".jsonl.gz"
"""Ending of packed records: a line of JSON per scan."""

DEPARTURES = "departures.csv"

_FEWEST_CHARACTERS = 5
_WORD = re.compile(rb"[A-Za-z0-9]+")
_NUMBER = re.compile(rb"[0-9]+")
_SUBJECT = re.compile(rb"sub-([A-Za-z0-9]+)")
_PARTICIPANT = "participant_id"
_COMMENT = "comment"
_TEXTS = ("source", "path", "message", "note", "others", "superseded", "more_sources", _COMMENT)
"""Columns that may name files of participants, or hold free text."""

_PNG = b"\x89PNG\r\n\x1a\n"


class Ids:
    """The ids of participants that are looked for.

    Parameters
    ----------
    participants
        Letters and digits each.
    """

    def __init__(self, participants: Collection[str]) -> None:
        self.participants = frozenset(participants)
        self._all = frozenset(each.encode() for each in participants)
        self._words = frozenset(each for each in self._all if len(each) >= _FEWEST_CHARACTERS)
        self._with_digits = frozenset(each for each in self._words if not each.isalpha())
        # a cohort may put letters before a number: PAT200000
        self._numbers = frozenset(each for each in self._words if each.isdigit())

    def in_text(self, text: bytes) -> bool:
        """Whether a text or a name holds one."""
        return self._among(text, self._words)

    def in_name(self, name: str) -> bool:
        """Whether a file or a folder is named by one. Letters alone may also be a word of ours, such as `tables`: they
        count as `sub-<id>` alone.
        """
        return self._among(name.encode(errors="replace"), self._with_digits)

    def _among(self, text: bytes, words: frozenset[bytes]) -> bool:
        return not (
            words.isdisjoint(_WORD.findall(text))
            and self._numbers.isdisjoint(_NUMBER.findall(text))
            and self._all.isdisjoint(_SUBJECT.findall(text))
        )

    def masked(self, name: str) -> str:
        """Return a name with `(id)` in place of the ids, so that who knows them finds the file."""
        text = _SUBJECT.sub(
            lambda found: b"sub-(id)" if found[1] in self._all else found[0], name.encode("utf-8", "replace")
        )
        text = _WORD.sub(lambda found: b"(id)" if found[0] in self._words else found[0], text)
        return _NUMBER.sub(lambda found: b"(id)" if found[0] in self._numbers else found[0], text).decode()

    def in_strings(self, content: Any) -> bool:
        """Whether a text in JSON holds one; a number that is equal to an id is none."""
        if isinstance(content, str):
            return self.in_text(content.encode())
        if isinstance(content, dict):
            return any(self.in_strings(each) for pair in content.items() for each in pair)
        return isinstance(content, list) and any(map(self.in_strings, content))


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, also behind links to folders, each folder once."""
    for inner, _, files in _walk(folder):
        yield from (path for file in files if (path := inner / file).is_file())


def folders_below(folder: Path) -> Iterator[Path]:
    """All folders below a folder, each before what is in it, also behind links, which are named too."""
    for inner, folders, _ in _walk(folder):
        yield from (inner / each for each in folders)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    seen: set[str] = set()
    for name, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(name)
        folders[:] = sorted(folders) if real not in seen else []
        if real not in seen:
            seen.add(real)
            yield Path(name), list(folders), sorted(files)


def traces(folder: Path, ids: Ids, but: Collection[Path] = ()) -> list[Path]:
    """Files whose name, relative to the folder, or content holds an id, sorted; but some, which are not opened."""
    return [
        path
        for path in files_below(folder)
        if path.resolve() not in but
        and (ids.in_text(str(path.relative_to(folder)).encode(errors="replace")) or in_content(path, ids))
    ]


def in_content(path: Path, ids: Ids) -> bool:
    """Whether the content of a file holds an id; of a picture all but its pixels count, of an image nothing."""
    if path.name.endswith(IMAGES):
        return False
    if path.suffix == ".parquet":
        try:
            return _in_parquet(path, ids)
        except (pa.ArrowException, OSError):
            pass  # damaged: it is searched as bytes
    content = _content(path)
    if path.name.endswith(RECORDS):
        return any(_owner(line) in ids.participants or _in_json(line, ids) for line in content.splitlines())
    if is_of_rater(path):
        return any(rated_person(line) in ids.participants or ids.in_text(typed(line)) for line in content.splitlines())
    if path.name == DEPARTURES:
        return any(_departed(line) in ids.participants for line in content.splitlines()) or ids.in_text(content)
    return _in_json(content, ids) if path.suffix == ".json" else ids.in_text(content)


def _in_json(content: bytes, ids: Ids) -> bool:
    try:
        return ids.in_strings(json.loads(content))
    except ValueError:  # no JSON, or half of it
        return ids.in_text(content)


def _departed(line: bytes) -> str:
    """Participant of a row of departures.csv: its second column."""
    cells = line.decode(errors="replace").split(",")
    return cells[1] if len(cells) > 1 else ""


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if data.startswith(_PNG):
        return _without_pixels(data)
    if path.suffix == ".gz":
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return data
    return data


def _without_pixels(data: bytes) -> bytes:
    parts, place = [], len(_PNG)
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind != b"IDAT":
            parts.append(data[place + 8 : place + 8 + length])
        place += 12 + length
    return b"\n".join(parts)


def _owner(line: bytes) -> str:
    """Participant of a record; empty where the line is none."""
    try:
        return str(json.loads(line)["outcome"][_PARTICIPANT])
    except (ValueError, KeyError, TypeError):
        return ""


def _text_columns(schema: pa.Schema) -> list[str]:
    kinds = (pa.types.is_string, pa.types.is_large_string)
    return [each.name for each in schema if each.name in _TEXTS and any(is_kind(each.type) for is_kind in kinds)]


def _in_parquet(path: Path, ids: Ids) -> bool:
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    if any(ids.in_text(value) for value in (schema.metadata or {}).values()):
        return True
    texts, has_owner = _text_columns(schema), _PARTICIPANT in schema.names
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=[*([_PARTICIPANT] if has_owner else []), *texts])
        if has_owner and not ids.participants.isdisjoint(pc.unique(rows[_PARTICIPANT]).to_pylist()):
            return True
        for name in texts:
            if any(text and ids.in_text(text.encode()) for text in pc.unique(rows[name]).to_pylist()):
                return True
    return False


def _kept(rows: pa.Table, ids: Ids) -> pa.Array:
    """Rows that are of no such participant: by the id, or where there is none by the file."""
    if _PARTICIPANT in rows.column_names:
        owners = rows[_PARTICIPANT].combine_chunks()
        gone = pc.is_in(owners, value_set=pa.array(sorted(ids.participants), pa.string())).to_numpy(
            zero_copy_only=False
        )
        unowned = owners.is_null().to_numpy(zero_copy_only=False)
    else:
        gone, unowned = np.zeros(rows.num_rows, bool), np.ones(rows.num_rows, bool)
    keep = ~gone
    source = next((name for name in ("source", "path") if name in rows.column_names), None)
    if source is not None:
        places = np.flatnonzero(unowned)
        texts = rows[source].take(pa.array(places)).to_pylist()
        keep[places] = [not (text and ids.in_text(str(text).encode())) for text in texts]
    return pa.array(keep)


def _without_comments(rows: pa.Table, ids: Ids) -> pa.Table:
    """Rows whose comments, typed by raters, name nobody: a verdict on somebody else stays."""
    if _COMMENT not in rows.column_names:
        return rows
    said = rows[_COMMENT].to_pylist()
    kept = pa.array(["" if text and ids.in_text(text.encode()) else text for text in said], pa.string())
    place = rows.schema.get_field_index(_COMMENT)
    return rows.set_column(place, rows.schema.field(place), kept)


def without_rows(path: Path, ids: Ids) -> int:
    """Rewrite a Parquet file without the rows of participants; return their number.

    Schema, metadata and order stay. A file without such rows is not touched.
    """
    if not _in_parquet(path, ids):
        return 0
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    removed, waiting = 0, schema.empty_table()
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd", version="2.6") as out:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            names = pc.unique(rows[_PARTICIPANT]).to_pylist() if _PARTICIPANT in rows.column_names else [None]
            touched = None in names or not ids.participants.isdisjoint(names)
            kept = rows.filter(_kept(rows, ids)) if touched else rows
            kept = _without_comments(kept, ids)
            removed += rows.num_rows - kept.num_rows
            waiting = pa.concat_tables([waiting, kept])
            while waiting.num_rows >= ROW_GROUP_ROWS:
                out.write_table(waiting.slice(0, ROW_GROUP_ROWS).combine_chunks(), row_group_size=ROW_GROUP_ROWS)
                waiting = waiting.slice(ROW_GROUP_ROWS)
        out.write_table(waiting.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
    return removed


def without_lines(path: Path, ids: Ids) -> int:
    """Rewrite a file of text, or of records, without the lines of participants; return their number."""
    lines = _content(path).splitlines(keepends=True)
    if path.name.endswith(RECORDS):
        kept = [line for line in lines if _owner(line) not in ids.participants]
    elif path.name == DEPARTURES:
        kept = [line for line in lines if _departed(line) not in ids.participants and not ids.in_text(line)]
    else:
        kept = [line for line in lines if not ids.in_text(line)]
    if len(kept) < len(lines):
        data = b"".join(kept)
        write_bytes(path, gzip.compress(data, compresslevel=6, mtime=0) if path.suffix == ".gz" else data)
    return len(lines) - len(kept)
