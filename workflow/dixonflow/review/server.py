"""The server of the page: loopback only, and only for whoever has the address that was printed."""

import logging
import shutil
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dixonflow.report.checks import REVIEW_PORT
from dixonflow.review.access import LOOPBACK, Access, is_for_loopback
from dixonflow.review.answers import Answer, Answers, headers_of, refusal, static_files
from dixonflow.review.cases import ReviewError
from dixonflow.review.room import Room
from dixonflow.system.regular_file import open_regular

log = logging.getLogger(__name__)

_LARGEST_BODY = 65_536
_MOST_FIELDS = 30
_SECONDS_OF_SILENCE = 120
_CLOSED = "This page needs the address that dixonflow review printed when it started: open that one"


class ReviewServer(ThreadingHTTPServer):
    """Serves one room.

    Parameters
    ----------
    room
        What is shown.
    port
        0 for any that is free.

    Raises
    ------
    ReviewError
        If the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, room: Room, port: int = REVIEW_PORT) -> None:
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ReviewError(
                f"port {port} of this machine cannot be used: another review page may run there. Choose one with --port"
            ) from error
        self.access = Access(self.server_port)
        self.answers = Answers(room, self.access.post_token)
        self.static = static_files()

    def server_bind(self) -> None:
        """Bind, without the question for the machine's name that the base class puts to the network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.socket.getsockname()[1]

    @property
    def address(self) -> str:
        """What to open in a browser; it holds the token."""
        return f"http://{LOOPBACK}:{self.server_port}/?token={self.access.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what an answer failed with, unless the browser went away meanwhile."""
        log.debug("a request ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = _SECONDS_OF_SILENCE
    server: ReviewServer

    def setup(self) -> None:
        """Send small answers at once: half of a picture's time would be waiting otherwise."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        super().setup()

    def version_string(self) -> str:
        """Name the program without versions."""
        return "dixonflow"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Log nothing: addresses hold tokens."""

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a POST request."""
        self._answer(self._post)

    def _answer(self, find: Any) -> None:
        """Answer, whatever happens: an error of ours is shown on the page, and the server lives on."""
        try:
            answer: Answer = find()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return
        except Exception as error:
            log.exception("a request could not be answered")
            answer = refusal(f"an error of DixonFlow: {type(error).__name__}", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(answer)

    def _get(self) -> Answer:
        if not is_for_loopback(self.headers):  # type: ignore[arg-type]
            return refusal("this server answers to 127.0.0.1 and localhost", HTTPStatus.FORBIDDEN)
        path, values = self._parts()
        access = self.server.access
        if path == "/" and "token" in values:
            if not access.opens(values["token"]):
                return refusal(_CLOSED, HTTPStatus.FORBIDDEN)
            headers = {"Set-Cookie": access.cookie(), "Location": "/"}
            return Answer(b"", status=HTTPStatus.SEE_OTHER, headers=headers)
        if path in self.server.static:  # of the project, nothing of the data
            return self.server.static[path]
        if not access.knows(self.headers):  # type: ignore[arg-type]
            return refusal(_CLOSED, HTTPStatus.UNAUTHORIZED)
        return self.server.answers.get(path, values)

    def _post(self) -> Answer:
        length = self.headers.get("Content-Length") or ""
        if not (length.isascii() and length.isdigit() and len(length) < 9) or int(length) > _LARGEST_BODY:
            self.close_connection = True
            return refusal("the request has no length, or is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError
        headers: Any = self.headers
        if not is_for_loopback(headers):
            return refusal("this server answers to 127.0.0.1 and localhost", HTTPStatus.FORBIDDEN)
        if not self.server.access.knows(headers):
            return refusal(_CLOSED, HTTPStatus.UNAUTHORIZED)
        if not self.server.access.may_change(headers):
            return refusal("the request does not come from the page of this server", HTTPStatus.FORBIDDEN)
        return self.server.answers.post(self._parts()[0], body)

    def _parts(self) -> tuple[str, dict[str, str]]:
        """Path and query of the address; the last of fields that occur twice."""
        try:
            parts = urlsplit(self.path)
            return parts.path, dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError:
            return "", {}

    def _send(self, answer: Answer) -> None:
        try:
            if isinstance(answer.content, Path):
                self._send_file(answer, answer.content)
            else:
                self._send_head(answer, len(answer.content))
                self.wfile.write(answer.content)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _send_head(self, answer: Answer, length: int) -> None:
        self.send_response(answer.status)
        for name, value in headers_of(answer).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_file(self, answer: Answer, path: Path) -> None:
        try:
            file = open_regular(path)
        except OSError as error:
            self._send(refusal(f"the file cannot be read: {error.strerror}", HTTPStatus.NOT_FOUND))
            return
        with file:
            length = file.seek(0, 2)
            file.seek(0)
            self._send_head(answer, length)
            shutil.copyfileobj(file, self.wfile, 2**20)
