"""One try to bring one scan through a stage: whatever happens to it becomes its record."""

import errno
import logging
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import NO_EARLIER_RESULT, EarlierResult, Record
from dixonflow.execution.stage_work import StageResult, StageWork
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Reason, Stage

log = logging.getLogger(__name__)

_FILE_REASONS = {Reason.UNREADABLE_FILE, Reason.TRUNCATED_PIXELS, Reason.SPACING_MISMATCH}
"""Only stitch reads raw data: in later stages these reasons speak of our own files, and the scan is not to blame."""


@dataclass(frozen=True)
class Task:
    """A scan to be worked on.

    Attributes
    ----------
    scan
        Which one.
    key
        Its content key at the stage.
    attempt
        Which try this is, from 1.
    interruptions
        How often a job was killed while it worked on this scan; these are no tries.
    before
        What the stage had made of it under another key.
    step
        Place of the stage among those of the job.
    """

    scan: RawScan
    key: str
    attempt: int
    interruptions: int = 0
    before: EarlierResult = NO_EARLIER_RESULT
    step: int = 0

    def outcome(self, stage: Stage, reason: Reason, message: str = "") -> Outcome:
        """Outcome of the try without measured costs."""
        return Outcome.because(
            reason, self.scan.scan, stage, message=message, attempt=self.attempt, content_key=self.key
        )


class Attempt:
    """Takes a task through the steps of a stage, which may run in different threads, one after another.

    After a step failed the others do nothing. ModelError passes through: it concerns every scan alike.
    """

    def __init__(self, work: StageWork, task: Task) -> None:
        self.task = task
        self._work = work
        self._value: Any = task.scan
        self._seconds = 0.0
        self._peak_memory_mb = 0.0
        self._reason, self._message = Reason.NONE, ""
        self._result = ""

    def prepare(self) -> "Attempt":
        """First step."""
        return self._step(self._work.prepare)

    def process(self, *, alone: bool = True) -> "Attempt":
        """Second step; the memory of the process is measured here.

        Parameters
        ----------
        alone
            Whether no other scan is in this step: else the measurement of that one must not be begun again.
        """
        if alone:
            _reset_peak_memory()
        self._step(self._work.process)
        self._peak_memory_mb = peak_memory_mb()
        return self

    def finish(self) -> "Attempt":
        """Last step."""
        return self._step(self._finish)

    def _finish(self, value: Any) -> StageResult:
        done = self._work.finish(value)
        self._result = self._work.result(self.task.scan)
        return done

    def record(self) -> Record:
        """What came of it, after the last step."""
        done: StageResult = self._value if self._reason is Reason.NONE else StageResult()
        outcome = replace(
            self.task.outcome(self._work.stage, self._reason, self._message),
            seconds=self._seconds,
            peak_memory_mb=self._peak_memory_mb,
            gpu_seconds=done.gpu_seconds,
            message=self._message or done.note,
        )
        log.info("%s: %s %s in %.1f s", outcome.stage, outcome.status, outcome.reason, outcome.seconds)
        stands_for = self.task.before.keys if self._result and self._result == self.task.before.result else ()
        stamp = self._work.raw_stamp(self.task.scan, outcome.status)
        return Record(outcome, done.payload, self._result, stands_for, stamp)

    def _step(self, step: Callable[[Any], Any]) -> "Attempt":
        if self._reason is not Reason.NONE:
            return self
        started = time.perf_counter()
        try:
            self._value = step(self._value)
        except ScanExcluded as excluded:
            self._reason, self._message = excluded.reason, excluded.message
            if not self._work.reads_raw_data and excluded.reason in _FILE_REASONS:
                self._reason = Reason.INTERNAL_ERROR
                self._message = f"a file of an earlier stage is damaged, remove it and run again: {excluded.message}"
        except ModelError:
            raise
        except Exception as error:
            participant = self.task.scan.scan.participant
            text = error.strerror if isinstance(error, OSError) else str(error).replace(participant, "<participant>")
            self._reason, self._message = _reason(error), f"{type(error).__name__}: {text}"
            trace = "".join(traceback.format_exception(error)).replace(participant, "<participant>")
            log.error("a scan failed at %s: %s", self._work.stage, trace)
        finally:
            self._seconds += time.perf_counter() - started
        if self._reason is not Reason.NONE:
            self._value = None  # what was read for it need not stay in memory
        return self


def _reason(error: Exception) -> Reason:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch.OutOfMemoryError
        return Reason.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Reason.DISK_FULL
    return Reason.INTERNAL_ERROR


def _reset_peak_memory() -> None:
    # Linux only: makes VmHWM the peak of this scan, not of the process.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mb() -> float:
    """Largest resident memory of this process since it was last reset (MB)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        log.debug("no /proc: the peak memory is that of the whole process")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
