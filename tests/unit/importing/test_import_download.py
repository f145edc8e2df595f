"""Downloads from a real HTTP server: whole, resumed, refused."""

import socket
from pathlib import Path

import pytest
from file_server import FileServer

from dixonflow.errors import ModelError
from dixonflow.importing import download as module
from dixonflow.importing.download import download

CONTENT = bytes(range(256)) * 4000
SIZE = len(CONTENT)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server(tmp_path: Path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "w.zip").write_bytes(CONTENT)
    with FileServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "w.zip"


def test_a_file_is_fetched_once_and_leaves_nothing_else(server: FileServer, target: Path) -> None:
    download(server.address + "w.zip", target, expected_bytes=SIZE)
    download(server.address + "w.zip", target, expected_bytes=SIZE)
    assert target.read_bytes() == CONTENT
    assert [item.name for item in target.parent.iterdir()] == ["w.zip"]
    assert server.statuses("w.zip") == [200]


def test_an_interrupted_download_goes_on_where_it_stopped(server: FileServer, target: Path) -> None:
    server.break_after["w.zip"] = [300_000, 200_000]
    download(server.address + "w.zip", target)
    assert target.read_bytes() == CONTENT
    assert [(wanted, status) for _, wanted, status in server.requests] == [
        (None, 200),
        ("bytes=300000-", 206),
        ("bytes=500000-", 206),
    ]


def test_the_next_call_goes_on_after_one_that_failed(server: FileServer, target: Path) -> None:
    server.break_after["w.zip"] = [300_000, 0, 0, 0, 0]
    with pytest.raises(
        ModelError, match=r"w\.zip: .*broke off.* 300\.0 kB received\. Run the same command again to resume"
    ):
        download(server.address + "w.zip", target)
    assert not target.exists()
    download(server.address + "w.zip", target)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1][1:] == ("bytes=300000-", 206)


def test_parts_of_two_files_are_never_joined(server: FileServer, target: Path) -> None:
    server.break_after["w.zip"] = [300_000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match="broke off"):
        download(server.address + "w.zip", target)
    (server.folder / "w.zip").write_bytes(CONTENT[::-1])
    download(server.address + "w.zip", target)
    assert target.read_bytes() == CONTENT[::-1]
    assert server.requests[-1][1:] == ("bytes=300000-", 200)  # asked for the rest, got the new file


def test_a_part_from_another_address_is_not_continued(server: FileServer, target: Path) -> None:
    (server.folder / "v.zip").write_bytes(CONTENT[::-1])
    server.break_after["v.zip"] = [300_000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match="broke off"):
        download(server.address + "v.zip", target)
    download(server.address + "w.zip", target)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1][1:] == (None, 200)


def test_a_server_that_cannot_resume_is_asked_anew(server: FileServer, target: Path) -> None:
    server.ranges = False
    server.break_after["w.zip"] = [300_000]
    download(server.address + "w.zip", target)
    assert target.read_bytes() == CONTENT
    assert server.statuses("w.zip") == [200, 200]


def test_another_size_than_published_is_refused_unread(server: FileServer, target: Path) -> None:
    with pytest.raises(ModelError, match=rf"is {SIZE} bytes long, the model file says {SIZE + 1}.*--from"):
        download(server.address + "w.zip", target, expected_bytes=SIZE + 1)
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_is_said_before_the_download(server: FileServer, target: Path) -> None:
    server.claims["w.zip"] = 10**15
    with pytest.raises(ModelError, match=r"too little disk space in .*w\.zip needs 1000\.0 TB.*run the same command"):
        download(server.address + "w.zip", target)
    assert list(target.parent.iterdir()) == []


def test_a_missing_file_and_a_missing_network_are_told_apart(server: FileServer, target: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.zip: the server answers 404 Not Found.*--from"):
        download(server.address + "gone.zip", target)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ModelError, match=rf"127\.0\.0\.1:{port}/w\.zip cannot be reached.*no network.*--from"):
        download(f"http://127.0.0.1:{port}/w.zip", target)
    assert list(target.parent.iterdir()) == []


def test_only_http_is_fetched_or_followed(server: FileServer, target: Path) -> None:
    with pytest.raises(ModelError, match="only http and https"):
        download("file:///etc/passwd", target)
    (server.folder / "moved.zip").write_bytes(b"")
    server.redirects = {"moved.zip": server.address + "w.zip", "trap.zip": "file:///etc/passwd", "ftp.zip": "ftp://a/b"}
    download(server.address + "moved.zip", target)
    assert target.read_bytes() == CONTENT
    target.unlink()
    for name in ("trap.zip", "ftp.zip"):
        with pytest.raises(ModelError, match=rf"{name}.*(refused|not allowed)"):
            download(server.address + name, target)
    assert list(target.parent.iterdir()) == []
