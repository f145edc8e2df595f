"""Put the volumes of a scan in order: stations from head to feet, all contrasts each, everything checked.

Where several things are wrong the most fundamental is reported, in this order: files that cannot be read, patient ids,
geometry that cannot be meant, unidentified contrasts (all before the volumes come here); stations with several
acquisitions that nothing distinguishes, truncated pixels, a contrast missing altogether, stations missing, stations too
many, a contrast missing in a station, images of different visits, missing slices, grids that differ, scaling of values,
echo times, gaps.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.contrast import by_echo_time
from dixonflow.rawdata.geometry import unexpected
from dixonflow.rawdata.repeated_stations import Acquisition, Agrees, Choice, acquisitions_of, choose
from dixonflow.rawdata.station_checks import MAX_DAYS_APART, TOUCHING_MM, check_volumes, days_apart, difference
from dixonflow.rawdata.volumes import Volume
from dixonflow.vocabulary import DIXON, Contrast, Duplicates, Reason

SAME_STATION_OVERLAP = 0.5
"""Volumes that share more of their length than this are of one station; neighbouring stations share far less."""


COMPOSED_RATIO, COMPOSED_SHARE = 1.25, 0.9
"""A volume that is this much longer than the stations inside it, and filled by them to this part, is composed."""


@dataclass(frozen=True)
class ArrangedStations:
    """The stations of a scan.

    Attributes
    ----------
    stations
        From head to feet, each with all contrasts on one grid.
    notes
        What was left out or chosen.
    repeated
        Stations that were acquired more than once, by number from 1, and which acquisition is used of how many.
    """

    stations: list[Mapping[Contrast, Volume]]
    notes: tuple[str, ...] = ()
    repeated: Mapping[int, tuple[int, int]] | None = None


@dataclass(frozen=True)
class Protocol:
    """What a scan has to consist of.

    Attributes
    ----------
    contrasts
        Images of each station.
    n_stations
        Number of stations of a complete scan; None takes as many as there are.
    duplicates
        Which acquisition of a station is used that was acquired more than once.
    """

    contrasts: tuple[Contrast, ...] = DIXON
    n_stations: int | None = None
    duplicates: Duplicates = Duplicates.BEST


def arrange(
    volumes: Sequence[Volume],
    protocol: Protocol,
    notes: Sequence[str] = (),
    agrees: Agrees = lambda acquisition: True,
) -> ArrangedStations:
    """Sort volumes into stations and check that the scan is whole.

    Images that the scanner put together from stations are one station where there is no other; else they are left out.
    They are known by their tags, else as volumes that several stations fill.

    Parameters
    ----------
    volumes
        In any order. Volumes without a contrast are used where the echo times of a station tell it, else left out.
    notes
        What was left out before, for messages about what is missing.
    agrees
        Whether in phase is water + fat in an acquisition.

    Raises
    ------
    ScanExcluded
        With the most fundamental reason, see the module's description.
    """
    volumes, said = _without_composed(volumes)
    expected = 1 if any(volume.composed for volume in volumes) else protocol.n_stations
    notes = [*notes, *said]
    known = sorted((volume for volume in volumes if volume.contrast), key=_place)
    known, said = _without_spanning(known)
    notes += said
    nameless = [volume for volume in volumes if not volume.contrast]
    stations = _same_place(known)
    if set(protocol.contrasts) == set(DIXON):
        nameless = _name_by_echo_time(stations, nameless)
    notes += [f"{each.name}: its tags name no contrast, {each.grid.shape[2]} slices" for each in nameless]
    choices, said = _choices(stations, protocol, agrees)
    notes += said
    whole = [choice.volumes for choice in choices]
    left_out = f" (left out: {'; '.join(notes)})" if notes else ""
    _check_counts(whole, protocol.contrasts, expected, left_out)
    check_volumes(whole, protocol.contrasts)
    repeated = {number: (each.number, each.count) for number, each in enumerate(choices, 1) if each.count > 1}
    for number, choice in enumerate(choices, 1):
        if choice.count > 1:
            days = days_apart(stations[number - 1])
            times = f"{choice.count} times" + (f", {days} days apart" if days > MAX_DAYS_APART else "")
            notes.append(f"station {number} was acquired {times}: acquisition {choice.number} is used, {choice.why}")
    oblique = [
        number for number, station in enumerate(whole, 1) for volume in station.values() if volume.oblique is not None
    ]
    notes += [
        f"station {number} is oblique: resampled upright, with the coverage of the box around it" for number in oblique
    ]
    notes += [f"stations {number} and {number + 1} touch without overlap" for number in _touching(whole)]
    return ArrangedStations(whole, tuple(notes), repeated)


def _check_counts(
    whole: Sequence[Acquisition], contrasts: Sequence[Contrast], expected: int | None, left_out: str
) -> None:
    """Check that no station and no contrast is missing."""
    for station in whole:
        for volume in station.values():
            if volume.truncated:
                raise ScanExcluded(Reason.TRUNCATED_PIXELS, volume.truncated)
    present = {contrast for station in whole for contrast in station}
    for contrast in contrasts:
        if contrast not in present:
            raise ScanExcluded(Reason.MISSING_CONTRAST, f"no {contrast} image in the scan{left_out}")
    if expected is not None and len(whole) < expected:
        raise ScanExcluded(Reason.MISSING_STATION, f"{len(whole)} of {expected} stations{_gaps(whole)}{left_out}")
    if expected is not None and len(whole) > expected:
        raise unexpected(f"{len(whole)} stations, expected {expected}")
    for number, station in enumerate(whole, 1):
        for contrast in contrasts:
            if contrast not in station:
                raise ScanExcluded(Reason.MISSING_CONTRAST, f"station {number} has no {contrast} image{left_out}")


def _without_composed(volumes: Sequence[Volume]) -> tuple[list[Volume], list[str]]:
    stations = [volume for volume in volumes if not volume.composed]
    composed = [volume for volume in volumes if volume.composed]
    if not any(volume.contrast for volume in stations):
        return composed or stations, ["the images are composed on the scanner"] if composed else []
    counts: Counter[str] = Counter()
    for volume in composed:
        counts[volume.name.split(" (")[0]] += volume.grid.shape[2]
    return stations, [f"{name}: composed on the scanner, {count} slices" for name, count in sorted(counts.items())]


def _without_spanning(volumes: Sequence[Volume]) -> tuple[list[Volume], list[str]]:
    """Leave out volumes that stations fill: the scanner composed them, though no tag says so."""
    spans = [(volume.low_mm, volume.high_mm) for volume in volumes]
    filled = [_is_filled(span, spans) for span in spans]
    stations = [volume for volume, composed in zip(volumes, filled, strict=True) if not composed]
    return stations, [
        f"{volume.name}: {volume.n_slices} slices over several stations, taken as composed on the scanner"
        for volume, composed in zip(volumes, filled, strict=True)
        if composed
    ]


def _is_filled(span: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    """Whether shorter volumes at two places or more fill a volume from end to end (lowest and highest position)."""
    low, high = span
    parts = [
        (bottom, top)
        for bottom, top in others
        if (top - bottom) * COMPOSED_RATIO < high - low
        and min(high, top) - max(low, bottom) > SAME_STATION_OVERLAP * (top - bottom)
    ]
    places: list[tuple[float, float]] = []
    covered_mm, reached = 0.0, high
    for bottom, top in sorted(parts, key=lambda part: -part[1]):
        if not places or _overlap_share((bottom, top), places[-1]) <= SAME_STATION_OVERLAP:
            places.append((bottom, top))
        covered_mm += max(min(top, reached) - max(bottom, low), 0.0)
        reached = min(reached, max(bottom, low))
    return len(places) > 1 and covered_mm > COMPOSED_SHARE * (high - low)


def _choices(
    stations: Sequence[Sequence[Volume]], protocol: Protocol, agrees: Agrees
) -> tuple[list[Choice], list[str]]:
    told_apart = [acquisitions_of(station, number) for number, station in enumerate(stations, 1)]
    each = [acquisitions for acquisitions, _ in told_apart]
    choices = []
    for place, acquisitions in enumerate(each):
        adjacent = [stations[other] for other in (place - 1, place + 1) if 0 <= other < len(stations)]

        def neighbours(acquisition: Acquisition, adjacent: Sequence[Sequence[Volume]] = adjacent) -> int:
            return sum(any(_reach(own, other) for own in acquisition.values() for other in side) for side in adjacent)

        choices.append(
            choose(
                acquisitions,
                place + 1,
                protocol.duplicates,
                lambda acquisition: _is_complete(acquisition, protocol.contrasts),
                agrees,
                neighbours,
            )
        )
    return choices, [note for _, notes in told_apart for note in notes]


def _is_complete(acquisition: Acquisition, contrasts: Sequence[Contrast]) -> bool:
    if any(contrast not in acquisition for contrast in contrasts):
        return False
    volumes = [acquisition[contrast] for contrast in contrasts]
    alike = all(not difference(volume.grid, volumes[0].grid) for volume in volumes)
    return alike and not any(volume.flaw or volume.truncated for volume in volumes)


def _reach(volume: Volume, other: Volume) -> bool:
    return min(volume.high_mm, other.high_mm) - max(volume.low_mm, other.low_mm) >= -TOUCHING_MM


def _place(volume: Volume) -> tuple[float, float, str, str]:
    return -(volume.low_mm + volume.high_mm), -volume.high_mm, str(volume.contrast), volume.name


def _share(volume: Volume, other: Volume) -> float:
    return _overlap_share((volume.low_mm, volume.high_mm), (other.low_mm, other.high_mm))


def _overlap_share(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Part of the shorter of two spans that both have."""
    return (min(one[1], other[1]) - max(one[0], other[0])) / min(one[1] - one[0], other[1] - other[0])


