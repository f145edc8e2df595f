"""The step `select`: scans get case names, in a round of training or as test cases."""

import csv
import hashlib
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from dixonflow.retraining.cases import case_name
from dixonflow.retraining.leakage import LeakageError, are_recorded, check_may_join, image_digests
from dixonflow.retraining.ledger import (
    CaseSet,
    Entry,
    Step,
    append_to_ledger,
    frozen_participants,
    read_ledger,
)
from dixonflow.retraining.project import MAX_ROUNDS, TEST_ROUND, Project, RetrainingError
from dixonflow.retraining.selection.candidates import Candidate, digests_of, find_candidates
from dixonflow.retraining.selection.freeze import check_frozen, freeze_new_scans
from dixonflow.retraining.selection.ranking import Ranked, at_random, by_failures, by_list, by_ratings, read_list
from dixonflow.retraining.selection.strata import Stratum
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import ScanId

_COLUMNS = ("case", "scan", "set", "model", "why", "request", "digests")


class Source(StrEnum):
    """Where the order comes from in which scans are selected."""

    FAILURES = "failures"
    RATINGS = "ratings"
    LIST = "list"
    RANDOM = "random"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    source
        Where the order comes from.
    round, set
        Round of training, or `TEST_ROUND` for the test set.
    count
        Scans at most; None for all of a list, or of the test participants.
    model
        Whose label map is proposed.
    by, checks, file, usable
        For the source: groups, checks, file of scan names, whether usable scans count, too.
    """

    source: Source
    round: int
    set: CaseSet
    count: int | None
    model: str
    by: tuple[Stratum, ...] = ()
    checks: tuple[str, ...] = ()
    file: Path | None = None
    usable: bool = False

    def __str__(self) -> str:
        words = [self.source.value, "all" if self.count is None else str(self.count), f"of {self.model}"]
        words += [f"by {','.join(self.by)}"] if self.by else []
        words += [f"checks {','.join(sorted(self.checks))}"] if self.checks else []
        words += ["usable"] if self.usable else []
        words += [hashlib.sha256(read_list(self.file)).hexdigest()[:12]] if self.file else []
        return " ".join(words)


@dataclass(frozen=True)
class SelectedScan:
    """A row of selected.csv."""

    case: str
    scan: ScanId
    set: CaseSet
    model: str
    why: str
    request: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """What came of a request: the scans, and how many were passed over because they are in a set under another id."""

    scans: tuple[SelectedScan, ...]
    passed_over: int = 0


def select(project: Project, request: Request) -> Selection:
    """Select scans. The same request again selects nothing more; it completes what was cut off.

    Raises
    ------
    RetrainingError
        If the request cannot be met, or test participants are not frozen yet.
    LeakageError
        If a scan of a list must not join the set.
    ConfigError, TableError, RatingError
        If what the order comes from cannot be read.
    """
    check_frozen(project)
    _check(project, request)
    freeze_new_scans(project)
    rows = read_selected(project, request.round)
    _write_ledger(project, request.round, rows)
    earlier = tuple(row for row in rows if row.request == str(request))
    if earlier:
        return Selection(earlier)
    candidates = find_candidates(project)
    entries = read_ledger(project.ledger)
    frozen = frozen_participants(entries)
    used = {entry.scan for entry in entries if entry.step is Step.SELECTED}
    wanted = {
        scan
        for scan in candidates
        if scan not in used and (scan.participant in frozen) == (request.set is CaseSet.TEST)
    }
    named = request.source is Source.LIST
    ranked = _ranked(project, request, candidates if named else wanted)
    found, passed_over = _take(project, request, ranked, candidates, entries)
    if not found:
        raise RetrainingError("there is no scan left to select: name another source, or other checks")
    write_selected(project, request.round, [*rows, *found])
    _write_ledger(project, request.round, found)
    return Selection(tuple(found), passed_over)


def selected_as_it_is(project: Project, round_number: int, row: SelectedScan) -> SelectedScan:
    """A selected scan with the images that the run has of it now.

    Where the run has stitched the same raw data once more since it was selected, list and ledger get the new digests.

    Raises
    ------
    RetrainingError
        If the run has other raw data under its name, or an image cannot be read.
    FileNotFoundError
        If an image is not there.
    LeakageError
        If it must not be in its set.
    """
    entries = read_ledger(project.ledger)
    check_may_join(entries, row.scan, row.set, row.digests)
    paths = [project.results.stitched(row.scan, contrast) for contrast in project.settings.contrasts]
    if not all(path.is_file() for path in paths):
        raise FileNotFoundError
    if are_recorded([image_digests([path]) for path in paths], row.digests):
        return row
    candidate = find_candidates(project).get(row.scan)
    if candidate is None or not set(candidate.raw) & set(row.digests):
        raise RetrainingError(
            f"{row.case}: the run has other images of its scan than when it was selected, and not from the same raw "
            "data: restore the results, or select another scan"
        )
    digests = digests_of(project, candidate)
    check_may_join(entries, row.scan, row.set, digests)
    renewed = replace(row, digests=digests)
    _write_ledger(project, round_number, [renewed])
    rows = read_selected(project, round_number)
    write_selected(project, round_number, [renewed if each.case == row.case else each for each in rows])
    return renewed


def read_selected(project: Project, round_number: int) -> list[SelectedScan]:
    """Rows of selected.csv; none where there is none yet. Raises RetrainingError where it is damaged."""
    path = project.selected(round_number)
    if not path.is_file():
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
        return [
            SelectedScan(
                row["case"],
                ScanId.parse(row["scan"]),
                CaseSet(row["set"]),
                row["model"],
                row["why"],
                row["request"],
                tuple(row["digests"].split()),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise RetrainingError(f"{path} is damaged: restore it from a backup") from error


def write_selected(project: Project, round_number: int, rows: list[SelectedScan]) -> None:
    """Write selected.csv, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([row.case, row.scan.name, row.set, row.model, row.why, row.request, " ".join(row.digests)])
    write_bytes(project.selected(round_number), text.getvalue().encode())


