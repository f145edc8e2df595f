"""What the slices of a series have in common, and the planes that they lie in."""

from collections import Counter
from collections.abc import Callable, Sequence

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.vocabulary import Reason

ORIENTATION_TOLERANCE = 1e-3

_ONE_PER_SERIES: dict[str, Callable[[SliceHeader], object]] = {
    "bits": lambda header: (header.bits_allocated, header.bits_stored, header.signed),
    "echo time": lambda header: None if header.echo_time_ms is None else round(header.echo_time_ms, 2),
    "padding": lambda header: header.padding,
    "whether values are scaled": lambda header: (
        header.slope is None,
        header.intercept is None,
        header.display_slope is None,
    ),
}
"""What all slices of a series have in common. A tag that is there on some of them only has no default: its value where
it is missing is not known."""


def plane_of(header: SliceHeader, firsts: list[SliceHeader]) -> int:
    """Number of the plane and matrix of a slice in its series: of a localizer in three planes each is a stack."""
    for number, first in enumerate(firsts):
        turned = max(abs(a - b) for a, b in zip(header.orientation, first.orientation, strict=True))
        if (header.rows, header.columns) == (first.rows, first.columns) and turned <= ORIENTATION_TOLERANCE:
            return number
    firsts.append(header)
    return len(firsts) - 1


def scattered(slices: Sequence[SliceHeader]) -> int:
    """Number of planes of a series of which none has most of the slices; 0 for all others."""
    if len({(header.rows, header.columns, header.orientation) for header in slices}) == 1:
        return 0
    firsts: list[SliceHeader] = []
    counts = Counter(plane_of(header, firsts) for header in slices)
    return len(counts) if 2 * max(counts.values()) <= len(slices) and len(slices) > 1 else 0


def check_one_plane(slices: Sequence[SliceHeader], name: str) -> None:
    """Check that most slices of a series lie in one plane. Raises ScanExcluded: `spacing_mismatch`."""
    planes = scattered(slices)
    if planes:  # a localizer, or projections round the body
        raise ScanExcluded(Reason.SPACING_MISMATCH, f"{name}: its {len(slices)} slices lie in {planes} planes")


def check_alike(slices: Sequence[SliceHeader], name: str) -> None:
    """Check that slices can be of one volume.

    Raises
    ------
    ScanExcluded
        `spacing_mismatch` where they differ in matrix, spacing or orientation, `contradictory_headers` where they
        differ in what their values mean, or it cannot be meant.
    """
    first = slices[0]
    for header in slices:
        same_matrix = (header.rows, header.columns) == (first.rows, first.columns)
        lengths = (header.row_spacing_mm, header.column_spacing_mm, *header.orientation)
        wanted = (first.row_spacing_mm, first.column_spacing_mm, *first.orientation)
        if not same_matrix or max(abs(a - b) for a, b in zip(lengths, wanted, strict=True)) > ORIENTATION_TOLERANCE:
            raise ScanExcluded(
                Reason.SPACING_MISMATCH, f"{name}: its slices differ in matrix, pixel spacing or orientation"
            )
    for what, value_of in _ONE_PER_SERIES.items():
        if len({value_of(header) for header in slices}) > 1:
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{name}: its slices differ in {what}")
    for header in slices:
        if not 0 < header.bits_stored <= header.bits_allocated or header.high_bit != header.bits_stored - 1:
            raise ScanExcluded(  # PS3.5 8.1.1
                Reason.CONTRADICTORY_HEADERS,
                f"{name}: {header.bits_stored} bits of {header.bits_allocated} with high bit "
                f"{header.high_bit} are inconsistent",
            )
        if header.slope == 0 or header.display_slope == 0:
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{name}: the rescale slope is 0")