def _same_place(volumes: Sequence[Volume]) -> list[list[Volume]]:
    stations: list[list[Volume]] = []
    for volume in volumes:
        if stations and _share(volume, stations[-1][0]) > SAME_STATION_OVERLAP:
            stations[-1].append(volume)
        else:
            stations.append([volume])
    return stations


def _name_by_echo_time(stations: list[list[Volume]], nameless: Sequence[Volume]) -> list[Volume]:
    """Add the two echoes to stations where no tag names them and nothing but the echo time can.

    Returns
    -------
    The others.
    """
    named_ones = []
    for station in stations:
        if {volume.contrast for volume in station} & {Contrast.IN_PHASE, Contrast.OPPOSED_PHASE}:
            continue
        fitting = [volume for volume in nameless if any(difference(volume.grid, other.grid) == "" for other in station)]
        times = sorted({volume.echo_time_ms for volume in fitting}, key=lambda time: time or 0.0)
        repeats = sum(volume.contrast is Contrast.WATER for volume in station)
        if len(times) != 2 or len(fitting) > 2 * max(repeats, 1):
            continue
        contrasts = by_echo_time((times[0], times[1]))
        for volume in fitting if contrasts else ():
            named = dict(zip(times, contrasts or (), strict=True))
            station.append(replace(volume, contrast=named[volume.echo_time_ms]))
            named_ones.append(volume)
    return [volume for volume in nameless if not any(volume is one for one in named_ones)]


def _touching(stations: Sequence[Mapping[Contrast, Volume]]) -> list[int]:
    firsts = [next(iter(station.values())) for station in stations]
    return [
        number
        for number, (upper, lower) in enumerate(pairwise(firsts), 1)
        if lower.high_mm - upper.low_mm <= TOUCHING_MM
    ]


def _gaps(stations: Sequence[Mapping[Contrast, Volume]]) -> str:
    firsts = [next(iter(station.values())) for station in stations]
    gaps = [number for number, (upper, lower) in enumerate(pairwise(firsts), 1) if lower.high_mm <= upper.low_mm]
    return f", gap after number {gaps[0]} of those found" if gaps else ""
