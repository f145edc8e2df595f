"""Ratings of the scans of a run: the table of them, and their rows in `quality`."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.execution.label_map_keys import label_map_keys
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.ratings.effects import LACKING_A_KIDNEY, RATING, GoodRatings
from dixonflow.ratings.judged import Judged, RatedLabelMap, judge
from dixonflow.ratings.rating import Rating
from dixonflow.ratings.store import read_ratings
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.grading import names_of
from dixonflow.tables.schema import to_arrow
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Cause, Grade, ScanId, ScanSequence, Verdict

log = logging.getLogger(__name__)

ModelsOfSequence = Mapping[ScanSequence, Sequence[Model]]
"""Models, as they are used on the scans of each sequence of a run."""

_OF = {
    RatedLabelMap.CURRENT: "",
    RatedLabelMap.EARLIER: ", of an earlier label map",
    RatedLabelMap.UNKNOWN: ", and which label map was rated is not known",
}
_OF_DIXON = ", of the Dixon scan whose label map it takes"
_TWO_KIDNEYS = ", but two kidneys have labels"


@dataclass(frozen=True)
class Opinion:
    """What raters together say of a label map, or of a structure of it: a row of `quality`.

    Attributes
    ----------
    model, structure
        What was rated; the structure is empty for a label map as a whole.
    verdict, grade
        The worst verdict that counts, and what follows from it.
    words
        Verdict and cause.
    lacks_kidney
        Whether a rater says that a kidney is missing and what there is is good.
    """

    model: str
    structure: str
    verdict: Verdict
    grade: Grade
    words: str
    lacks_kidney: bool

    def checked(self, *, two_kidneys: bool) -> "Opinion":
        """Hold against the label map that a kidney is missing."""
        if not (self.lacks_kidney and two_kidneys and self.grade is Grade.PASS):
            return self
        return replace(self, grade=Grade.REVIEW, words=self.words + _TWO_KIDNEYS)


Opinions = Mapping[ScanId, Sequence[Opinion]]


def with_ratings(rows: pa.Table, rated: Opinions) -> tuple[pa.Table, GoodRatings]:
    """Rows of `quality` of whole scans with those of their ratings, and what was found good of them."""
    if not rated:
        return rows, GoodRatings()
    scans = [scan for scan in _scan_ids(rows.select(SCAN_KEYS).group_by(SCAN_KEYS).aggregate([])) if scan in rated]
    if not scans:
        return rows, GoodRatings()
    both = _with_two_kidneys(rows)
    added, good, without_kidney = [], set(), set()
    for scan in scans:
        ids = (scan.participant, scan.session, scan.sequence.value)
        for opinion in rated[scan]:
            each = opinion.checked(two_kidneys=(*ids, opinion.model) in both)
            value = float(tuple(Verdict).index(each.verdict))
            added.append((*ids, RATING, each.structure, each.model, value, 0.0, each.grade.value, each.words))
            if each.grade is Grade.PASS:
                good.add((*ids, each.model, each.structure))
                if each.lacks_kidney:
                    without_kidney.add((*ids, each.model))
    columns = [*SCAN_KEYS, "check", "structure", "model", "value", "threshold", "grade", "place"]
    own = to_arrow(pd.DataFrame(added, columns=columns)[list(QUALITY.names)], QUALITY)
    own = own.select(rows.column_names).cast(rows.schema)
    return pa.concat_tables([rows, own]), GoodRatings(frozenset(good), frozenset(without_kidney))


def _scan_ids(rows: pa.Table) -> list[ScanId]:
    return [ScanId(row["participant_id"], row["session_id"], ScanSequence(row["sequence"])) for row in rows.to_pylist()]


def _with_two_kidneys(quality: pa.Table) -> frozenset[tuple[str, ...]]:
    """Scan and model of those in whom both kidneys were found."""
    measured = pc.and_(pc.is_in(quality["check"], value_set=pa.array(LACKING_A_KIDNEY)), quality["value"].is_valid())
    rows = quality.filter(measured).select([*SCAN_KEYS, "model"]).to_pandas()
    return frozenset(rows.itertuples(index=False, name=None))


def judged_ratings(results: Results, read: pd.DataFrame, ok: pd.DataFrame, models: ModelsOfSequence) -> list[Judged]:
    """Ratings of the scans that were found, and what each counts for. Those of other scans stay in their files.

    Parameters
    ----------
    read
        The scans, without withdrawn ones.
    ok
        Those with values, and their shards.

    Raises
    ------
    RatingError
        If a file of ratings is damaged.
    """
    ratings = read_ratings(results.ratings)
    if not ratings:
        return []
    there = _scans(read)
    kept = [rating for rating in ratings if rating.scan in there]
    if len(kept) < len(ratings):
        log.info("%d ratings are of scans that are not in the run any more", len(ratings) - len(kept))
    known = {sequence: {model.name: frozenset(names_of(model)) for model in each} for sequence, each in models.items()}

    def has_structure(rating: Rating) -> bool:
        of_models = known.get(rating.scan.sequence, {})
        names = of_models.get(rating.model, frozenset[str]().union(*of_models.values()))
        return rating.structure is None or rating.structure in names

    judged = judge(kept, _keys(results, ok, kept, models), has_structure)
    unknown = sum(each.is_latest and not has_structure(each.rating) for each in judged)
    if unknown:
        log.warning("%d ratings name a structure that the model does not have and count for nothing", unknown)
    return judged


def _keys(
    results: Results, ok: pd.DataFrame, ratings: Iterable[Rating], models: ModelsOfSequence
) -> dict[tuple[ScanId, str], frozenset[str] | None]:
    """Keys of the label maps of rated scans; None for a model that is not in the run."""
    shards = _scans(ok)
    wanted: dict[tuple[str, str], list[ScanId]] = {}
    keys: dict[tuple[ScanId, str], frozenset[str] | None] = {}
    for rating in ratings:
        if rating.model not in {model.name for model in models.get(rating.scan.sequence, ())}:
            keys[rating.scan, rating.model] = None
        elif rating.scan in shards:
            wanted.setdefault((shards[rating.scan], rating.model), []).append(rating.scan)
    for (shard, model), scans in sorted(wanted.items()):
        found = label_map_keys(results, shard, model)
        keys |= {(scan, model): found[scan].equal for scan in scans if scan in found}
    return keys


def _scans(rows: pd.DataFrame) -> dict[ScanId, str]:
    columns = [*SCAN_KEYS, "shard"]
    return {
        ScanId(participant, session, ScanSequence(sequence)): str(shard)
        for participant, session, sequence, shard in rows[columns].itertuples(index=False, name=None)
    }


def opinions(
    judged: Iterable[Judged], ok: pd.DataFrame, models: ModelsOfSequence, takes_dixon: Collection[ScanSequence]
) -> Opinions:
    """Sum up the ratings of each label map and structure: the worst one counts.

    Parameters
    ----------
    takes_dixon
        Sequences whose scans take the label map of the Dixon scan of their session: what is wrong there is wrong here.
    """
    there = _scans(ok)
    found: dict[ScanId, dict[tuple[str, str], Opinion]] = {}
    for each in judged:
        if each.grade is None or each.rating.scan not in there:
            continue
        rating = each.rating
        words = rating.verdict.value + (f" ({rating.cause.value})" if rating.cause else "") + _OF[each.label_map]
        lacks_kidney = each.grade is Grade.PASS and rating.cause is Cause.MISSING_KIDNEY
        targets = {rating.scan: words}
        if rating.scan.sequence is ScanSequence.DIXON and each.grade is not Grade.PASS:
            others = (ScanId(rating.scan.participant, rating.scan.session, sequence) for sequence in takes_dixon)
            targets |= {scan: words + _OF_DIXON for scan in others if scan in there}
        for scan, said in targets.items():
            of_scan = found.setdefault(scan, {})
            for model in _models_rated(rating, models[scan.sequence]):
                key = model.name, rating.structure or ""
                own = Opinion(*key, rating.verdict, each.grade, said, lacks_kidney)
                of_scan[key] = max(of_scan.get(key, own), own, key=_badness)
    return {scan: [of_scan[key] for key in sorted(of_scan)] for scan, of_scan in found.items()}


def _badness(opinion: Opinion) -> tuple[int, int, bool, str]:
    """Sort opinions, the worst last; the order of equal ones must not depend on who was first."""
    place = tuple(Grade).index(opinion.grade), tuple(Verdict).index(opinion.verdict)
    return (*place, opinion.lacks_kidney, opinion.words)


def _models_rated(rating: Rating, models: Sequence[Model]) -> list[Model]:
    """The rated model. Where it is not in the run all that have the structure: faults of the images alone count."""
    own = [model for model in models if model.name == rating.model]
    structure = rating.structure
    return own or [model for model in models if structure is None or structure in names_of(model)]
