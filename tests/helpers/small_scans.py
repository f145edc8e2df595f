"""Stations of phantoms that are small enough to be made and segmented in a second."""

from collections.abc import Sequence
from functools import cache

from dixonflow.imaging.station import Station
from dixonflow.phantom.anatomy.participant import Participant, draw_participant
from dixonflow.phantom.anatomy.render import Anatomy, render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.protocol import Protocol, StationGeometry, nako_protocol

_FIELD_MM = (240.0, 192.0, 108.0)
_TOP_MM, _OVERLAP_MM = 250.0, 24.0
"""Two stations over the belly."""


@cache
def _body(seed: int) -> tuple[Participant, Anatomy]:
    participant = draw_participant(seed)
    return participant, render_anatomy(participant, 4.0)


@cache
def trunk_stations(
    session: int = 0, spacing_mm: float = 6.0, seed: int = 31, field_mm: tuple[float, float, float] = _FIELD_MM
) -> Sequence[Station]:
    """Two short stations of a trunk, a second of work for the network; each session has noise of its own."""
    x, y, z = (round(length / spacing_mm) for length in field_mm)
    depths = (_TOP_MM, _TOP_MM + field_mm[2] - _OVERLAP_MM)
    stations = tuple(StationGeometry((x, y, z), (spacing_mm,) * 3, depth) for depth in depths)
    return acquire(*_body(seed), Protocol("small", stations), session=session)


@cache
def nako_stations(session: int = 0, seed: int = 32, scale: float = 0.09) -> Sequence[Station]:
    """The four stations of NAKO in coarse voxels, of 1.4 mm over `scale` in plane."""
    return acquire(*_body(seed), nako_protocol(scale, 0.25), session=session)
