"""Stations that were acquired more than once: distinguish the acquisitions, and choose one by a stated rule."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.volumes import Volume
from dixonflow.vocabulary import Contrast, Duplicates, Reason

Acquisition = Mapping[Contrast, Volume]
"""The volumes of one acquisition of a station; contrasts may be missing."""

Agrees = Callable[[Acquisition], bool]
"""Whether in phase is water + fat in a complete acquisition, which takes reading it."""


_CHOSEN = re.compile(r"station [0-9]+: [0-9]+ of [0-9]+")


@dataclass(frozen=True)
class Choice:
    """The acquisition of a station that is used.

    Attributes
    ----------
    volumes
        The volumes.
    number, count
        Which of how many, by time.
    why
        What decided; empty for the only one.
    """

    volumes: Acquisition
    number: int = 1
    count: int = 1
    why: str = ""


def chosen_in_words(repeated: Mapping[int, tuple[int, int]]) -> list[str]:
    """Which acquisition of how many is used of each station that was acquired again, as `reading` records it."""
    return [f"station {number}: {place} of {count}" for number, (place, count) in repeated.items()]


def count_repeated(reading: str) -> int:
    """Number of stations that `chosen_in_words` named in a text."""
    return len(_CHOSEN.findall(reading))


def acquisitions_of(station: Sequence[Volume], number: int) -> list[Acquisition]:
    """Volumes of one place, by acquisition, in the order in which they were acquired.

    Acquisitions are distinguished by the time of day at which they began, else by their series numbers: those of one
    acquisition follow each other.

    Parameters
    ----------
    station
        All with a contrast.
    number
        Of the station, for messages.

    Raises
    ------
    ScanExcluded
        `duplicate_scan` where nothing tells them apart.
    """
    repeats = max(sum(volume.contrast is each.contrast for volume in station) for each in station)
    if repeats == 1:
        return [_by_contrast(station)]
    for groups in (_by_time(station), _by_series_number(station)):
        if len(groups) > 1 and all(_each_once(group) for group in groups):
            return [_by_contrast(group) for group in groups]
    twice = [volume for volume in station if sum(other.contrast is volume.contrast for other in station) > 1]
    raise ScanExcluded(
        Reason.DUPLICATE_SCAN,
        f"station {number} has more than one {twice[0].contrast} image, and neither times nor series numbers tell "
        "which of its images belong together",
    )


def choose(
    acquisitions: Sequence[Acquisition],
    number: int,
    rule: Duplicates,
    is_complete: Callable[[Acquisition], bool],
    agrees: Agrees,
    neighbours: Callable[[Acquisition], int],
) -> Choice:
    """Choose one acquisition of a station.

    A complete one comes before an incomplete one, whatever the rule. Among complete ones the rule decides; `best` is:
    one in which in phase is water + fat, then the one that reaches more of its neighbouring stations, then the later.

    Parameters
    ----------
    acquisitions
        In the order in which they were acquired.
    number
        Of the station, for messages.
    is_complete
        Whether an acquisition has all its contrasts, without missing slices, on one grid. One that has fewer slices
        than another is incomplete too.
    agrees
        As `Agrees`; asked only where it decides.
    neighbours
        How many of its neighbouring stations an acquisition overlaps or touches.

    Raises
    ------
    ScanExcluded
        `duplicate_scan` where the rule is to exclude.
    """
    if len(acquisitions) == 1:
        return Choice(acquisitions[0])
    if rule is Duplicates.EXCLUDE:
        message = f"station {number} was acquired {len(acquisitions)} times, and cohort duplicates are to be excluded"
        raise ScanExcluded(Reason.DUPLICATE_SCAN, message)
    left = [place for place, each in enumerate(acquisitions) if is_complete(each)]
    slices = {place: min(volume.grid.shape[2] for volume in acquisitions[place].values()) for place in left}
    left = [place for place in left if slices[place] == max(slices.values())]  # one that broke off has fewer
    if len(left) == 1:
        return Choice(acquisitions[left[0]], left[0] + 1, len(acquisitions), "the only complete one")
    left = left or list(range(len(acquisitions)))
    why = {Duplicates.EARLIER: "the earlier one", Duplicates.LATER: "the later one"}.get(rule, "")
    if rule is Duplicates.BEST:
        agreeing = [place for place in left if agrees(acquisitions[place])]
        if len(agreeing) == 1:
            why = "the only one in which in phase is water + fat"
        left = agreeing or left
        reach = [neighbours(acquisitions[place]) for place in left]
        if not why and min(reach) < max(reach):
            why = "the one that reaches more of its neighbours"
        left = [place for place, count in zip(left, reach, strict=True) if count == max(reach)]
        why = why or "the later one"
    place = left[0] if rule is Duplicates.EARLIER else left[-1]
    return Choice(acquisitions[place], place + 1, len(acquisitions), why)


def _by_contrast(volumes: Sequence[Volume]) -> Acquisition:
    return {volume.contrast: volume for volume in volumes if volume.contrast is not None}


def _each_once(group: Sequence[Volume]) -> bool:
    return len({volume.contrast for volume in group}) == len(group)


def _by_time(station: Sequence[Volume]) -> list[list[Volume]]:
    if any(volume.acquired_s is None for volume in station):
        return []
    ordered = sorted(station, key=lambda volume: volume.acquired_s or 0.0)
    groups = [list(group) for _, group in groupby(ordered, key=lambda volume: volume.acquired_s)]
    # contrasts that each have a time of their own do not say which belong together
    return (
        groups if any(len(group) > 1 for group in groups) or len({volume.contrast for volume in station}) == 1 else []
    )


def _by_series_number(station: Sequence[Volume]) -> list[list[Volume]]:
    numbers = [volume.series_number for volume in station]
    if None in numbers or len(set(numbers)) < len(numbers):
        return []
    ordered = sorted(station, key=lambda volume: volume.series_number or 0)
    groups = [[ordered[0]]]
    for before, volume in pairwise(ordered):
        apart = (volume.series_number or 0) - (before.series_number or 0) > 1
        if apart or volume.contrast in {each.contrast for each in groups[-1]}:
            groups.append([])
        groups[-1].append(volume)
    return groups
