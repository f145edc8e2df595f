"""An HTTP server of files for the tests of downloads: it can resume, break off, lie about sizes and change files."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass
class FileServer:
    """Serves a folder on 127.0.0.1; use it as a context.

    Attributes
    ----------
    folder
        What it serves.
    ranges
        Whether it can send a part of a file.
    break_after
        By file name: bytes after which each next response of it breaks off, one entry a response.
    claims
        By file name: a false Content-Length.
    redirects
        By file name: the address that it sends on to.
    requests
        What was asked: file name, Range header, status.
    """

    folder: Path
    ranges: bool = True
    break_after: dict[str, list[int]] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}/"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def statuses(self, name: str) -> list[int]:
        """Status of each response about a file."""
        return [status for asked, _, status in self.requests if asked == name]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.lstrip("/")
        wanted = handler.headers["Range"]
        path = self.folder / name
        if name in self.redirects:
            self._head(handler, name, wanted, 302, {"Location": self.redirects[name]})
            return
        if not path.is_file():
            self._head(handler, name, wanted, 404, {"Content-Length": "0"})
            return
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        start, status = 0, 200
        if wanted and self.ranges and handler.headers["If-Range"] in {None, tag}:
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
        headers = {"ETag": tag, "Content-Length": str(self.claims.get(name, len(content) - start))}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(handler, name, wanted, status, headers)
        limits = self.break_after.get(name)
        body = content[start:]
        handler.wfile.write(body[: limits.pop(0)] if limits else body)
        handler.close_connection = True

    def _head(
        self, handler: BaseHTTPRequestHandler, name: str, wanted: str | None, status: int, headers: dict[str, str]
    ) -> None:
        self.requests.append((name, wanted, status))
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.end_headers()
