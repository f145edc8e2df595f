"""Which stations, or halves of them, have water and fat swapped, and their repair.

Every half of every station is either named rightly or swapped. The signs of the stations themselves
(`swap_evidence`) and the agreement of neighbours in their overlaps, half by half, are added up, and the assignment with
the largest sum is taken: the best path through the four states of each station, from head to feet. How much smaller the
sum of the best other assignment is, is how clear the finding is; nothing is swapped back on an unclear one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.stitch.matching import Pair
from dixonflow.stitch.swap_evidence import SwapEvidence
from dixonflow.vocabulary import Contrast

CLEAR = 1.0
"""Margin from which on a finding is clear: half of what one sign says at its strongest, turned around."""

LARGEST_SIGN = 1.0
"""A sign of a half counts at most this much, so that thick subcutaneous fat does not outvote the neighbours."""

WEAKEST_SIGN = 0.5
"""A weaker one says nothing: many halves without a clear rim must not add up to a swapped scan."""

_STATES = np.array([[1, 1], [-1, 1], [1, -1], [-1, -1]])
"""States of a station: signs of its left and right half, -1 for swapped."""

_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


@dataclass(frozen=True)
class Swap:
    """Water and fat of a station, or of one half of it, swapped.

    Attributes
    ----------
    station
        Index of the station, 0 nearest to the head.
    part
        What of it.
    split_mm
        Position (RAS x) of the plane between left and right half; of no meaning for the whole.
    """

    station: int
    part: Literal["whole", "left", "right"]
    split_mm: float


@dataclass(frozen=True)
class SwapFinding:
    """What the signs of a scan amount to.

    Attributes
    ----------
    swaps
        What is swapped, from head to feet.
    margin
        How much better the assignment is than the best other one; None where nothing was to be seen.
    """

    swaps: tuple[Swap, ...]
    margin: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the finding may be acted on."""
        return self.margin is not None and self.margin >= CLEAR


def find_swaps(indices: Sequence[int], evidence: Mapping[int, SwapEvidence], pairs: Sequence[Pair]) -> SwapFinding:
    """Find swapped stations and halves.

    Parameters
    ----------
    indices
        Station indices from head to feet.
    evidence
        Signs of each station.
    pairs
        Their comparisons; those of neighbours count.
    """
    own = [_own(evidence[index]) for index in indices]
    of_neighbours = {(pair.upper, pair.lower): pair.half_agreements for pair in pairs}
    links = [_link(of_neighbours.get(couple, (None, None))) for couple in pairwise(indices)]
    down = [own[0]]
    for scores, link in zip(own[1:], links, strict=True):
        down.append(scores + (down[-1][:, None] + link).max(axis=0))
    up = [np.zeros(len(_STATES))]
    for scores, link in zip(own[:0:-1], links[::-1], strict=True):
        up.append((link + scores + up[-1]).max(axis=1))
    totals = [before + after for before, after in zip(down, up[::-1], strict=True)]
    best = float(totals[0].max())
    margins, swaps = [], []
    for index, total in zip(indices, totals, strict=True):
        # where two states are equal, that without swaps comes first
        left, right = _STATES[int(np.argmax(total))]
        seen = [half is not None for half in evidence[index].halves]
        for side, sign in enumerate((left, right)):
            if seen[side]:
                margins.append(best - float(total[_STATES[:, side] != sign].max()))
        swapped = [sign < 0 and there for sign, there in zip((left, right), seen, strict=True)]
        if any(swapped):
            whole = all(sign < 0 or not there for sign, there in zip((left, right), seen, strict=True))
            part: Literal["whole", "left", "right"] = "whole" if whole else _SIDES[swapped.index(True)]
            swaps.append(Swap(index, part, evidence[index].split_mm))
    return SwapFinding(tuple(swaps), min(margins, default=None))


def _own(evidence: SwapEvidence) -> NDArray[np.float64]:
    signs = np.array([each or 0.0 for each in evidence.halves])
    halves = np.where(np.abs(signs) < WEAKEST_SIGN, 0.0, np.clip(signs, -LARGEST_SIGN, LARGEST_SIGN))
    scores: NDArray[np.float64] = _STATES @ halves + _STATES.prod(axis=1) * (evidence.seam or 0.0)
    return scores


def _link(agreements: tuple[float | None, float | None]) -> NDArray[np.float64]:
    """What neighbours say together, by the states of the upper and the lower one."""
    values = np.array([each or 0.0 for each in agreements])
    products: NDArray[np.float64] = (_STATES[:, None] * _STATES[None]) @ values
    return products


def half_sign(swaps: Sequence[Swap], station: int, side: int) -> int:
    """-1 where a half (0 left, 1 right) of a station is among the swaps, else 1."""
    return -1 if any(each.station == station and each.part in ("whole", _SIDES[side]) for each in swaps) else 1


def swapped_back(station: Station, swaps: Sequence[Swap]) -> Station:
    """Swap water and fat of a station, or of one half; what is done twice changes nothing.

    Parameters
    ----------
    swaps
        Of any stations.
    """
    for swap in swaps:
        if swap.station != station.index:
            continue
        place = (swap.split_mm - station.affine[0, 3]) / station.affine[0, 0] + 0.5
        split = int(np.clip(np.rint(place), 0, station.shape[0]))
        taken = {"whole": slice(None), "left": slice(None, split), "right": slice(split, None)}[swap.part]
        water, fat = station.images[Contrast.WATER], station.images[Contrast.FAT]
        images = {Contrast.WATER: _with(water, fat, taken), Contrast.FAT: _with(fat, water, taken)}
        station = replace(station, images={**station.images, **images})
    return station


def _with(image: NDArray[Any], other: NDArray[Any], taken: slice) -> NDArray[Any]:
    changed = image.astype(np.promote_types(image.dtype, other.dtype), order="K")
    changed[taken] = other[taken]
    return changed


def swaps_in_words(swaps: Sequence[Swap]) -> str:
    """`station 2 and the left half of station 5`; empty for none."""
    names = [
        f"station {each.station + 1}" if each.part == "whole" else f"the {each.part} half of station {each.station + 1}"
        for each in swaps
    ]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
