"""Only regular files are opened, and nothing is waited for."""

import errno
import os
import socket
from pathlib import Path

import pytest

from dixonflow.system.regular_file import NotRegularError, open_regular, read_regular


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_regular_file_is_opened_for_blocking_reads(file: Path) -> None:
    with open_regular(file) as opened:
        assert opened.read() == b"content"
        assert opened.name == str(file)
        assert os.get_blocking(opened.fileno())
        assert not os.get_inheritable(opened.fileno())


def test_a_link_to_a_regular_file_is_opened(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    with open_regular(tmp_path / "link") as opened:
        assert opened.read() == b"content"


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def _link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_fifo, "a FIFO"),
        (_link_to_fifo, "a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (Path.mkdir, "a directory"),
        (_socket, "a socket"),
    ],
    ids=["fifo", "link to a fifo", "link to a device", "directory", "socket"],
)
def test_anything_else_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = tmp_path / "special"
    assert callable(make)
    make(path)
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(NotRegularError, match=f"is {kind}, not a regular file") as caught:
        open_regular(path)
    assert caught.value.filename == str(path)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_regular(tmp_path / "nothing")


def test_a_small_file_is_read_whole_and_a_larger_one_refused(file: Path) -> None:
    assert read_regular(file, 7) == b"content"
    with pytest.raises(OSError, match="more than 6 bytes") as caught:
        read_regular(file, 6)
    assert caught.value.errno == errno.EFBIG
