"""Stations that were acquired more than once: distinguish the acquisitions, and choose one by a stated rule."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.repeats import content_of
from dixonflow.rawdata.station_checks import echo_times_differ
from dixonflow.rawdata.volumes import NiftiVolume, Volume
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


def acquisitions_of(station: Sequence[Volume], number: int) -> tuple[list[Acquisition], list[str]]:
    """Volumes of one place, by acquisition, in the order in which they were acquired.

    Acquisitions are distinguished by day and time at which they began, else by their series numbers: those of one
    acquisition follow each other. What tells them apart must leave one with all contrasts that the station has. Where
    nothing does, volumes that are copies of others in every pixel are dropped first; only then pixels are read.

    Parameters
    ----------
    station
        All with a contrast.
    number
        Of the station, for messages.

    Returns
    -------
    acquisitions
        Each with what it has.
    notes
        Copies that were dropped.

    Raises
    ------
    ScanExcluded
        `duplicate_scan` where nothing tells them apart.
    """
    groups = _groups(station)
    notes: list[str] = []
    if not groups:
        station, notes = _without_copies(station)
        groups = _groups(station)
    if groups:
        return [_by_contrast(group) for group in groups], notes
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

    A complete one comes before an incomplete one, whatever the rule, and where a station has one image, an original
    before one that was derived from others. Among these the rule decides; `best` is: one in which in phase is
    water + fat, then the one that reaches more of its neighbouring stations, then the later.

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
        `duplicate_scan` where the rule is to exclude, or they are no repeats of each other: images that differ in echo
        time or in what they were derived to be.
    """
    if len(acquisitions) == 1:
        return Choice(acquisitions[0])
    if rule is Duplicates.EXCLUDE:
        message = f"station {number} was acquired {len(acquisitions)} times, and cohort duplicates are to be excluded"
        raise ScanExcluded(Reason.DUPLICATE_SCAN, message)
    left = [place for place, each in enumerate(acquisitions) if is_complete(each)]
    slices = {place: min(volume.n_slices for volume in acquisitions[place].values()) for place in left}
    left = [place for place in left if slices[place] == max(slices.values())]  # one that broke off has fewer
    if len(left) == 1:
        return Choice(acquisitions[left[0]], left[0] + 1, len(acquisitions), "the only complete one")
    complete = bool(left)
    left = _originals(acquisitions, left, number) if complete else list(range(len(acquisitions)))
    if len(left) == 1:
        return Choice(acquisitions[left[0]], left[0] + 1, len(acquisitions), "the only one not derived from others")
    why = {Duplicates.EARLIER: "the earlier one", Duplicates.LATER: "the later one"}.get(rule, "")
    if rule is Duplicates.BEST:
        agreeing = [place for place in left if complete and agrees(acquisitions[place])]
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


def _originals(acquisitions: Sequence[Acquisition], left: list[int], number: int) -> list[int]:
    """Acquisitions of one image that are not derived from others, if there are any.

    Raises
    ------
    ScanExcluded
        `duplicate_scan` where they are images of different kinds.
    """
    if any(len(acquisitions[place]) > 1 for place in left):
        return left
    images = {place: next(iter(acquisitions[place].values())) for place in left}
    kinds = {place: _derivation(image) for place, image in images.items()}
    kept = [place for place in left if not kinds[place]] or left
    differ = echo_times_differ([images[place] for place in kept])
    if differ:
        message = (
            f"station {number} has images with echo times from {differ[0]:g} to {differ[1]:g} ms: they are no repeats"
        )
        raise ScanExcluded(Reason.DUPLICATE_SCAN, message)
    if len({kinds[place] for place in kept}) > 1:
        message = f"station {number} has several images that were derived in different ways: they are no repeats"
        raise ScanExcluded(Reason.DUPLICATE_SCAN, message)
    return kept


def _derivation(volume: Volume) -> tuple[str, ...]:
    """What an image was derived to be, by its ImageType; empty for originals and where nothing says so."""
    if isinstance(volume.files, NiftiVolume):
        return ()
    words = tuple(word.strip() for word in volume.files[0].image_type.upper().split("\\"))
    return words if words[0] == "DERIVED" else ()


def _by_contrast(volumes: Sequence[Volume]) -> Acquisition:
    return {volume.contrast: volume for volume in volumes if volume.contrast is not None}


def _each_once(group: Sequence[Volume]) -> bool:
    return len({volume.contrast for volume in group}) == len(group)


def _groups(station: Sequence[Volume]) -> list[list[Volume]]:
    """The acquisitions of a station; none where nothing tells them apart."""
    if _each_once(station):
        return [list(station)]
    contrasts = {volume.contrast for volume in station}
    for groups in (_by_time(station), _by_series_number(station)):
        whole = any({volume.contrast for volume in group} == contrasts for group in groups)
        if len(groups) > 1 and whole and all(_each_once(group) for group in groups):
            return groups
    return []


def _without_copies(station: Sequence[Volume]) -> tuple[list[Volume], list[str]]:
    kept: list[Volume] = []
    seen: dict[object, Volume] = {}
    notes = []
    for volume in station:
        repeated = sum(volume.contrast is other.contrast for other in station) > 1
        if not repeated or isinstance(volume.files, NiftiVolume):
            kept.append(volume)
            continue
        content = (volume.contrast, content_of(volume.files))
        if content in seen:
            notes.append(f"{volume.name}: an exact copy of {seen[content].name} was dropped")
        else:
            kept.append(volume)
            seen[content] = volume
    return kept, notes


def _days(station: Sequence[Volume]) -> dict[int, int]:
    """Day of each volume by its identity; 0 for all where one has none: it has no place among the others."""
    dated = all(volume.day is not None for volume in station)
    return {id(volume): (volume.day or 0) if dated else 0 for volume in station}


def _by_time(station: Sequence[Volume]) -> list[list[Volume]]:
    if any(volume.acquired_s is None for volume in station):
        return []
    days = _days(station)

    def began(volume: Volume) -> tuple[int, float]:
        return days[id(volume)], volume.acquired_s or 0.0

    groups = [list(group) for _, group in groupby(sorted(station, key=began), key=began)]
    # contrasts that each have a time of their own do not say which belong together
    return (
        groups if any(len(group) > 1 for group in groups) or len({volume.contrast for volume in station}) == 1 else []
    )


def _by_series_number(station: Sequence[Volume]) -> list[list[Volume]]:
    days = _days(station)
    numbers = [(days[id(volume)], volume.series_number) for volume in station]
    if any(number is None for _, number in numbers) or len(set(numbers)) < len(numbers):
        return []
    ordered = sorted(station, key=lambda volume: (days[id(volume)], volume.series_number or 0))
    groups = [[ordered[0]]]
    for before, volume in pairwise(ordered):
        later = days[id(volume)] - days[id(before)] > 1  # midnight separates nothing
        apart = later or (volume.series_number or 0) - (before.series_number or 0) > 1
        if apart or volume.contrast in {each.contrast for each in groups[-1]}:
            groups.append([])
        groups[-1].append(volume)
    return groups
