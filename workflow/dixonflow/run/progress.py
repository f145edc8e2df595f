"""The progress of a run: for people who watch, scans done, rate and time left; for logs, a line per finished shard.

Jobs write their own logs; what they have done shows in the folders of results, which a thread of Snakemake's process
lists at intervals. No file of rows is opened.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO

from dixonflow.cohort.shards import read_shard, read_shard_names
from dixonflow.errors import DixonflowError
from dixonflow.execution.shard_files import begun_shards, outcome_dates
from dixonflow.paths import Results
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import SHARD_STAGES, Stage

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 20.0
"""Between two looks at the folders, and two lines for people: also on a slow file system less than half a minute."""

NOTE_SECONDS = 2.0


@dataclass(frozen=True)
class StageProgress:
    """How far a stage is that works at present.

    Attributes
    ----------
    done, scans
        Scans that are through it in this run, and that are to go through it.
    """

    stage: Stage
    done: float
    scans: int


def duration(seconds: float) -> str:
    """Time for people.

    Examples
    --------
    >>> [duration(seconds) for seconds in (50, 700, 18_000, 270_000)]
    ['50 s', '12 min', '5 h', '3.1 days']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes / 1440:.1f} days"


def stages_at_work(results: Results, models: Sequence[str], since: float) -> list[StageProgress]:
    """Progress of every stage that has a job at work.

    Parameters
    ----------
    models
        Names of the models, in the order of the run.
    since
        Start of the run (s since 1970): what was finished before is no part of its progress.
    """
    found = []
    inspected = _inspected(results, since)
    if inspected is not None:
        found.append(inspected)
    shards = {name: _size(results.shard(name)) for name in read_shard_names(results.shards)}
    for stage in SHARD_STAGES:
        each_model = models if stage.is_per_model else models[:1]
        begun = begun_shards(results, stage, each_model) & shards.keys()
        if not begun:
            continue
        dates = outcome_dates(results, stage)
        others = {shard: scans for shard, scans in shards.items() if shard not in begun}
        finished = sum(scans for shard, scans in others.items() if dates.get(shard, 0.0) >= since)
        waiting = sum(scans for shard, scans in others.items() if shard not in dates)
        done = finished + sum(_done_in_job(results, stage, shard, each_model) for shard in begun)
        found.append(StageProgress(stage, done, finished + waiting + sum(shards[shard] for shard in begun)))
    return found


def note_inspected(path: Path) -> Callable[[int, int], None]:
    """Give a function that writes down how many of how many scans are inspected, at most every two seconds."""
    last = 0.0

    def note(done: int, scans: int) -> None:
        nonlocal last
        if time.monotonic() - last > NOTE_SECONDS:
            last = time.monotonic()
            write_bytes(path, f"{done} {scans}\n".encode())

    return note


def finished_shards(results: Results, since: float) -> list[str]:
    """Shards whose last stage has ended since a time (s since 1970)."""
    dates = outcome_dates(results, Stage.MEASURE)
    return [shard for shard in read_shard_names(results.shards) if dates.get(shard, 0.0) >= since]


class ProgressReport(threading.Thread):
    """Reports the progress of a run until it is ended.

    Parameters
    ----------
    stream
        Where to print.
    watched
        Whether somebody looks at the stream; else it is a log.
    """

    def __init__(self, results: Results, models: Sequence[str], stream: TextIO, *, watched: bool) -> None:
        super().__init__(daemon=True, name="progress")
        self._results, self._models = results, tuple(models)
        self._stream, self._watched = stream, watched
        self._since = time.time()
        self._ended = threading.Event()
        self._first: dict[Stage, tuple[float, float]] = {}
        self._told: set[str] = set()

    def run(self) -> None:
        """Report at every interval."""
        while not self._ended.wait(INTERVAL_SECONDS):
            self.report(time.time())

    def end(self) -> None:
        """Report for the last time."""
        self._ended.set()
        if self.is_alive():
            self.join()
            self.report(time.time())

    def report(self, now: float) -> None:
        """Print what is new. Files that cannot be read now are no reason to disturb the run."""
        try:
            lines = self._line_for_people(now) if self._watched else self._lines_for_logs()
        except (OSError, DixonflowError, ValueError) as error:
            log.debug("no progress could be read: %s", error)
            return
        for line in lines:
            print(f"dixonflow: {line}", file=self._stream, flush=True)

    def _line_for_people(self, now: float) -> list[str]:
        at_work = stages_at_work(self._results, self._models, self._since)
        for each in at_work:
            self._first.setdefault(each.stage, (now, each.done))
        for stage in self._first.keys() - {each.stage for each in at_work}:
            del self._first[stage]
        return ["; ".join(self._text(each, now) for each in at_work)] if at_work else []

    def _text(self, progress: StageProgress, now: float) -> str:
        text = f"{progress.stage}: {progress.done:.0f} of {progress.scans} scans"
        began, before = self._first[progress.stage]
        if progress.done <= before or now <= began:
            return text
        per_second = (progress.done - before) / (now - began)
        left = duration((progress.scans - progress.done) / per_second)
        return f"{text}, {60 * per_second:.1f} per minute, {left} left"

    def _lines_for_logs(self) -> list[str]:
        ended = [shard for shard in finished_shards(self._results, self._since) if shard not in self._told]
        self._told.update(ended)
        shards = len(read_shard_names(self._results.shards))
        already = len(self._told) - len(ended)
        return [
            f"shard {shard} has ended ({already + number} of {shards} in this run)"
            for number, shard in enumerate(ended, 1)
        ]


def _inspected(results: Results, since: float) -> StageProgress | None:
    """Progress of the cohort stage, which writes it down."""
    try:
        date = results.inspected.stat().st_mtime
    except FileNotFoundError:
        return None
    if date < since:
        return None
    done, scans = results.inspected.read_text(encoding="utf-8").split()
    return StageProgress(Stage.COHORT, int(done), int(scans))


@cache
def _size(path: Path) -> int:
    # the members of a shard never change
    return len(read_shard(path).scans)


def _done_in_job(results: Results, stage: Stage, shard: str, each_model: Sequence[str]) -> float:
    """Scans of a shard that the job at work is through with, a part for each model."""
    for place, model in enumerate(each_model):
        loose = results.records(stage, shard, model).with_name(shard)
        try:
            with os.scandir(loose) as entries:
                records = sum(entry.name.endswith(".json") for entry in entries)
        except FileNotFoundError:
            continue
        return (place * _size(results.shard(shard)) + records) / len(each_model)
    return 0.0  # it has ended this moment
