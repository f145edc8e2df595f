"""Orders in which scans are taken for correction: by what failed, by what raters said, by a list, at random."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.ratings.store import current, read_ratings
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.retraining.selection.strata import Stratum, even_order, strata_of
from dixonflow.system.documents import one_line
from dixonflow.system.regular_file import read_regular
from dixonflow.tables.parquet import read_whole
from dixonflow.vocabulary import Grade, ScanId, ScanSequence, Verdict

Ranked = list[tuple[ScanId, str]]
"""Scans in the order in which they are taken, each with why; no ids in it."""

LABEL_CHECKS = (
    *("liver_right_of_spleen", "heart_left", "kidney_sides", "wrong_side", "side_ratio", "in_one_piece"),
    *("unusually_small", "unusually_large", "lower_cutoff", "parts_found", "structures_found"),
    *("labelled_signal", "seen_borders", "seen_top", "seen_bottom", "labels_fit"),
    *("contrast_agreement", "model_agreement"),
    *("vertebra_order", "vertebra_gaps", "vertebra_distance_ratio"),
)
"""Checks that a network can be at fault for. Others are about the images: correcting labels does not help there."""

_MAX_LIST_BYTES = 1 << 24
_SHOWN = 5


def by_failures(project: Project, model: str, scans: Collection[ScanId], checks: Sequence[str] = ()) -> Ranked:
    """Scans to which checks object: those with more failed checks first, then more to review, then further off.

    Parameters
    ----------
    checks
        Names of the checks that count, `LABEL_CHECKS` by default. Of checks by structure, those of the project's
        structures count, and of composites of them.

    Raises
    ------
    RetrainingError
        If there is no such check, or no table of quality.
    TableError
        If it cannot be read.
    """
    if unknown := sorted(set(checks) - set(CHECKS)):
        raise RetrainingError(f"there is no check {one_line(unknown[0])}: the table checks lists them")
    path = project.results.tables / "quality.parquet"
    if not path.is_file():
        raise RetrainingError(f"there is no {path}: run the workflow to its end first")
    which = (pc.field("grade") != Grade.PASS.value) & (pc.field("model") == model)
    which &= pc.field("sequence") == ScanSequence.DIXON.value
    which &= pc.field("check").isin(list(checks or LABEL_CHECKS))
    labels = set(project.settings.labels)
    composites = [name for name, parts in project.model(model).composites.items() if labels & set(parts)]
    which &= pc.field("structure").isin(["", *labels, *composites])
    columns = ["participant_id", "session_id", "check", "structure", "value", "threshold", "grade"]
    rows = read_whole(path, columns, which).to_pandas()
    rows["off"] = [_how_far(*row) for row in rows[["check", "value", "threshold"]].itertuples(index=False)]
    ranked = []
    for (participant, session), own in rows.groupby(["participant_id", "session_id"]):
        scan = ScanId(str(participant), str(session))
        if scan in scans:
            failed = int(own["grade"].eq(Grade.FAIL.value).sum())
            ranked.append(((-failed, -len(own), -float(own["off"].max()), scan), scan, _objections(own)))
    return [(scan, why) for _, scan, why in sorted(ranked)]


def by_ratings(project: Project, model: str, scans: Collection[ScanId], *, usable: bool = False) -> Ranked:
    """Scans whose label map a rater finds faulty, those with more such verdicts first.

    Parameters
    ----------
    usable
        Whether scans count, too, that are usable and no better; after all faulty ones.

    Raises
    ------
    RatingError
        If the ratings cannot be read.
    """
    wanted = (Verdict.FAULTY, Verdict.USABLE) if usable else (Verdict.FAULTY,)
    found: dict[ScanId, dict[Verdict, list[str]]] = {}
    for rating in current(read_ratings(project.results.root / "ratings")):
        if rating.scan in scans and rating.model == model and rating.verdict in wanted:
            verdicts = found.setdefault(rating.scan, {verdict: [] for verdict in wanted})
            verdicts[rating.verdict].append(rating.structure or "label map")
    ranked = sorted(found.items(), key=lambda item: ([-len(item[1][verdict]) for verdict in wanted], item[0]))
    return [
        (scan, "; ".join(f"{verdict}: {_few(sorted(set(of)))}" for verdict, of in verdicts.items() if of))
        for scan, verdicts in ranked
    ]


def by_list(path: Path, scans: Collection[ScanId]) -> Ranked:
    """Scans of a file, one name per line, such as `sub-100123_ses-2`.

    Raises
    ------
    RetrainingError
        If the file cannot be read, a line is no name of a scan, is there twice, or no scan with the status ok.
    """
    try:
        lines = read_list(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RetrainingError(f"{path} is not in UTF-8") from error
    listed: dict[ScanId, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            scan = ScanId.parse(line.strip())
        except ValueError as error:
            raise RetrainingError(f"{path}, line {number}: not a scan name such as sub-100123_ses-2") from error
        if scan in listed:
            raise RetrainingError(f"{path}, line {number}: {scan.name} is there twice")
        if scan not in scans:
            raise RetrainingError(
                f"{path}, line {number}: {scan.name} is no Dixon scan with the status ok in the tables"
            )
        listed[scan] = "listed"
    return list(listed.items())


def read_list(path: Path) -> bytes:
    """Content of a file of scan names. Raises RetrainingError."""
    try:
        return read_regular(path, _MAX_LIST_BYTES)
    except OSError as error:
        raise RetrainingError(f"{path} cannot be read: {error.strerror}") from error


def at_random(project: Project, scans: Iterable[ScanId], by: Sequence[Stratum] = ()) -> Ranked:
    """Scans in a random order that draws evenly from all groups. Raises as `strata_of`."""
    strata = strata_of(project.results.tables, scans, by)
    return [
        (scan, " ".join(("random", *(f"{each}={group}" for each, group in zip(by, strata[scan], strict=True)))))
        for scan in even_order(strata, project.settings.seed)
    ]


def _how_far(check: str, value: float | None, threshold: float | None) -> float:
    """Distance beyond the threshold, as a part of it; 0 where one of both is unknown."""
    if value is None or threshold is None or pd.isna(value) or pd.isna(threshold):
        return 0.0
    beyond = threshold - value if CHECKS[check].passes != "at_most" else value - threshold
    return max(0.0, beyond) / max(abs(threshold), 1e-6)


def _objections(rows: pd.DataFrame) -> str:
    words = [f"{check} {structure}".strip() for check, structure in zip(rows["check"], rows["structure"], strict=True)]
    return _few(sorted(words))


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
