"""What raters have said, as the page shows and saves it."""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dixonflow.ratings.rating import Rating, RatingError
from dixonflow.ratings.store import RatingStore, current, line_of, rating_files, read_ratings
from dixonflow.review.cases import Case
from dixonflow.vocabulary import Cause, ScanId, Verdict

_FIELDS = {
    *("rating_id", "key", "model", "structure", "verdict", "cause"),
    *("comment", "label_map_key", "rated_at", "blinded", "withdrawn"),
}


class Judgements:
    """The ratings of a run, and the file of the rater who is at the page.

    Parameters
    ----------
    folder
        Of the ratings.
    rater
        Who is at the page.
    blinded
        Whether the rater sees no ratings but their own.
    """

    def __init__(self, folder: Path, rater: str, *, blinded: bool) -> None:
        self.rater, self.blinded = rater, blinded
        self._folder, self._store = folder, RatingStore(folder, rater)
        self._lock = threading.Lock()
        self._state: dict[str, tuple[int, int, int]] | None = None
        self._all: list[Rating] = []
        self._by_scan: dict[ScanId, list[Rating]] = {}
        self._last_times: dict[ScanId, str] = {}

    def add(self, rating: Rating) -> None:
        """Save a rating. It is on the disk when this returns. Raises RatingError where it cannot be saved."""
        with self._lock:
            self._refresh()
            if self._store.add(rating):
                self._all.append(rating)
                self._note_time(rating)
                said = [each for each in self._all if each.scan == rating.scan]
                self._by_scan[rating.scan] = self._visible(current(said))
                self._state = self._state_after(rating)

    def of_scan(self, scan: ScanId) -> list[Rating]:
        """Ratings in force of one scan that the rater may see, in time order."""
        with self._lock:
            self._refresh()
            return list(self._by_scan.get(scan, ()))

    def last_time(self, scan: ScanId) -> str:
        """When the rater said something of a scan last, also what was taken back; empty if never.

        The next verdict must be later, or an earlier one would stay in force: clocks are set back, and differ between
        machines.
        """
        with self._lock:
            self._refresh()
            return self._last_times.get(scan, "")

    def judged(self, verdict: str, *, own: bool = False) -> set[ScanId]:
        """Scans with a rating in force, with this verdict where it is not empty, by the rater where `own`."""
        with self._lock:
            self._refresh()
            return {
                scan
                for scan, ratings in self._by_scan.items()
                if any(
                    (not verdict or each.verdict == verdict) and (not own or each.rater == self.rater)
                    for each in ratings
                )
            }

    def everything(self) -> list[Rating]:
        """All ratings of all raters, superseded ones too, in time order."""
        with self._lock:
            self._refresh()
            return list(self._all)

    def _note_time(self, rating: Rating) -> None:
        if rating.rater == self.rater:
            self._last_times[rating.scan] = max(self._last_times.get(rating.scan, ""), rating.rated_at)

    def _visible(self, ratings: Iterable[Rating]) -> list[Rating]:
        return [each for each in ratings if not self.blinded or each.rater == self.rater]

    def _stamp(self) -> dict[str, tuple[int, int, int]]:
        """Size, date and identity of the files of all raters: another program may add to them."""
        found = {}
        for path in rating_files(self._folder):
            state = path.stat()
            found[path.name] = (state.st_size, state.st_mtime_ns, state.st_ino)
        return found

    def _state_after(self, rating: Rating) -> dict[str, tuple[int, int, int]] | None:
        """State of the files if they hold one rating more than was read; None if they hold more: all are read again."""
        name, before, after = f"{self.rater}.jsonl", self._state or {}, self._stamp()
        grown = after[name][0] - (before[name][0] if name in before else 0)
        others = {each: state for each, state in after.items() if each != name}
        known = others == {each: state for each, state in before.items() if each != name}
        return after if known and grown == len(line_of(rating)) else None

    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp == self._state:
            return
        self._all = read_ratings(self._folder)
        self._by_scan, self._last_times = {}, {}
        for rating in self._all:
            self._note_time(rating)
        for rating in self._visible(current(self._all)):
            self._by_scan.setdefault(rating.scan, []).append(rating)
        self._state = stamp


def rating_of(content: Any, case: Case, structures: Mapping[str, Iterable[str]], judgements: Judgements) -> Rating:
    """Make a rating from what the page sent.

    Parameters
    ----------
    content
        Parsed JSON: an object with all fields, none else.
    case
        The case that `content` names.
    structures
        Structures and composites of each model.

    Raises
    ------
    RatingError
        If a field is missing, superfluous, or cannot be what it says.
    """
    if not isinstance(content, dict) or set(content) != _FIELDS:
        raise RatingError("the rating does not have the fields of this version: reload the page")
    model, structure = content["model"], content["structure"]
    if not isinstance(model, str) or model not in structures:
        raise RatingError("the rating names a model that this run does not have")
    if structure is not None and not (isinstance(structure, str) and structure in structures[model]):
        raise RatingError("the rating names a structure that the model does not have")
    texts = [content[name] for name in ("rating_id", "comment", "label_map_key", "rated_at")]
    flags = [content[name] for name in ("blinded", "withdrawn")]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(flag, bool) for flag in flags):
        raise RatingError("a field of the rating has the wrong type")
    try:
        verdict = Verdict(content["verdict"])
        cause = None if content["cause"] is None else Cause(content["cause"])
    except ValueError as error:
        raise RatingError("the rating names a verdict or a cause that there is not") from error
    return Rating(
        scan=case.scan,
        model=model,
        structure=structure,
        verdict=verdict,
        cause=cause,
        rater=judgements.rater,
        rated_at=content["rated_at"],
        label_map_key=content["label_map_key"],
        comment=content["comment"],
        blinded=content["blinded"],  # when it was given: it may be sent to another server than that of its page
        withdrawn=content["withdrawn"],
        rating_id=content["rating_id"],
    )
