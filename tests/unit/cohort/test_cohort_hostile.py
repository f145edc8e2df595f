"""Entries of raw folders that are no files, or claim what no file has: a row each, and the others are read."""

import os
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bids_session import write_session
from raw_scan_files import encode, make_stations, scan_slices, write_scan_zip

from dixonflow.cohort.build import build_cohort
from dixonflow.rawdata.raw_scan import DEFAULT_OPTIONS, ReadOptions, Source
from dixonflow.system.guard import Allowance
from dixonflow.vocabulary import Layout, Reason, ScanId, Status

TWO = ReadOptions(stations=2)
ALLOWANCE = Allowance(memory_mb=1500, seconds=120)


def write_zip(folder: Path, participant: str, seed: int = 0, **encoding) -> Path:
    path = folder / f"{participant}_20201_2_0.zip"
    slices = scan_slices(make_stations(2, seed, (18, 16, 4)))
    return write_scan_zip(path, slices, **encoding)


def reasons(folder: Path, layout: Layout = Layout.UKB) -> dict[str, tuple[Status, Reason]]:
    result = build_cohort(
        [Source(layout, folder, options=TWO if layout is Layout.UKB else DEFAULT_OPTIONS)],
        workers=2,
        allowance=ALLOWANCE,
    )
    return {row.scan.participant: (row.status, row.reason) for row in result.scans if row.scan}


UNREADABLE = (Status.EXCLUDED, Reason.UNREADABLE_FILE)
OK = (Status.OK, Reason.NONE)


def end_of_zip(entries: int, size: int, offset: int) -> bytes:
    """The end of a zip64 table of contents that claims so much."""
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + size, 1)
    return record + locator + struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def test_what_is_no_file_hangs_and_fills_nothing(tmp_path: Path) -> None:
    write_zip(tmp_path, "1", 1)
    os.mkfifo(tmp_path / "2_20201_2_0.zip")
    (tmp_path / "3_20201_2_0.zip").symlink_to("/dev/zero")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "4_20201_2_0.zip"))
    (tmp_path / "5_20201_2_0.zip").symlink_to("/dev/stdin")
    found = reasons(tmp_path)
    server.close()
    assert found == {"1": OK, "2": UNREADABLE, "3": UNREADABLE, "4": UNREADABLE, "5": UNREADABLE}


def test_tables_of_contents_are_bounded_before_they_are_read(tmp_path: Path) -> None:
    write_zip(tmp_path, "1", 1)
    huge = 900 << 30
    with (tmp_path / "2_20201_2_0.zip").open("wb") as file:  # sparse: takes no room
        file.seek(huge)
        file.write(end_of_zip(1 << 30, huge, 0))
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    entries = (entry + b"a") * 1_000_000
    (tmp_path / "3_20201_2_0.zip").write_bytes(entries + end_of_zip(1_000_000, len(entries), 0))
    assert reasons(tmp_path) == {"1": OK, "2": UNREADABLE, "3": UNREADABLE}


def empty_elements(ds) -> bytes:
    content = encode(ds)
    place = content.index(b"\x08\x00\x08\x00CS")  # ImageType
    many = b"".join(struct.pack("<HH2sH", 0x0009, number, b"LO", 0) for number in range(60_000))
    return content[:place] + content[place:place] + many * 7 + content[place:]


def empty_items(ds) -> bytes:
    content = encode(ds)
    place = content.index(b"\x10\x00\x20\x00LO")  # PatientID
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return content[:place] + sequence + item * 400_000 + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) + content[place:]


def nested_sequences(ds) -> bytes:
    content = encode(ds)
    place = content.index(b"\x10\x00\x20\x00LO")
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return content[:place] + (sequence + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 50_000 + content[place:]


def endless_value(ds) -> bytes:
    content = encode(ds)
    place = content.index(b"\x10\x00\x20\x00LO")
    return content[:place] + struct.pack("<HH2sHL", 0x0009, 0x1010, b"OB", 0, 60 << 20) + bytes(60 << 20)


@pytest.mark.parametrize("bomb", [empty_elements, empty_items, nested_sequences, endless_value])
def test_headers_have_an_end(tmp_path: Path, bomb) -> None:
    write_zip(tmp_path, "1", 1)
    slices = scan_slices(make_stations(2, 2, (18, 16, 4)))
    with zipfile.ZipFile(tmp_path / "2_20201_2_0.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("0.dcm", bomb(slices[0].ds))
    assert reasons(tmp_path) == {"1": OK, "2": UNREADABLE}


def test_texts_without_end_and_many_long_headers_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path, "1", 1)
    slices = scan_slices(make_stations(2, 2, (18, 16, 4)))
    for item in slices:
        item.ds.SeriesDescription = "x" * 5000
    write_scan_zip(tmp_path / "2_20201_2_0.zip", slices, lambda ds: encode(ds, implicit=True))
    content = empty_elements(slices[0].ds)
    with zipfile.ZipFile(tmp_path / "3_20201_2_0.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        place = content.index(bytes.fromhex("09000000"))
        short = content[:place] + content[place : place + 8 * 5000] + content[place + 8 * 60_000 * 7 :]
        for number in range(400):
            archive.writestr(f"{number}.dcm", short)
    assert reasons(tmp_path) == {"1": OK, "2": UNREADABLE, "3": UNREADABLE}


def test_an_absurdly_large_image_is_refused_by_its_size(tmp_path: Path) -> None:
    for number in range(2):
        write_session(tmp_path, ScanId(str(number), "1"), make_stations(1, number, (18, 16, 4)))
    with sorted((tmp_path / "sub-1/ses-1/anat").iterdir())[0].open("r+b") as file:
        file.truncate(900 << 30)
    assert reasons(tmp_path, Layout.BIDS) == {"0": OK, "1": UNREADABLE}


def test_images_of_a_session_that_are_no_files(tmp_path: Path) -> None:
    for number in range(4):
        write_session(tmp_path, ScanId(str(number), "1"), make_stations(1, number, (18, 16, 4)))
    first = [sorted((tmp_path / f"sub-{number}/ses-1/anat").iterdir())[0] for number in range(4)]
    for path in first[1:]:
        path.unlink()
    os.mkfifo(first[1])
    first[2].symlink_to("/dev/zero")
    first[3].mkdir()
    found = reasons(tmp_path, Layout.BIDS)
    assert found == {"0": OK, "1": UNREADABLE, "2": UNREADABLE, "3": UNREADABLE}


@pytest.mark.parametrize("offset", [np.inf, -np.inf, np.nan, 1e30, -1.0])
def test_an_offset_that_is_none_is_no_error(tmp_path: Path, offset: float) -> None:
    session = write_session(tmp_path, ScanId("1", "1"), make_stations(1, 0, (18, 16, 4)))
    import gzip

    path = sorted((session / "anat").iterdir())[0]
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[108:112] = struct.pack("<f", offset)
    path.write_bytes(gzip.compress(bytes(content)))
    status, reason = reasons(tmp_path, Layout.BIDS)["1"]
    # whether the header alone tells it, or the pixels at the next stage, does not matter here
    assert (status, reason) in {UNREADABLE, OK}
