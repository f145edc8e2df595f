"""Tables of contents of zips: honest ones are read, all others refused by one exception before they are parsed."""

import contextlib
import io
import os
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.system.zip_contents import ZipContentsError, read_contents

END = struct.Struct("<4s4H2LH")
ENTRY = struct.Struct("<4s4B4HL2L5H2L")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")


def _zip(*names: str, content: bytes = b"content") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("a", "b/c", "d/"):
            archive.writestr(name, content)
    return buffer.getvalue()


def _zip64(
    *, file_size: int = 7, compress_size: int = 7, offset: int = 0, name: bytes = b"a", entries: int = 1
) -> bytes:
    """A zip of one stored member whose sizes and place are given in 64 bits."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 7, 7, len(name), 0) + name + b"content"
    extra = struct.pack("<2H3Q", 1, 24, file_size, compress_size, offset)
    entry = ENTRY.pack(
        b"PK\1\2", 45, 0, 45, 0, 0, 0, 0, 0, 0, *(0xFFFFFFFF,) * 2, len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF
    )
    table = (entry + name + extra) * entries
    return local + table + END.pack(b"PK\5\6", 0, 0, entries & 0xFFFF, entries & 0xFFFF, len(table), len(local), 0)


def _sparse(file: BinaryIO, table_bytes: int) -> None:
    """A file without blocks that claims a table of contents of that size."""
    file.truncate(table_bytes)
    file.seek(0, os.SEEK_END)
    file.write(END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, table_bytes, 0))
    file.write(LOCATOR64.pack(b"PK\6\7", 0, table_bytes, 1))
    file.write(END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def test_an_honest_zip_is_read() -> None:
    infos = read_contents(io.BytesIO(_zip("a", "b/c", "d/")))
    assert [info.filename for info in infos] == ["a", "b/c", "d/"]
    assert [info.filename for info in read_contents(io.BytesIO(_zip64()))] == ["a"]


def test_a_comment_and_bytes_before_the_zip_are_accepted() -> None:
    buffer = io.BytesIO(_zip("a"))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"of a scanner"
    assert read_contents(io.BytesIO(b"before" + buffer.getvalue()))[0].header_offset == len("before")


def test_a_sparse_file_that_claims_a_table_of_900_gb_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "sparse.zip").open("w+b") as file:
        _sparse(file, 900 * 10**9)
        started = time.process_time()
        with pytest.raises(ZipContentsError, match=f"declares {900 * 10**9} bytes"):
            read_contents(file)
    assert time.process_time() - started < 0.5


def test_a_table_of_a_million_entries_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _zip64(entries=1_000_000)
    monkeypatch.setattr(zipfile, "ZipInfo", None)  # nothing is made of them
    with pytest.raises(ZipContentsError, match="table of contents declares"):
        read_contents(io.BytesIO(content))


def test_more_entries_than_are_allowed_are_refused() -> None:
    content = io.BytesIO(_zip("a", "b", "c"))
    assert len(read_contents(content, max_entries=3)) == 3
    with pytest.raises(ZipContentsError, match="lists 3 files, more than 2"):
        read_contents(content, max_entries=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a zip file"),
        (b"no zip at all" * 10, "not a zip file"),
        (_zip("a")[:-1], "not a zip file"),
        (_zip64(file_size=2**40), "declares 1099511627776 bytes"),
        (_zip64(file_size=2**63), "declares"),
        (_zip64(file_size=2**64 - 1), "declares"),
        (_zip64(compress_size=2**40), "outside the zip"),
        (_zip64(compress_size=2**63), "outside the zip"),
        (_zip64(compress_size=8), ""),  # larger than the member, within the file: the data itself will tell
        (_zip64(offset=2**63), "outside the zip"),
        (_zip64(offset=2**64 - 1), "outside the zip"),
        (_zip64(offset=100), "outside the zip"),
        (_zip64(name=b""), "without a name"),
        (_zip64(name=b"\0a"), "without a name"),
    ],
)
def test_damage_is_refused(content: bytes, message: str) -> None:
    if message:
        with pytest.raises(ZipContentsError, match=message):
            read_contents(io.BytesIO(content))
    else:
        assert read_contents(io.BytesIO(content))


def test_a_name_that_is_not_utf_8_is_refused_without_naming_it() -> None:
    content = _zip("Müller").replace("Müller".encode(), b"M\xff\xffller")
    with pytest.raises(ZipContentsError, match="is not UTF-8") as caught:
        read_contents(io.BytesIO(content))
    assert "ller" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        read_contents(Failing(_zip("a")))


def _flip(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(content)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    return bytes(damaged)


CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8)


@given(
    make=st.sampled_from([_zip, _zip64]),
    changes=CHANGES,
    cut=st.one_of(st.none(), st.integers(0, 400)),
)
def test_what_is_given_can_be_relied_on(
    make: Callable[[], bytes], changes: list[tuple[int, int]], cut: int | None
) -> None:
    content = _flip(make(), changes)[:cut]
    try:
        infos = read_contents(io.BytesIO(content))
    except ZipContentsError as error:
        assert str(error)
        return
    for info in infos:
        assert info.filename
        assert 0 <= info.header_offset <= info.header_offset + info.compress_size <= len(content)
        info.is_dir()


@given(st.binary(max_size=300))
def test_any_end_of_a_zip_is_read_or_refused(content: bytes) -> None:
    for damaged in (content, content + b"PK\5\6" + content[:18].ljust(18, b"\0")):
        with contextlib.suppress(ZipContentsError):
            read_contents(io.BytesIO(damaged))
