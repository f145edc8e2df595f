"""Zip files of others: honest ones are read, dangerous and damaged ones refused before anything is unpacked."""

import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from dixonflow.errors import ModelError
from dixonflow.importing.archive import ZipArchive


def _zip(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], compressed: bool = True) -> Path:
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)  # of duplicate names
        for name, content in entries:
            archive.writestr(name, content)
    return path


def _special(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info


def test_an_honest_archive_is_read(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    path = _zip(tmp_path / "a.zip", ("Dataset100/", b""), ("Dataset100/fold_0/x.pth", content), ("plans.json", b"{}"))
    with ZipArchive(path) as archive:
        assert set(archive.entries) == {PurePosixPath("Dataset100/fold_0/x.pth"), PurePosixPath("plans.json")}
        assert archive.read(PurePosixPath("plans.json")) == b"{}"
        archive.extract(PurePosixPath("Dataset100/fold_0/x.pth"), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == content
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.zip", "x"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil", "leads out"),
        ("a/../../evil", "leads out"),
        ("/etc/evil", "absolute"),
        ("C:/evil", "absolute"),
        ("c:evil", "absolute"),
        ("~/evil", "absolute"),
        ("//server/evil", "absolute"),
        ("a\\..\\evil", "backslash"),
        ("a/b\nc", "control character"),
        ("a//b", "empty or ambiguous"),
        ("a/./b", "empty or ambiguous"),
        ("a. /b", "empty or ambiguous"),
        ("a/...", "empty or ambiguous"),
        ("fold_0/CON", "device"),
        ("nul.txt/b", "device"),
        ("LPT1.pth", "device"),
    ],
)
def test_names_that_play_tricks_are_refused(tmp_path: Path, name: str, message: str) -> None:
    path = _zip(tmp_path / "a.zip", ("plans.json", b"{}"), (name, b"x"))
    with pytest.raises(ModelError, match=message) as caught:
        ZipArchive(path)
    assert str(path) in str(caught.value)
    assert repr(name) in str(caught.value)


def test_a_name_hidden_behind_a_zero_byte_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("plans.json_evil", b"{}"))
    path.write_bytes(path.read_bytes().replace(b"plans.json_evil", b"plans.json\0evil"))
    with pytest.raises(ModelError, match="control character"):
        ZipArchive(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "neither file"), (stat.S_IFCHR, "neither file"), (stat.S_IFSOCK, "file")],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int, message: str) -> None:
    path = _zip(tmp_path / "a.zip", (_special("fold_0", kind), b"/etc/passwd"))
    with pytest.raises(ModelError, match=message):
        ZipArchive(path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a/b", "a/b", "twice"),
        ("a/plans.json", "A/Plans.JSON", "twice"),
        ("a/\u00e9", "a/e\u0301", "twice"),
        ("a/b", "a/b/", "twice"),
        ("a", "a/b", "which is a file"),
    ],
)
def test_names_that_meet_on_disk_are_refused(tmp_path: Path, first: str, second: str, message: str) -> None:
    path = _zip(tmp_path / "a.zip", (first, b"1"), (second, b"2" if not second.endswith("/") else b""))
    with pytest.raises(ModelError, match=message):
        ZipArchive(path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    single = _zip(tmp_path / "single.zip", ("a", bytes(20 * 2**20)))
    with pytest.raises(ModelError, match=r"'a' unpacks from .* to 21\.0 MB: refused as a zip bomb"):
        ZipArchive(single)
    # each entry small enough to be no bomb by itself
    many = _zip(tmp_path / "many.zip", *((f"a{number}", bytes(14 * 2**20)) for number in range(5)))
    with pytest.raises(ModelError, match=r"many\.zip unpacks from .* refused as a zip bomb"):
        ZipArchive(many)
    crowd = _zip(tmp_path / "crowd.zip", *((str(number), b"") for number in range(10_001)), compressed=False)
    with pytest.raises(ModelError, match="10001 entries"):
        ZipArchive(crowd)


def test_entries_that_share_their_data_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("a", b"1" * 4000), ("b", b"2"), compressed=False)
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    directory = bytearray(content[start:])
    second = directory.index(b"PK\x01\x02", 4)
    directory[second + 20 : second + 28] = struct.pack("<II", 4000, 4000)  # its sizes
    directory[second + 42 : second + 46] = struct.pack("<I", 0)  # where it begins
    path.write_bytes(content[:start] + directory)
    with pytest.raises(ModelError, match=r"more data than the file has"):
        ZipArchive(path)


def test_an_entry_with_a_false_size_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("a", b"1234567890" * 10))
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    for claimed in (90, 110):
        path.write_bytes(content[: start + 24] + struct.pack("<I", claimed) + content[start + 28 :])
        with ZipArchive(path) as archive, pytest.raises(ModelError, match=r"a\.zip: a (is damaged|does not have)"):
            archive.extract(PurePosixPath("a"), tmp_path / "target")


def test_encrypted_and_unusual_entries_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("a", b"1"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="encrypted"):
        ZipArchive(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"1" * 100)
    with pytest.raises(ModelError, match="unusual"):
        ZipArchive(path)


def test_truncated_damaged_and_other_files_are_named(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("a", bytes(range(256)) * 40), compressed=False)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"<html>not found</html>", b""):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"a\.zip is not a complete zip file .* Remove it and download again"):
            ZipArchive(path)
    path.write_bytes(whole.replace(bytes(range(200, 256)), bytes(56), 1))
    with ZipArchive(path) as archive, pytest.raises(ModelError, match=r"a\.zip: a is damaged .*CRC"):
        archive.extract(PurePosixPath("a"), tmp_path / "target")
    with pytest.raises(ModelError, match="is not a complete zip"):
        ZipArchive(tmp_path / "nowhere.zip")
