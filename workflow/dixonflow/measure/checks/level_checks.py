"""Whether the vertebrae of a scan can be trusted as landmarks: their order, their number and their distances.

Each check sees one way in which a network miscounts. None sees a spine that is numbered consistently but wrongly, which
is what an extra or a missing vertebra (13 thoracic ones, 4 or 6 lumbar ones) looks like.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.levels import Level, Levels
from dixonflow.models.anatomy import SACRUM
from dixonflow.vocabulary import Grade

_FIRST_WITH_BODY = 3
"""C3: C1 is a ring, and the dens of C2 stands inside it."""


def level_grade(levels: Levels) -> Grade:
    """Verdict on all levels of a scan: *review* unless all checks of vertebrae pass.

    One vertebra in the wrong place makes all names uncertain: it does not say which of them moved.
    """
    for name, check in LEVEL_CHECKS.items():
        result = check(levels)
        if (result if isinstance(result, Grade) else CHECKS[name].grade(result)) is not Grade.PASS:
            return Grade.REVIEW
    return Grade.PASS


def _order(levels: Levels) -> float | Grade:
    found = list(levels.found.values())
    if len(found) < 2:
        return Grade.REVIEW
    return float(sum(lower.centre_mm >= upper.centre_mm for upper, lower in pairwise(found)))


def _gaps(levels: Levels) -> float | Grade:
    if len(levels.found) < 2:
        return Grade.REVIEW
    return float(sum(min(levels.found) < vertebra < max(levels.found) for vertebra in levels.missing))


def _distance_ratio(levels: Levels) -> float | Grade:
    if _order(levels) != 0:
        return Grade.REVIEW
    distances = _distances(levels)
    ratios = []
    for above, distance, below in zip([None, *distances], distances, [*distances[1:], None], strict=False):
        adjacent = [other for other in (above, below) if other is not None]
        if distance is None or not adjacent:
            continue
        if min(distance, *adjacent) <= 0:
            return Grade.REVIEW
        ratio = distance / (sum(adjacent) / len(adjacent))
        ratios.append(max(ratio, 1 / ratio))
    return max(ratios) if ratios else Grade.REVIEW


def _distances(levels: Levels) -> list[float | None]:
    """Distance in mm of each two vertebrae that follow each other in the model; None where one has no level."""
    order = [vertebra for vertebra in sorted({*levels.found, *levels.missing}) if vertebra >= _FIRST_WITH_BODY]
    distances: list[float | None] = []
    for pair in pairwise(order):
        if not set(pair) <= set(levels.found):
            distances.append(None)
            continue
        upper, lower = (_landmark_mm(levels.found[vertebra], pair[1]) for vertebra in pair)
        distances.append(upper - lower)
    return distances


def _landmark_mm(level: Level, lower: int) -> float:
    # the sacrum's centre is that of five fused vertebrae
    return level.upper_mm if lower == SACRUM else level.centre_mm


LEVEL_CHECKS: Mapping[str, Callable[[Levels], float | Grade]] = {
    "vertebra_order": _order,
    "vertebra_gaps": _gaps,
    "vertebra_distance_ratio": _distance_ratio,
}
"""The checks of vertebrae (`dixonflow.measure.checks.of_model`): each takes the levels, and gives a value or, where
there is none, the verdict on that."""