def _check(project: Project, request: Request) -> None:
    if request.count is not None and request.count < 1:
        raise RetrainingError("--count must be at least 1")
    if request.count is None and request.source is not Source.LIST and request.set is CaseSet.TRAIN:
        raise RetrainingError("say with --count how many scans to select")
    if (request.set is CaseSet.TEST) != (request.round == TEST_ROUND) or not 0 <= request.round <= MAX_ROUNDS:
        raise RetrainingError(f"a round of training has a number from 1 to {MAX_ROUNDS}")
    if request.round > 1 and not read_selected(project, request.round - 1):
        raise RetrainingError(f"nothing is selected in round {request.round - 1} yet")


def _ranked(project: Project, request: Request, scans: Collection[ScanId]) -> Ranked:
    if request.source is Source.FAILURES:
        return by_failures(project, request.model, scans, request.checks)
    if request.source is Source.RATINGS:
        return by_ratings(project, request.model, scans, usable=request.usable)
    if request.source is Source.RANDOM:
        return at_random(project, scans, request.by)
    if request.file is None:
        raise RetrainingError("name the file of scan names with --file")
    return by_list(request.file, scans)


def _take(
    project: Project,
    request: Request,
    ranked: Ranked,
    candidates: Mapping[ScanId, Candidate],
    entries: list[Entry],
) -> tuple[list[SelectedScan], int]:
    """Take scans in their order until there are enough; one of each participant, where they are not named."""
    found: list[SelectedScan] = []
    named, passed_over, number = request.source is Source.LIST, 0, _last_number(project)
    for scan, why in ranked:
        if len(found) == request.count:
            break
        if not named and any(scan.participant == row.scan.participant for row in found):
            continue
        digests = digests_of(project, candidates[scan])
        joined = [*entries, *(_entry(request.round, row) for row in found)]
        try:
            if any(entry.step is Step.SELECTED and entry.scan == scan for entry in entries):
                raise LeakageError(f"{scan.name} is selected already")
            check_may_join(joined, scan, request.set, digests)
        except LeakageError:
            if named:
                raise
            passed_over += 1
            continue
        number += 1
        found.append(SelectedScan(case_name(number), scan, request.set, request.model, why, str(request), digests))
    return found, passed_over


def _last_number(project: Project) -> int:
    numbers = [0]
    for each in range(MAX_ROUNDS + 1):
        numbers += [int(row.case.split("_")[1]) for row in read_selected(project, each)]
    return max(numbers)


def _entry(round_number: int, row: SelectedScan) -> Entry:
    note = f"{row.request}: {row.why}"
    return Entry(Step.SELECTED, round_number, row.set, row.scan, row.case, row.digests, note=note)


def _write_ledger(project: Project, round_number: int, rows: list[SelectedScan]) -> None:
    append_to_ledger(project.ledger, [_entry(round_number, row) for row in rows])
