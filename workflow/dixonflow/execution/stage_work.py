"""What a stage does with one scan, in terms that the shard runner understands."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dixonflow.execution.records import Record
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Stage, Status


@dataclass(frozen=True)
class Done:
    """What a stage says of a scan that went well: JSON-compatible facts, and the seconds on the device."""

    payload: dict[str, Any] = field(default_factory=dict)
    gpu_seconds: float = 0.0


def _unchanged(value: Any) -> Any:
    return value


def _nothing() -> None:
    pass


def _always() -> bool:
    return True


@dataclass(frozen=True)
class StageWork:
    """One stage, ready to run.

    Attributes
    ----------
    stage
        Which one.
    key
        Content key of a scan at this stage.
    process
        Does the work for one scan and gives Done; raises ScanExcluded where the data does not allow it. With `prepare`
        it takes what that returned, with `finish` that gives Done from what this returned.
    outputs
        Files without which a scan does not count as done.
    superseded
        True where a later stage holds a valid result already, so that temporary images need not be made.
    write_rows
        Writes what the stage has to say beside its outcome rows, from the records of the whole shard: for all models,
        those of the scans that are ok for each.
    start
        Loads what all scans need, in the thread that runs `process`; not called where no scan is to be worked on.
    usable
        Asked after `process` failed: False where nothing can be processed in this process any more.
    equal_keys
        Keys under which the stage made, of the same scan, what it would make under `key` now: a stage before it was
        done again and gave the same bytes.
    result
        Hash over what later stages read of this one's files, which are there, and of those of the stages before; None
        for a stage that nothing follows.
    raw_stamp
        What an outcome of this status rests on beyond its key; an outcome with another stamp does not stand. Empty for
        a stage that reads no raw data.
    prepare, finish
        Reading before and writing after, where it pays to do that for the scans before and after this one while
        `process` keeps the device busy. They run in threads of their own.
    """

    stage: Stage
    key: Callable[[RawScan], str]
    process: Callable[[Any], Any]
    outputs: Callable[[RawScan], Sequence[Path]]
    superseded: Callable[[RawScan], bool] = lambda scan: False
    write_rows: Callable[[Sequence[Record]], None] | None = None
    equal_keys: Callable[[RawScan], Collection[str]] = lambda scan: ()
    result: Callable[[RawScan], str] | None = None
    raw_stamp: Callable[[RawScan, Status], str] = lambda scan, status: ""
    start: Callable[[], None] = _nothing
    usable: Callable[[], bool] = _always
    prepare: Callable[[RawScan], Any] = _unchanged
    finish: Callable[[Any], Done] = _unchanged

    def by_hand(self, scan: RawScan) -> Done:
        """Do the whole work for one scan, here and now."""
        self.start()
        return self.finish(self.process(self.prepare(scan)))

    @property
    def overlaps(self) -> bool:
        """Whether the stage has anything to do for one scan while it processes another."""
        return self.prepare is not _unchanged or self.finish is not _unchanged
