"""Finds ids of participants in names and contents of files, and takes the rows and lines out that hold one.

An id is found as a word of its own: letters and digits between anything else. In tables it is looked for in the columns
that name participants or files, or hold free text: a session may be called as a participant is.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.system.atomic import atomic_path, write_bytes
from dixonflow.tables.parquet import ROW_GROUP_ROWS

_WORD = re.compile(rb"[A-Za-z0-9]+")
_OWNERS = ("participant_id", "source", "path")
"""Columns that say whose a row is."""

_TEXTS = (*_OWNERS, "message", "note", "others", "superseded", "more_sources")
_PNG = b"\x89PNG\r\n\x1a\n"
IMAGES = (".nii.gz", ".nii")
"""Files that hold voxels: they are removed by their path, and not searched."""


def holds(text: bytes, ids: frozenset[bytes]) -> bool:
    """Whether one of the ids is a word of the text."""
    return not ids.isdisjoint(_WORD.findall(text))


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, links not followed."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def traces(folder: Path, ids: frozenset[bytes]) -> list[Path]:
    """Files whose name, relative to the folder, or content holds an id, sorted."""
    return [
        path
        for path in files_below(folder)
        if holds(str(path.relative_to(folder)).encode(errors="replace"), ids) or in_content(path, ids)
    ]


def in_content(path: Path, ids: frozenset[bytes]) -> bool:
    """Whether the content of a file holds an id; a Parquet file's in any column of text or in its metadata."""
    if path.name.endswith(IMAGES):
        return False
    if path.suffix == ".parquet":
        try:
            return _in_parquet(path, ids)
        except (pa.ArrowException, OSError):
            pass  # damaged: it is searched as bytes
    return holds(_content(path), ids)


def _content(path: Path) -> bytes:
    """Bytes of a file, decompressed; of a picture all but its pixels."""
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


def _text_columns(schema: pa.Schema, names: tuple[str, ...]) -> list[str]:
    kinds = (pa.types.is_string, pa.types.is_large_string)
    return [each.name for each in schema if each.name in names and any(is_kind(each.type) for is_kind in kinds)]


def _in_parquet(path: Path, ids: frozenset[bytes]) -> bool:
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    if any(holds(value, ids) for value in (schema.metadata or {}).values()):
        return True
    texts = _text_columns(schema, _TEXTS)
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=texts)
        for name in texts:
            for text in pc.unique(rows[name]).to_pylist():
                if text and holds(text.encode(), ids):
                    return True
    return False


def without_rows(path: Path, ids: frozenset[bytes]) -> int:
    """Rewrite a Parquet file without the rows of participants, by id or file; return their number.

    Schema, metadata and order stay. A file without such rows is not touched.
    """
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    texts = _text_columns(schema, _OWNERS)
    if not _in_parquet(path, ids):
        return 0
    removed, waiting = 0, schema.empty_table()
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd", version="2.6") as out:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            keep = pa.array([True] * rows.num_rows)
            for name in texts:
                words = pc.unique(rows[name]).to_pylist()
                bad = [word for word in words if word and holds(word.encode(), ids)]
                if bad:
                    # a null is no id
                    found = pc.is_in(rows[name], value_set=pa.array(bad, rows[name].type))
                    keep = pc.and_not(keep, pc.fill_null(found, False))
            kept = rows.filter(keep)
            removed += rows.num_rows - kept.num_rows
            waiting = pa.concat_tables([waiting, kept])
            while waiting.num_rows >= ROW_GROUP_ROWS:
                out.write_table(waiting.slice(0, ROW_GROUP_ROWS).combine_chunks(), row_group_size=ROW_GROUP_ROWS)
                waiting = waiting.slice(ROW_GROUP_ROWS)
        out.write_table(waiting.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
    return removed


def without_lines(path: Path, ids: frozenset[bytes]) -> int:
    """Rewrite a file of text, or a compressed one, without the lines that hold an id; return their number."""
    lines = _content(path).splitlines(keepends=True)
    kept = [line for line in lines if not holds(line, ids)]
    if len(kept) < len(lines):
        data = b"".join(kept)
        write_bytes(path, gzip.compress(data, compresslevel=6, mtime=0) if path.suffix == ".gz" else data)
    return len(lines) - len(kept)
