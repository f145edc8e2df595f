"""What the page asks for, and what it is answered: the same for any server."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

from dixonflow.errors import DixonflowError
from dixonflow.report.palette import colour
from dixonflow.review.access import HEADERS
from dixonflow.review.cases import Case, ReviewError
from dixonflow.review.details import case_content, row_content, said_content, session_content
from dixonflow.review.images import ReviewImagesError, drawn_contrasts, label_map_key
from dixonflow.review.judgements import rating_of
from dixonflow.review.pictures import Picture, Plane, draw_slice
from dixonflow.review.queries import Query, matching
from dixonflow.review.room import Room
from dixonflow.system.documents import DocumentError, parse_json
from dixonflow.system.regular_file import open_regular

JSON = "application/json; charset=utf-8"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_BYTES = "application/octet-stream"
_MOST_ROWS = 200


@dataclass(frozen=True)
class Answer:
    """What a request gets.

    Attributes
    ----------
    content
        The body, or the file that is it.
    type
        Its media type.
    headers
        Further ones.
    """

    content: bytes | Path
    type: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with JSON."""
    return Answer(json.dumps(content, allow_nan=False).encode(), JSON, status)


def refusal(message: str, status: HTTPStatus) -> Answer:
    """Answer with an error and what to do."""
    return as_json({"error": message}, status)


def not_found(what: str) -> Answer:
    """Answer that there is no such thing."""
    return refusal(f"there is no {what}", HTTPStatus.NOT_FOUND)


def static_files() -> dict[str, Answer]:
    """The page's own files by their paths in addresses; nothing else is ever read from an address."""
    root = resources.files("dixonflow.review") / "static"

    def walk(folder: Any, prefix: str) -> Iterator[tuple[str, bytes]]:
        for entry in folder.iterdir():
            if entry.is_dir():
                yield from walk(entry, f"{prefix}{entry.name}/")
            elif Path(entry.name).suffix in _TYPES:
                yield f"{prefix}{entry.name}", entry.read_bytes()

    found = {
        f"/static/{name}": Answer(content, _TYPES[Path(name).suffix], headers={"Cache-Control": "no-cache"})
        for name, content in walk(root, "")
    }
    return found | {"/": found.pop("/static/index.html")}


