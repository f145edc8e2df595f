"""Dixon scans whose label maps other sequences of the same session take."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dixonflow.cohort.shards import dixon_scans
from dixonflow.execution.records import Record, Records
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import ScanId, Stage, Status


@dataclass(frozen=True)
class LabelledScan:
    """A Dixon scan that has a label map: its entry in the shard list, and the content key of the label map."""

    entry: RawScan
    content_key: str


class DixonScans:
    """The Dixon scans of a run, read when they are first asked for."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._records: dict[tuple[str, str], Mapping[ScanId, Record]] = {}

    def labelled(self, scan: ScanId, model: str) -> LabelledScan | None:
        """Give the Dixon scan of the session of `scan`; None where it has no label map by `model`."""
        if scan.dixon not in self._places:
            return None
        shard, entry = self._places[scan.dixon]
        if (shard, model) not in self._records:
            self._records[shard, model] = Records(self._results.records(Stage.POSTPROCESS, shard, model)).load()
        record = self._records[shard, model].get(scan.dixon)
        if record is None or record.outcome.status is not Status.OK:
            return None
        return LabelledScan(entry, record.outcome.content_key)

    @cached_property
    def _places(self) -> Mapping[ScanId, tuple[str, RawScan]]:
        return dixon_scans(self._results.shards)
