"""Slices of a series that have one position: echoes and points in time are volumes of their own, copies are dropped."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.pixels import read_slices
from dixonflow.rawdata.dicom.slice_header import SliceHeader

SAME_POSITION_DECIMALS = 2
"""Positions that agree to this many decimals of a millimetre are one."""


@dataclass(frozen=True)
class SingleVolumes:
    """Volumes of a series, each of which has one slice at a position where that can be had.

    Attributes
    ----------
    volumes
        One per echo, by echo time.
    notes
        What was left out.
    """

    volumes: tuple[tuple[SliceHeader, ...], ...]
    notes: tuple[str, ...] = ()


def without_repeats(
    slices: Sequence[SliceHeader],
    name: str,
    time_point: int,
    positions_mm: Callable[[Sequence[SliceHeader]], NDArray[np.float64]],
) -> SingleVolumes:
    """Take the slices of a series apart that have one position.

    A series whose positions differ is given as it is, so that what its slices disagree in is seen. Else each echo is a
    volume. Within an echo, exact copies are dropped. What then still has one position is a point in time, by
    TemporalPosition tags or, without them, by the order of the instance numbers. Slices that none of this explains stay
    together: their stack is found to be flawed.

    Parameters
    ----------
    slices
        Magnitude slices of one series and contrast.
    name
        How notes call the series.
    time_point
        Which point in time is taken, from 1.
    positions_mm
        Gives positions along the normal.

    """
    places = np.round(positions_mm(slices), SAME_POSITION_DECIMALS)
    if len(set(places.tolist())) == len(slices):
        return SingleVolumes((tuple(slices),))
    echoes: dict[float | None, list[int]] = defaultdict(list)
    for index, header in enumerate(slices):
        echoes[None if header.echo_time_ms is None else round(header.echo_time_ms, 2)].append(index)
    if None in echoes or len({frozenset(places[indices].tolist()) for indices in echoes.values()}) > 1:
        echoes = {0.0: list(range(len(slices)))}  # no echoes of one volume: what differs is seen later
    volumes, notes = [], []
    for _, indices in sorted(echoes.items(), key=lambda item: item[0] or 0.0):
        volume, said = _one_time(slices, indices, places, name, time_point)
        volumes.append(volume)
        notes += [note for note in said if note not in notes]
    return SingleVolumes(tuple(volumes), tuple(notes))


def _one_time(
    slices: Sequence[SliceHeader], indices: list[int], places: NDArray[np.float64], name: str, time_point: int
) -> tuple[tuple[SliceHeader, ...], list[str]]:
    """Slices of one point in time, and what is to be said."""
    notes = []
    kept = _without_copies(slices, indices, lambda index: (float(places[index]), slices[index].time_point))
    if len(kept) < len(indices):
        notes.append(f"{name}: {len(indices) - len(kept)} exact copies of slices were dropped")
    times = _points_in_time(slices, kept, places)
    if len(times) < 2:
        return tuple(slices[index] for index in kept), notes
    chosen = min(time_point, len(times))
    notes.append(f"{name}: {len(times)} points in time, number {chosen} is used")
    return tuple(slices[index] for index in times[chosen - 1]), notes


def _points_in_time(slices: Sequence[SliceHeader], kept: list[int], places: NDArray[np.float64]) -> list[list[int]]:
    """Slices of each point in time; one list of all where they form none."""
    counts = Counter(float(places[index]) for index in kept)
    if len(set(counts.values())) > 1 or len(kept) == len(counts):
        return [kept]
    times: dict[Hashable, list[int]] = defaultdict(list)
    numbers = [slices[index].time_point for index in kept]
    if None not in numbers and len(set(numbers)) == len(kept) // len(counts):
        for index in kept:
            times[slices[index].time_point].append(index)
    elif None not in [slices[index].instance for index in kept]:
        at_place: dict[float, list[int]] = defaultdict(list)
        for index in kept:
            at_place[float(places[index])].append(index)
        for same in at_place.values():
            instances = [slices[index].instance or 0 for index in same]
            if len(set(instances)) < len(same):
                return [kept]
            for rank, index in enumerate(sorted(same, key=lambda index: slices[index].instance or 0)):
                times[rank].append(index)
    else:
        return [kept]
    if any(len({float(places[index]) for index in each}) != len(counts) for each in times.values()):
        return [kept]
    return [each for _, each in sorted(times.items(), key=lambda item: item[0])]  # type: ignore[arg-type,return-value]


def _without_copies(
    slices: Sequence[SliceHeader], indices: list[int], place_of: Callable[[int], Hashable]
) -> list[int]:
    """Leave out slices that agree with an earlier one of their place in every pixel and in what pixels mean."""
    at_place: dict[Hashable, list[int]] = defaultdict(list)
    for index in indices:
        at_place[place_of(index)].append(index)
    kept = []
    for same in at_place.values():
        if len(same) == 1:
            kept += same
            continue
        seen = set()
        for index in same:
            content = _content(slices[index])
            if content not in seen:
                seen.add(content)
                kept.append(index)
    return sorted(kept)


def content_of(slices: Sequence[SliceHeader]) -> tuple[object, ...]:
    """What makes two volumes copies of each other: places and pixels of all slices. Reads the pixels."""
    return tuple((tuple(round(x, SAME_POSITION_DECIMALS) for x in each.position_mm), _content(each)) for each in slices)


def _content(header: SliceHeader) -> tuple[object, ...]:
    """What makes two slices copies of each other; one that cannot be read is the copy of none."""
    try:
        pixels = read_slices([header])
    except ScanExcluded:
        return (id(header),)
    meaning = (
        *(header.rows, header.columns, header.scale, header.padding, header.orientation),
        *(header.row_spacing_mm, header.column_spacing_mm, header.echo_time_ms, header.image_type),
    )
    return *meaning, pixels.dtype.str, hashlib.sha256(pixels.tobytes()).digest()
