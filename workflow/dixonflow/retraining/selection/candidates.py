"""Scans of the run that may be corrected: those with images and a label map, of people who have not withdrawn."""

from dataclasses import dataclass

import pyarrow.compute as pc

from dixonflow.cohort.table import read_scans
from dixonflow.retraining.cases import withdrawn_participants
from dixonflow.retraining.leakage import image_digests, raw_digests
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.tables.parquet import read_whole
from dixonflow.vocabulary import DIXON, ScanId, ScanSequence, Status


@dataclass(frozen=True)
class Candidate:
    """A scan that may be corrected.

    Attributes
    ----------
    scan
        Whose it is.
    raw
        What its raw data is recognised by.
    """

    scan: ScanId
    raw: tuple[str, ...]


def find_candidates(project: Project) -> dict[ScanId, Candidate]:
    """All Dixon scans with the status ok in the tables of the run, in the order of their names.

    Raises
    ------
    RetrainingError
        If the run has no tables.
    TableError, ConfigError
        If a table or the list of withdrawn participants cannot be read.
    """
    results = project.results
    if not results.scan_table.is_file():
        raise RetrainingError(f"there is no {results.scan_table}: run the workflow to its end first")
    is_ok = (pc.field("status") == Status.OK.value) & (pc.field("sequence") == ScanSequence.DIXON.value)
    rows = read_whole(results.scan_table, ["participant_id", "session_id"], is_ok)
    pairs = zip(*(rows[name].to_pylist() for name in ("participant_id", "session_id")), strict=True)
    withdrawn = withdrawn_participants(project)
    scans = {ScanId(*pair) for pair in pairs if pair[0] not in withdrawn}
    raw = {row.scan: raw_digests(row.entry.raw_key, row.images) for row in read_scans(results.scans) if row.scan}
    return {scan: Candidate(scan, raw.get(scan, ())) for scan in sorted(scans)}


def digests_of(project: Project, candidate: Candidate) -> tuple[str, ...]:
    """Digests of a scan: of its raw data, and of the voxels of all stitched contrasts that are kept.

    Raises
    ------
    RetrainingError
        If the images that a case needs are not there or cannot be read.
    """
    paths = {contrast: project.results.stitched(candidate.scan, contrast) for contrast in DIXON}
    if any(not paths[contrast].is_file() for contrast in project.settings.contrasts):
        raise RetrainingError("the stitched images of a scan are missing: set keep.stitched and run with verify=true")
    return candidate.raw + image_digests(path for path in paths.values() if path.is_file())
