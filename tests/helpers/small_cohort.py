"""A cohort for tests of the machinery: two short stations of a phantom's trunk per scan, in the shape of a BIDS folder.

One scan is a few seconds of work in all: what is tested is who does it, and how often.
"""

from collections.abc import Mapping
from pathlib import Path

from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.protocol import Protocol, StationGeometry
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.vocabulary import ScanId

SCANS = tuple(ScanId(f"700000{number}", "2") for number in range(3))
SCANS_PER_SHARD = 2
"""The three scans are a shard of two and a shard of one."""

_FIELD_MM = (240.0, 192.0, 108.0)
_TOP_MM, _OVERLAP_MM = 250.0, 24.0
"""The stations lie over the belly, and both together are no longer than one patch of the demo network."""


def make_small_cohort(folder: Path, spacings_mm: Mapping[ScanId, float]) -> None:
    """Write raw scans of one phantom participant below `folder`, each under an id and with noise of its own.

    Parameters
    ----------
    spacings_mm
        Voxel size of each scan in mm; it divides 12.
    """
    participant = draw_participant(31)
    anatomy = render_anatomy(participant, 4.0)
    for session, (scan, spacing_mm) in enumerate(spacings_mm.items()):
        x, y, z = (round(length / spacing_mm) for length in _FIELD_MM)
        depths = (_TOP_MM, _TOP_MM + _FIELD_MM[2] - _OVERLAP_MM)
        stations = tuple(StationGeometry((x, y, z), (spacing_mm,) * 3, depth) for depth in depths)
        write_bids(folder, scan, acquire(participant, anatomy, Protocol("small", stations), session=session))


def small_config(raw: str) -> str:
    """Configuration of a cohort in the folder `raw`."""
    sources = f"[{{layout: bids, folder: {raw}}}]"
    files = "withdrawn: withdrawn.txt, covariates: null"
    return f"cohort={{sources: {sources}, {files}, scans_per_shard: {SCANS_PER_SHARD}}}"
