"""Resumable download over HTTP.

Received data is in `<name>.part`, with the identity of the server's file in a second file: an interrupted download is
continued only if the server says that it still has the same file (RFC 9110, If-Range).
"""

import http
import http.client
import logging
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

import dixonflow
from dixonflow.errors import ModelError
from dixonflow.importing.space import readable, require_space
from dixonflow.system.atomic import write_json
from dixonflow.system.documents import DocumentError, read_json_file

log = logging.getLogger(__name__)

_CHUNK = 2**20
_TIMEOUT_S = 60
_FUTILE_TRIES = 4
_PAUSE_S = 2.0
_TALK_S = 10
_ELSEWHERE = "On a machine without a network, download the file elsewhere and pass it with --from"


class _Interrupted(Exception):  # noqa: N818 - it is caught here and tried again
    """The connection broke off, or the server asks to come again."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but from https to https only: GitHub sends every download on to another host."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == "http" and req.type == "http"):
            raise ModelError(f"{req.full_url} redirects to {newurl}, which is not https: refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class _Answer:
    """What a response says: where in the file it begins, how long the whole file is, what identifies it."""

    start: int
    total: int | None
    validator: str | None


def download(url: str, target: Path, *, expected_bytes: int | None = None) -> None:
    """Fetch a file, or the rest of it. `target` appears when it is whole.

    Parameters
    ----------
    url
        http or https.
    target
        Where to; a file that is there already is taken for whole.
    expected_bytes
        Its published size; none where nobody has published it.

    Raises
    ------
    ModelError
        If there is no network, the server does not have the file, has one of another size, or breaks off again and
        again; or too little disk space. Says what to do.
    """
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise ModelError(f"{url}: only http and https addresses are supported")
    if target.exists():
        return
    partial = target.with_name(target.name + ".part")
    futile = 0
    while True:
        before = _size(partial)
        try:
            _fetch_rest(url, partial, expected_bytes)
            break
        except _Interrupted as error:
            futile = 0 if _size(partial) > before else futile + 1
            if futile == _FUTILE_TRIES:
                raise ModelError(
                    f"{url}: {error}, {readable(_size(partial))} received. Run the same command again to resume. "
                    f"{_ELSEWHERE}"
                ) from error
            log.info("%s: %s; going on after %s", url, error, readable(_size(partial)))
            time.sleep(_PAUSE_S * futile)
    partial.replace(target)
    _validator_file(partial).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _validator_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _fetch_rest(url: str, partial: Path, expected: int | None) -> None:
    headers = {"User-Agent": f"dixonflow/{dixonflow.__version__}", "Accept-Encoding": "identity"}
    offset = _size(partial)
    validator = _recorded_validator(partial, url)
    if offset and validator:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        response = urllib.request.build_opener(_SafeRedirects).open(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        with error:
            _explain(url, error, partial)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if offset:
            raise _Interrupted(f"cannot be reached ({reason})") from error
        raise ModelError(f"{url} cannot be reached ({reason}): no network, or a wrong address. {_ELSEWHERE}") from error
    with response:
        answer = _read_headers(response.status, response.headers, offset)
        if expected is not None and answer.total not in {None, expected}:
            raise ModelError(
                f"{url} is {answer.total} bytes long, the model file says {expected}: not the published file. "
                f"Get the published one and pass it with --from"
            )
        require_space(partial.parent, (answer.total or 0) - answer.start, f"the download of {url}")
        _remember_validator(partial, url, answer.validator)
        _write(response, partial, answer, url)


def _explain(url: str, error: urllib.error.HTTPError, partial: Path) -> None:
    """Raise what an HTTP status means."""
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.unlink()
        raise _Interrupted("the file on the server changed, restarting the download")
    if error.code >= 500 or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
        raise _Interrupted(f"the server answers {error.code} {error.reason}")
    raise ModelError(
        f"{url}: the server answers {error.code} {error.reason}. The file may have moved: find its current "
        "address and pass it, or the file itself, with --from"
    )


def _read_headers(status: int, headers: Message, offset: int) -> _Answer:
    etag = headers["ETag"]
    validator = etag if etag and not etag.startswith("W/") else headers["Last-Modified"]
    if status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers["Content-Range"] or "")
        if not found or int(found[1]) != offset:
            raise _Interrupted(f"the server sent a part that was not requested ({headers['Content-Range']})")
        return _Answer(offset, int(found[2]) if found[2] != "*" else None, validator)
    length = headers["Content-Length"]
    return _Answer(0, int(length) if length and length.isdigit() else None, validator)


def _recorded_validator(partial: Path, url: str) -> str | None:
    try:
        recorded = read_json_file(_validator_file(partial))
        return str(recorded["validator"]) if recorded["url"] == url else None
    except (OSError, DocumentError, KeyError, TypeError):
        return None


def _remember_validator(partial: Path, url: str, validator: str | None) -> None:
    if validator is None:
        _validator_file(partial).unlink(missing_ok=True)
    else:
        write_json(_validator_file(partial), {"url": url, "validator": validator})


def _write(response: http.client.HTTPResponse, partial: Path, answer: _Answer, url: str) -> None:
    done, talked = answer.start, time.monotonic()
    with partial.open("ab" if answer.start else "wb") as file:
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (http.client.HTTPException, OSError) as error:
                raise _Interrupted(f"the connection broke off ({error or type(error).__name__})") from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            if time.monotonic() - talked > _TALK_S:
                talked = time.monotonic()
                log.info("%s: %s of %s", url, readable(done), readable(answer.total) if answer.total else "?")
    if answer.total is not None and done < answer.total:
        raise _Interrupted(f"the connection broke off at {readable(done)} of {readable(answer.total)}")
