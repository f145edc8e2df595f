"""What running a stage over a shard needs to know of the stage."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from dixonflow.execution.records import Record
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Stage, Status


@dataclass(frozen=True)
class StageResult:
    """What a stage reports of a scan that went well.

    Attributes
    ----------
    payload
        JSON-compatible facts.
    gpu_seconds
        Time on the device (s).
    note
        What an engineer should know although the scan is ok, such as that it was computed in another way; usually
        empty.
    """

    payload: dict[str, Any] = field(default_factory=dict)
    gpu_seconds: float = 0.0
    note: str = ""


class StageWork(ABC):
    """One stage, ready to run on the scans of a shard.

    A scan goes through `prepare`, `process` and `finish`; each takes what the one before returned. Where the data does
    not allow it, they raise ScanExcluded. A stage whose work is all in `process` leaves the other two as they are.

    Attributes
    ----------
    stage
        Which one.
    reads_raw_data
        Whether its input is raw data; else it is what earlier stages wrote.
    overlaps
        Whether `prepare` of the next scans and `finish` of the last ones run in threads of their own, while `process`
        keeps the device busy.
    """

    stage: ClassVar[Stage]
    reads_raw_data: ClassVar[bool] = False
    overlaps: ClassVar[bool] = False

    @abstractmethod
    def key(self, scan: RawScan) -> str:
        """Content key of a scan at this stage."""

    @abstractmethod
    def outputs(self, scan: RawScan) -> Sequence[Path]:
        """Files without which a scan does not count as done."""

    def start(self) -> None:  # noqa: B027
        """Load what all scans need, in the thread that runs `process`, or that of the last stage of a job.

        Not called where no scan needs work.
        """

    def prepare(self, scan: RawScan) -> Any:
        """Read what `process` needs."""
        return scan

    @abstractmethod
    def process(self, prepared: Any) -> Any:
        """Do the work for one scan."""

    def finish(self, processed: Any) -> StageResult:
        """Write what `process` made."""
        result: StageResult = processed
        return result

    def usable(self) -> bool:
        """Whether this process can work on another scan; asked after each."""
        return True

    def has_safer_way(self, *, at_start: bool) -> bool:
        """Whether there is a slower and safer way to do the same work, for what a worker process died of.

        Parameters
        ----------
        at_start
            Whether it died before it began a scan.
        """
        return False

    def in_safer_way(self, why: str) -> "StageWork":
        """Give the work in that way, itself where there is none; why is for the note of scans that are worked on so."""
        return self

    def result(self, scan: RawScan) -> str:
        """Hash over what later stages read of a finished scan's files; empty for a stage that nothing follows."""
        return ""

    def equal_keys(self, scan: RawScan) -> Collection[str]:
        """Keys under which the stage made, of the same scan, what it would make under `key` now.

        There are some where an earlier stage was repeated and gave the same bytes.
        """
        return ()

    def raw_stamp(self, scan: RawScan, status: Status) -> str:
        """What an outcome of this status rests on in addition to its key; an outcome with another stamp is outdated.

        Empty for a stage that reads no raw data.
        """
        return ""

    def learn(self, record: Record) -> None:  # noqa: B027
        """Take note of what an earlier stage of the same job has made of a scan, before the stage is asked for it."""

    def superseded(self, scan: RawScan) -> bool:
        """Whether a later stage holds a valid result already, so that temporary images need not be made."""
        return False

    def write_rows(self, records: Sequence[Record]) -> None:  # noqa: B027
        """Write what the stage reports in addition to its outcome rows.

        Parameters
        ----------
        records
            Of the whole shard: for all models, those of the scans that are ok for each.
        """

    def by_hand(self, scan: RawScan) -> StageResult:
        """Do the whole work for one scan, in this process."""
        self.start()
        return self.finish(self.process(self.prepare(scan)))
