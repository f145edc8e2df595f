"""The cohort stage: from raw folders to rows and shard lists."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dixonflow.cohort import inspect as inspection_module
from dixonflow.cohort.discover import KnownFiles, KnownFingerprint, discover
from dixonflow.cohort.found import Discovery, FoundScan, UnnamedEntry
from dixonflow.cohort.included import Included
from dixonflow.cohort.inspect import Inspection
from dixonflow.cohort.patient_ids import judge_patient_ids
from dixonflow.cohort.shards import Shard, assign_shards, shard_by_scan, without_paths, write_shards
from dixonflow.cohort.table import CohortScan, table_digest, write_scans
from dixonflow.cohort.withdrawn import WITHDRAWN_MESSAGE, check_zeros
from dixonflow.rawdata.raw_scan import DEFAULT_OPTIONS, RawScan, Source
from dixonflow.rawdata.reader import OUTLIERS, READER_VERSION, key_of_reading
from dixonflow.system.atomic import write_bytes
from dixonflow.system.guard import Allowance, FailedItem, guarded
from dixonflow.vocabulary import Reason, ScanId, Status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortResult:
    """What the cohort stage found.

    Attributes
    ----------
    scans
        One row per entry of the raw folders, sorted.
    shards
        All shards, those of earlier runs included.
    ignored
        Files and folders that are known to be no scans.
    n_inspected
        Scans that were inspected; for all others an earlier row was used, or there was no need.
    """

    scans: tuple[CohortScan, ...]
    shards: tuple[Shard, ...]
    ignored: tuple[Path, ...]
    n_inspected: int

    @property
    def n_by_status(self) -> Mapping[Status, int]:
        """Number of scans of each status."""
        counts = Counter(row.status for row in self.scans)
        return {status: counts[status] for status in Status}


def build_cohort(
    sources: Sequence[Source],
    *,
    withdrawn: frozenset[str] = frozenset(),
    previous: Iterable[CohortScan] = (),
    shards: Iterable[Shard] = (),
    scans_per_shard: int = 64,
    included: Included | None = None,
    max_attempts: int = 3,
    workers: int = 1,
    allowance: Allowance | None = None,
    rescaled: Collection[ScanId] = (),
    outdated: Collection[ScanId] = (),
    inspected: Callable[[int, int], None] = lambda done, scans: None,
) -> CohortResult:
    """Find all scans, inspect the new ones, and assign the complete ones to shards.

    Parameters
    ----------
    sources
        Raw folders.
    withdrawn
        Ids of participants who have withdrawn: their scans are counted and not inspected.
    previous
        Rows of the run before; used again for scans whose files and options have not changed.
    shards
        Shards of earlier runs, which keep their members.
    scans_per_shard
        Size of new shards.
    included
        The scans to include; all by default.
    max_attempts
        How often a failed scan is inspected before its failure is final.
    workers
        Processes that open files.
    allowance
        What one scan may take of memory and time.
    rescaled
        Scans that version 0.1 scaled down to fit: what it made of them is not to stand, although they are the same.
    outdated
        Scans whose files are younger than what version 0.1 made of them: its fingerprint is not to stand.
    inspected
        Called after each scan that was inspected, with their number so far and at the end.

    Returns
    -------
    CohortResult
        Nothing is written; see `write_cohort`.

    Raises
    ------
    ConfigError
        If a source folder or the list of withdrawn participants is not what it should be.
    ShardError
        If shard lists contradict each other.
    """
    looked_for = {sequence for source in sources for sequence in source.looked_for}
    # lists of sequences that are not looked for any more stay on disk, and are no part of the run
    previous, shards = tuple(previous), tuple(shard for shard in shards if shard.current_sequence in looked_for)
    contents = {row.scan: row.content for row in previous if row.scan is not None}
    expected = {
        entry.scan: KnownFingerprint(entry.raw_key, contents.get(entry.scan, ""))
        for shard in shards
        for entry in shard.scans
        if contents.get(entry.scan) or (entry.scan not in contents and entry.scan not in outdated)
    }
    found = discover(
        sources,
        lambda function, entries: guarded(function, entries, workers=workers, allowance=allowance),
        _known_files(previous, max_attempts),
        expected,
        included,
    )
    if included is not None:
        _log_included(included, found)
    log.info("found %d scans, %d other files", len(found.scans) + len(found.unnamed), len(found.ignored))
    check_zeros(withdrawn, (each.raw.scan.participant for each in found.scans))
    known = {(row.content_key, row.entry.state): row for row in previous if row.content_key and row.entry.state}
    unopened = {(row.scan, row.entry.path): row.attempt for row in previous if not row.entry.raw_key}
    rows: list[CohortScan] = []
    new: list[int] = []
    for each in found.scans:
        row = CohortScan(
            each.raw, content=each.content, images=each.images, superseded=each.superseded, others=each.others
        )
        if each.raw.scan.participant in withdrawn:
            row = replace(row, reason=Reason.CONSENT_WITHDRAWN, message=WITHDRAWN_MESSAGE)
        elif each.problem is not None:
            row = replace(row, reason=each.problem[0], message=each.problem[1])
            if not each.raw.raw_key:
                row = replace(row, attempt=unopened.get((each.raw.scan, each.raw.path), 0) + 1)
        else:
            key = _content_key(each)
            before = known.get((key, each.raw.state))
            if before is not None and (before.status is not Status.FAILED or before.attempt >= max_attempts):
                row = _reused_row(before, row)
            else:
                row = replace(row, content_key=key, attempt=before.attempt + 1 if before else 1)
                new.append(len(rows))
        rows.append(row)
    inspections = _inspect_new([found.scans[place].raw for place in new], workers, allowance, inspected)
    for place, inspection in zip(new, inspections, strict=True):
        row = _completed(rows[place], inspection)
        rows[place] = replace(row, reading=OUTLIERS) if row.scan in rescaled and not row.reading else row
    rows = judge_patient_ids(
        list(zip(found.scans, rows, strict=True)), [source.matches_patient_id for source in sources]
    )
    whole = [
        replace(each.raw, raw_key=key_of_reading(each.raw.raw_key, row.reading))
        for each, row in zip(found.scans, rows, strict=True)
        if row.status is Status.OK
    ]
    assigned = without_paths(assign_shards(whole, shards, scans_per_shard), withdrawn)
    shard_of = shard_by_scan(assigned)
    rows = [
        replace(row, shard=shard_of[row.scan] if row.scan is not None and row.status is Status.OK else "")
        for row in rows
    ]
    rows += [CohortScan(entry, reason=Reason.UNPARSABLE_NAME, message=entry.message) for entry in found.unnamed]
    rows.sort(key=lambda row: (row.scan is None, row.scan.name if row.scan else "", str(row.entry.path)))
    return CohortResult(tuple(rows), tuple(assigned), found.ignored, len(new))


def write_cohort(result: CohortResult, scans_path: Path, shards_folder: Path) -> None:
    """Write shard lists, `shards.txt`, `ignored.txt`, `scans.parquet` and last `scans.sha256`.

    A run that is cut off repeats itself. A new digest makes the tables be rebuilt: the list of shards stays as
    it is where a scan is withdrawn, excluded, or has another message.
    """
    write_shards(shards_folder, result.shards)
    write_bytes(scans_path.with_name("ignored.txt"), "".join(f"{path}\n" for path in result.ignored).encode())
    write_scans(scans_path, result.scans)
    write_bytes(scans_path.with_suffix(".sha256"), f"{table_digest(result.scans)}\n".encode())


def _known_files(previous: Iterable[CohortScan], max_attempts: int) -> KnownFiles:
    """What need not be opened again while its files stay in their state.

    Rows whose verdict rests on other scans too know no more than the fingerprint of their own files.
    """
    known: dict[tuple[ScanId, tuple[Path, ...], str], FoundScan] = {}
    for row in previous:
        raw, tried = row.entry, row.status is not Status.FAILED or row.attempt >= max_attempts
        if isinstance(raw, UnnamedEntry) or not raw.raw_key or not raw.state or row.status is Status.WITHDRAWN:
            continue
        if tried:
            own = not row.content_key and row.reason is not Reason.IDENTITY_MISMATCH
            problem = (row.reason, row.message) if own else None
            known[raw.scan, raw.paths, raw.state] = FoundScan(
                raw, problem=problem, content=row.content, images=row.images
            )
    return known


def _reused_row(before: CohortScan, row: CohortScan) -> CohortScan:
    """Use what an earlier run found in the files of a scan; its patient id is judged together with those of others."""
    judged = before.patient_id_matches is False and before.reason is Reason.IDENTITY_MISMATCH
    return replace(
        row,
        content_key=before.content_key,
        reason=Reason.NONE if judged else before.reason,
        message="" if judged else before.message,
        n_stations=before.n_stations,
        n_slices=before.n_slices,
        attempt=before.attempt,
        patient_id_matches=before.patient_id_matches,
        left_out=before.left_out,
        reading=before.reading,
        acquisitions=before.acquisitions,
    )


def _log_included(included: Included, found: Discovery) -> None:
    scans = [*(each.raw.scan for each in found.scans), *found.not_included]
    log.info("%d scans are not on the list of scans to include", len(found.not_included))
    missing = included.missing(scans)
    if missing:
        log.warning("the list of scans to include holds %d ids that no scan was found of", missing)


def _content_key(found: FoundScan) -> str:
    raw, options = found.raw, found.raw.options
    stations = options.expected_stations(raw.layout, raw.sequence)
    content: list[object] = [READER_VERSION, raw.raw_key, found.content, raw.scan.name, raw.layout.value, stations]
    others = [options.duplicates.value, options.time_point, options.personal]
    if others != [DEFAULT_OPTIONS.duplicates.value, DEFAULT_OPTIONS.time_point, DEFAULT_OPTIONS.personal]:
        content += others
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _inspect_new(
    new: list[RawScan],
    workers: int,
    allowance: Allowance | None,
    inspected: Callable[[int, int], None],
) -> list[Inspection]:
    count, step = 0, max(1, len(new) // 20)

    def advance() -> None:
        nonlocal count
        count += 1
        inspected(count, len(new))
        if count % step == 0:
            log.info("inspected %d of %d new scans", count, len(new))

    found = guarded(
        lambda raw: inspection_module.inspect_scan(raw),  # noqa: PLW0108 - looked up at the call: tests replace it
        new,
        workers=workers,
        allowance=allowance,
        advance=advance,
    )
    return [Inspection(each.reason, each.message) if isinstance(each, FailedItem) else each for each in found]


def _completed(row: CohortScan, inspection: Inspection) -> CohortScan:
    return replace(
        row,
        reason=inspection.reason,
        message=inspection.message,
        left_out=inspection.left_out,
        n_stations=inspection.n_stations,
        n_slices=inspection.n_slices,
        patient_id_matches=inspection.patient_id_matches,
        reading=inspection.reading,
        acquisitions=inspection.acquisitions,
    )
