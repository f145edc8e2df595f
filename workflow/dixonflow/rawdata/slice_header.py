"""What counts of the header of a DICOM slice."""

from dataclasses import dataclass
from zipfile import ZipInfo


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """The header of one slice.

    Attributes
    ----------
    entry
        The file inside the zip; its name need not be its own.
    name
        How messages call the file.
    position_mm
        Centre of the first pixel in DICOM's patient coordinates (left, posterior, superior).
    orientation
        Direction in which columns count up, then rows (unit vectors, left, posterior, superior).
    row_spacing_mm, column_spacing_mm
        Distance between rows and between columns.
    echo_time_ms
        None where the tag is missing.
    bits_stored, high_bit
        Bits of a stored value, and the number of the highest of them.
    thickness_mm, slice_spacing_mm
        As the header says; None where it says nothing. Positions count, these are compared with them.
    overlay_bits
        Bits above these that hold overlays.
    padding
        Lowest and highest stored value that stand for no data; None where the header names none.
    slope, intercept
        Stored value x slope + intercept is the image's value; None where the header says nothing.
    pixel_offset, pixel_bytes
        Where the pixel data lies in the inflated file; `pixel_bytes` is None where it is encapsulated (compressed).
    """

    entry: ZipInfo
    name: str
    transfer_syntax: str
    series_uid: str
    series_number: str
    series_description: str
    image_type: str
    scan_options: str
    dixon_text: str
    patient_id: str
    echo_time_ms: float | None
    position_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    row_spacing_mm: float
    column_spacing_mm: float
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    overlay_bits: frozenset[int]
    padding: tuple[int, int] | None
    thickness_mm: float | None
    slice_spacing_mm: float | None
    slope: float | None
    intercept: float | None
    pixel_offset: int
    pixel_bytes: int | None

    @property
    def expected_bytes(self) -> int:
        """Pixel data that rows, columns and bits ask for."""
        return self.rows * self.columns * (self.bits_allocated // 8)

    @property
    def scale(self) -> tuple[float, float]:
        """Slope and intercept to apply."""
        return 1.0 if self.slope is None else self.slope, 0.0 if self.intercept is None else self.intercept
