"""What counts of the header of a DICOM slice."""

from dataclasses import dataclass, fields
from operator import attrgetter

from dixonflow.rawdata.acquisition import Scanner
from dixonflow.rawdata.raw_files import RawFile


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """The header of one slice: of a file, or of a frame of a file.

    Attributes
    ----------
    file
        The file that holds it.
    name
        How messages call it.
    frame
        Number of the frame in its file, from 0; None for a file that is one slice.
    component
        `M` for magnitude, `P` for phase, `R` and `I` for the parts of complex values; empty where nothing says so.
    position_mm
        Centre of the first pixel in DICOM's patient coordinates (left, posterior, superior).
    orientation
        Direction in which columns count up, then rows (unit vectors, left, posterior, superior).
    row_spacing_mm, column_spacing_mm
        Distance between rows and between columns.
    echo_time_ms
        None where the tag is missing.
    acquired_s
        Time of day when the measurement began, in seconds; None where the tag is missing.
    instance
        Number within its series; None where it is missing.
    time_point
        Number of the point in time in a series that repeats its slices; None where the header counts none.
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
    display_slope
        Philips' own scale slope (2005,100E), by which values are divided in addition: slope and intercept alone give
        the values that the console displays, scaled for each series on its own. None where there is none.
    pixel_offset, pixel_bytes
        Where the pixel data lies in the file and how long it is, for a file that is one uncompressed little-endian
        slice; None for all others, which pydicom decodes.
    """

    file: RawFile
    name: str
    position_mm: tuple[float, float, float]
    instance: int | None
    pixel_offset: int | None
    pixel_bytes: int | None
    frame: int | None
    transfer_syntax: str
    series_uid: str
    series_number: str
    series_description: str
    image_type: str
    component: str
    scan_options: str
    dixon_text: str
    patient_id: str
    echo_time_ms: float | None
    acquired_s: float | None
    time_point: int | None
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
    display_slope: float | None
    scanner: Scanner

    def moved(
        self,
        file: RawFile,
        position_mm: tuple[float, float, float],
        instance: int | None,
        pixel_offset: int,
        pixel_bytes: int | None,
    ) -> "SliceHeader":
        """Give the header of another slice that differs in these values alone."""
        return SliceHeader(file, file.name, position_mm, instance, pixel_offset, pixel_bytes, *_what_slices_share(self))

    @property
    def expected_bytes(self) -> int:
        """Pixel data that rows, columns and bits ask for."""
        return self.rows * self.columns * (self.bits_allocated // 8)

    @property
    def scale(self) -> tuple[float, float]:
        """Slope and intercept to apply to stored values.

        Philips: (stored x slope + intercept) / (slope x scale slope), the values before they were scaled for display
        (Chenevert et al., Transl. Oncol. 7:65, 2014; also in dcm2niix).
        """
        slope = 1.0 if self.slope is None else self.slope
        intercept = 0.0 if self.intercept is None else self.intercept
        if self.display_slope is None:
            return slope, intercept
        return 1.0 / self.display_slope, intercept / (slope * self.display_slope)


_what_slices_share = attrgetter(*(field.name for field in fields(SliceHeader)[6:]))