class Answers:
    """Answers requests of the page; who may ask was found out before.

    Parameters
    ----------
    room
        What is shown.
    post_token
        What the page has to send with what it saves.
    """

    def __init__(self, room: Room, post_token: str) -> None:
        self._room = room
        self._exact: dict[str, Callable[[Mapping[str, str]], Answer]] = {
            "/api/session": lambda _: as_json(session_content(room, post_token)),
            "/api/list": self._list,
            "/api/rows": self._rows,
            "/api/agreement": self._agreement,
        }
        self._of_case: dict[str, Callable[[Case, str, Mapping[str, str]], Answer]] = {
            "case": lambda case, _, __: as_json(case_content(room, case)),
            "colours": self._colours,
            "picture": self._picture,
            "sheet": self._sheet,
            "volume": self._volume,
        }

    def get(self, path: str, values: Mapping[str, str]) -> Answer:
        """Answer a GET request.

        Parameters
        ----------
        path
            Of the address, without the query.
        values
            The query.
        """
        try:
            if path in self._exact:
                return self._exact[path](values)
            kind, key, rest = (*path.strip("/").split("/", 2), "", "")[:3]
            case = self._room.cases.find(key)
            if kind not in self._of_case:
                return not_found("such page")
            if case is None:
                return not_found("such scan in this list: the tables may have changed, reload the page")
            return self._of_case[kind](case, rest, values)
        except ReviewImagesError as error:
            return refusal(str(error), HTTPStatus.NOT_FOUND)
        except DixonflowError as error:
            return refusal(str(error), HTTPStatus.BAD_REQUEST)

    def post(self, path: str, body: bytes) -> Answer:
        """Answer a POST request: save a rating. What was answered 201 or 200 is on the disk."""
        if path != "/api/ratings":
            return not_found("such page")
        room = self._room
        try:
            content = parse_json(body)
            case = room.cases.find(str(content.get("key"))) if isinstance(content, dict) else None
            if case is None:
                return not_found("such scan in this list: the tables or the list may have changed")
            structures = {model.name: model.regions for model in room.models.get(case.scan.sequence, ())}
            rating = rating_of(content, case, structures, room.judgements)
        except (DocumentError, DixonflowError) as error:
            return refusal(str(error), HTTPStatus.BAD_REQUEST)
        try:
            room.judgements.add(rating)
        except DixonflowError as error:  # the disk is full, or a file damaged: the page sends it again later
            return refusal(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        name = case.name(with_ids=not room.options.without_ids)
        return as_json({"name": name, **said_content(room, case)}, HTTPStatus.CREATED)

    def _list(self, values: Mapping[str, str]) -> Answer:
        room = self._room
        options = room.options
        query = Query.parse({"seed": str(options.seed), **values})
        found = matching(room.cases, query, room.judgements, blinded=options.blinded, with_ids=not options.without_ids)
        return Answer(found.astype("<u4").tobytes(), _BYTES)

    def _rows(self, values: Mapping[str, str]) -> Answer:
        texts = (values.get("at") or "").split(",")
        if len(texts) > _MOST_ROWS or not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
            raise ReviewError(f"at names up to {_MOST_ROWS} positions")
        places = [int(text) for text in texts]
        if max(places) >= len(self._room.cases):
            raise ReviewError("there is no such position")
        return as_json([row_content(self._room, self._room.cases.at(place)) for place in places])

    def _agreement(self, values: Mapping[str, str]) -> Answer:
        from dixonflow.ratings.kappa import agreements  # noqa: PLC0415 - few ask for it

        if self._room.options.blinded:
            return refusal("a blinded rater sees no other ratings", HTTPStatus.FORBIDDEN)
        said = self._room.judgements.everything()
        found = agreements(said, values.get("first", ""), values.get("second", ""))
        rows = [
            {
                **{name: getattr(each, name) for name in ("structure", "n", "participants", "agreement", "undefined")},
                "unweighted": vars(each.unweighted),
                "linear": vars(each.linear),
            }
            for each in found
        ]
        return as_json(rows)

    def _picture(self, case: Case, rest: str, values: Mapping[str, str]) -> Answer:
        room = self._room
        model = room.model(case.scan.sequence, values.get("model", ""))
        names = [name for name in (values.get("structures") or "").split(",") if name]
        if rest not in set(Plane) or not set(names) <= set(model.regions):
            return not_found("such plane or structure")
        at = values.get("index", "")
        if at and not (at.isascii() and at.isdigit() and len(at) < 6):
            return not_found("such slice")
        wanted = [label for name in names for label in model.regions[name]]

        def draw() -> Picture:
            images = room.images.get(case.scan, model.name)
            return draw_slice(images, wanted, Plane(rest), int(at) if at else None)

        picture = room.pictures.get(
            (room.images.state(case.scan, model.name), case.key, model.name, rest, at, *wanted), draw
        )
        shown = {
            "index": picture.index,
            "slices": picture.slices,
            "panels": picture.panels,
            "notes": picture.notes,
            "label_map_key": picture.label_key,
        }
        return Answer(picture.png, "image/png", headers={"X-Review-Picture": json.dumps(shown)})

    def _sheet(self, case: Case, _: str, __: Mapping[str, str]) -> Answer:
        path = self._room.results.contact_sheets / case.sheet
        return Answer(path, "image/png") if case.sheet and path.is_file() else not_found("overview picture")

    def _volume(self, case: Case, rest: str, values: Mapping[str, str]) -> Answer:
        scan, results = case.scan, self._room.results
        files = {f"{each.acq}.nii.gz": results.stitched(scan, each) for each in drawn_contrasts(scan.sequence)}
        if rest == "labels.nii.gz":
            return self._label_map(case, values)
        if rest not in files:
            return not_found("such image")
        path = files[rest]
        return Answer(path, _BYTES) if path.is_file() else not_found("image: it is not kept")

    def _label_map(self, case: Case, values: Mapping[str, str]) -> Answer:
        """The label map of the key that the page names: a verdict is on what was seen, no later one."""
        scan, results = case.scan, self._room.results
        model = self._room.model(scan.sequence, values.get("model", "")).name
        before = label_map_key(results, scan, model)
        try:
            with open_regular(results.labels(scan, model)) as file:
                content = file.read()
        except FileNotFoundError:
            return not_found("label map: it is not kept")
        except OSError as error:
            return refusal(f"the label map cannot be read: {error.strerror}", HTTPStatus.NOT_FOUND)
        # it is without its sidecar while it is replaced: the same key before and after is that of what was read
        if not values.get("label_map_key", "") == before == label_map_key(results, scan, model):
            return refusal("the label map was computed again: open the scan again", HTTPStatus.CONFLICT)
        return Answer(content, _BYTES)

    def _colours(self, case: Case, _: str, values: Mapping[str, str]) -> Answer:
        model = self._room.model(case.scan.sequence, values.get("model", ""))
        return as_json({name: [label, *colour(label)] for name, label in model.structures.items()})


def headers_of(answer: Answer) -> dict[str, str]:
    """All headers of an answer but its length."""
    return {**HEADERS, "Content-Type": answer.type, **answer.headers}
