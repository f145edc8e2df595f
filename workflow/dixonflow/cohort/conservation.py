"""The conservation law: scans in = ok + excluded + failed + withdrawn, exactly.

Its files are either used, or left out for a stated reason.
"""

import logging
from collections import Counter
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dixonflow.cohort.second_listing import ConservationError, ScanKey, as_text, list_again
from dixonflow.cohort.withdrawn import COUNTED
from dixonflow.errors import ConfigError
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import ScanId, Status

log = logging.getLogger(__name__)

__all__ = ["CohortFiles", "ConservationError", "ConservationResult", "check_conservation", "check_not_emptied"]


@dataclass(frozen=True)
class CohortFiles:
    """What the cohort stage made of the files in the raw folders, as text.

    Attributes
    ----------
    used
        Files and folders that scans are read from.
    left_out
        Those that a later delivery replaces, or that hold a scan or a part of it again.
    """

    used: frozenset[str]
    left_out: frozenset[str]


@dataclass(frozen=True)
class ConservationResult:
    """The counts that add up.

    Attributes
    ----------
    n_raw
        Scans in the raw folders, entries whose name gives no scan included.
    n_unparsable
        Those whose name gives no scan.
    n_by_status
        Rows of the table.
    """

    n_raw: int
    n_unparsable: int
    n_by_status: dict[Status, int]


def check_conservation(
    sources: Sequence[Source],
    scans_table: pd.DataFrame,
    withdrawn: Collection[str] = (),
    *,
    included: Container[ScanId] | None = None,
    files: CohortFiles | None = None,
) -> ConservationResult:
    """Compare the raw folders with the table of scans, and with the files that the cohort stage accounts for.

    Parameters
    ----------
    sources
        Raw folders of the run.
    scans_table
        With the columns `participant_id`, `session_id`, `sequence`, `source`, `status`.
    withdrawn
        Ids of the participants who have withdrawn: their scans, and no others, are withdrawn.
    included
        The scans to include; all by default.
    files
        Every file of a scan has to be in it: used, or left out for a stated reason. Not compared by default.

    Raises
    ------
    ConservationError
        If the two differ in a single scan, a scan has two rows or a row has no status. The message counts; the log
        names scans, at debug level only.
    """
    listed = list_again(sources, included)
    raw = listed.keys
    if files is not None:
        _check_files(listed.paths, files)
    rows = [
        _row_key(*row)
        for row in zip(
            *(scans_table[name] for name in ("participant_id", "session_id", "sequence", "source")), strict=True
        )
    ]
    # rows that are only counted stand for scans of the withdrawn, one each
    counted = {row for row in rows if row[0] is None and str(row[2]).startswith(f"{COUNTED} ")}
    if counted:
        of_withdrawn = {key for key in raw if key[0] in withdrawn}
        if len(counted) != len(of_withdrawn):
            raise ConservationError(
                f"{len(of_withdrawn)} scans of withdrawn participants are in the raw folders, and the table counts "
                f"{len(counted)}. If the list changed during the run, run the command again"
            )
        raw, rows = raw - of_withdrawn, [row for row in rows if row not in counted]
    counts = Counter(rows)
    lost, unknown = raw - set(counts), set(counts) - raw
    twice = {key for key, count in counts.items() if count > 1}
    unclear = [status for status in scans_table["status"] if status not in set(Status)]
    for what, keys in (("without a row", lost), ("with a row but no raw data", unknown), ("with two rows", twice)):
        for key in sorted(keys, key=str):
            log.debug("%s: %s", what, " ".join(part for part in key if part))
    misplaced = sum(
        (participant in withdrawn) != (status == Status.WITHDRAWN.value)
        for participant, status in zip(scans_table["participant_id"], scans_table["status"], strict=True)
        if isinstance(participant, str)
    )
    if misplaced:
        raise ConservationError(
            f"{misplaced} scans are withdrawn in the table but not on the list of withdrawn participants, or vice "
            "versa. If the list changed during the run, run the command again"
        )
    if lost or unknown or twice or unclear:
        raise ConservationError(
            f"the raw folders hold {len(raw)} scans, the table has {len(rows)} rows: {len(lost)} scans without a row "
            f"({sum(key[0] is None for key in lost)} of them entries whose name gives no scan), {len(unknown)} rows "
            f"without raw data, {len(twice)} scans with more than one row, {len(unclear)} rows without a known status. "
            "DIXONFLOW_LOG=DEBUG names them. If raw data changed during the run, run the command again"
        )
    statuses = Counter(Status(status) for status in scans_table["status"])
    n_unparsable = sum(key[0] is None for key in raw)
    return ConservationResult(len(raw) + len(counted), n_unparsable, {status: statuses[status] for status in Status})


def check_not_emptied(sources: Sequence[Source], scans_table: pd.DataFrame) -> None:
    """Check that no raw folder has lost all of its scans since the tables were made: its disk may not be mounted.

    Parameters
    ----------
    scans_table
        With the column `source`.

    Raises
    ------
    ConfigError
    """
    for place, source in enumerate(sources):
        folder = as_text(source.folder)
        before = sum(str(path).startswith(f"{folder}/") for path in scans_table["source"])
        if before and not list_again([source]).keys:
            raise ConfigError(
                f"config: cohort.sources.{place}.folder: {folder} held {before} scans and now holds none: is its disk "
                "mounted? If they were removed on purpose, remove the source from the configuration"
            )


def _row_key(participant: object, session: object, sequence: object, source: object) -> ScanKey:
    if isinstance(participant, str) and isinstance(session, str):
        return participant, session, str(sequence)
    return None, None, str(source)


def _check_files(paths: frozenset[str], files: CohortFiles) -> None:
    """Check that each file is used or left out, and that no file is said to be used that is not there."""
    known = files.used | files.left_out
    lost = [path for path in paths if path not in known and str(Path(path).parent) not in known]
    folders = {str(Path(path).parent) for path in paths}
    unknown = [path for path in known if path not in paths and path not in folders]
    if lost or unknown:
        for path in sorted(lost + unknown):
            log.debug("not accounted for: %s", path)
        raise ConservationError(
            f"the raw folders hold {len(paths)} files of scans: {len(lost)} are neither used nor left out for a "
            f"reason, and {len(unknown)} that are used or left out are not there. DIXONFLOW_LOG=DEBUG names them. If "
            "raw data changed during the run, run the command again"
        )
