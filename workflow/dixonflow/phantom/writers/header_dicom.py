"""DICOM headers of a two-point Dixon series, as Siemens scanners of the two cohorts write them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage

from dixonflow.imaging.station import Station
from dixonflow.vocabulary import Contrast, Layout, ScanId

CONTRAST_ORDER = (Contrast.IN_PHASE, Contrast.OPPOSED_PHASE, Contrast.FAT, Contrast.WATER)
"""Order in which the scanner numbers the four series of a station (facts of UK Biobank)."""

SUFFIXES = {Contrast.IN_PHASE: "in", Contrast.OPPOSED_PHASE: "opp", Contrast.FAT: "F", Contrast.WATER: "W"}
"""Last part of the series description."""

STUDY_DATE = "20160504"
FIRST_SERIES_NUMBER = 5  # localizers come first on a scanner
SECONDS_PER_STATION = 20

_IMAGE_TYPE_WORDS = {
    Contrast.IN_PHASE: "IN_PHASE",
    Contrast.OPPOSED_PHASE: "OUT_PHASE",
    Contrast.FAT: "FAT",
    Contrast.WATER: "WATER",
}
_SCAN_OPTIONS = {Contrast.FAT: "DIXF", Contrast.WATER: "DIXW"}


@dataclass(frozen=True)
class Scanner:
    """What the headers say about the machine and the sequence. Values and their sources: `scanners.json`."""

    manufacturer: str
    model: str
    software: str
    field_strength_t: float
    imaging_frequency_mhz: float
    repetition_time_ms: float
    first_echo_ms: float
    second_echo_ms: float
    flip_angle_deg: float
    pixel_bandwidth_hz: float
    study_description: str
    free_breathing_series: str
    breath_hold_series: str

    def echo_time_ms(self, contrast: Contrast) -> float:
        """Opposed phase is the first echo, in phase the second; the computed images carry the first (not verified)."""
        return self.second_echo_ms if contrast is Contrast.IN_PHASE else self.first_echo_ms

    def series_description(self, contrast: Contrast, breath_hold: bool) -> str:
        """Name of the series as it appears in (0008,103E)."""
        stem = self.breath_hold_series if breath_hold else self.free_breathing_series
        return f"{stem}_{SUFFIXES[contrast]}"


@cache
def scanner_of(layout: Layout) -> Scanner:
    """Scanner and sequence of a cohort; a BIDS-like folder is given those of NAKO.

    Raises
    ------
    KeyError
        If `scanners.json` lacks the layout.
    """
    text = resources.files(__package__).joinpath("scanners.json").read_text(encoding="utf-8")
    entry = json.loads(text)[Layout.NAKO if layout is Layout.BIDS else layout]
    return Scanner(**{name: entry[name] for name in Scanner.__dataclass_fields__})


def uid(*parts: object) -> UID:
    """DICOM identifier that depends on `parts` only (a UUID-derived one, `2.25.`, DICOM PS3.5 B.2)."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()
    return UID(f"2.25.{int.from_bytes(digest)}")


def patient_id(layout: Layout, scan: ScanId) -> str:
    """What (0010,0020) holds: the eid for UK Biobank; id and visit, `100012_30`, for NAKO.

    Public NAKO converters take what stands before the underscore for the id. Public UK Biobank pipelines show that the
    tag may also hold a pseudonym which is not the eid of the file name; these files do not imitate that.
    """
    return f"{scan.participant}_{scan.session}" if layout is Layout.NAKO else scan.participant


def first_corner_lps_mm(station: Station) -> tuple[float, float, float]:
    """Centre of the first pixel of the lowest slice in DICOM's patient coordinates (left, posterior, superior), mm.

    Rows run to the left and columns to the back, so the first pixel is the voxel furthest right and anterior.
    """
    x, y, _ = station.shape
    right, anterior, superior, _ = station.affine @ np.array([x - 1, y - 1, 0, 1], dtype=np.float64)
    return -float(right), -float(anterior), float(superior)


def series_header(
    layout: Layout, scan: ScanId, station: Station, contrast: Contrast, *, breath_hold: bool, bits_stored: int
) -> Dataset:
    """Everything that all slices of one series share, in one data set.

    UK Biobank names the contrast in ImageType, in ScanOptions, in the private text (0051,1019) and in the series
    description. NAKO's ImageType is kept silent about it, so that a reader needs the rule that public NAKO converters
    use: (0051,1019) holds DIXF or DIXW, else the longer echo time is in phase. The text of a real (0051,1019) has more
    parts than here (not verified), and the vendor's CSA headers (0029,xx10) are left out.

    Parameters
    ----------
    station
        Grid of the series; its index gives series number and times.
    bits_stored
        12 as Siemens scanners store, or 16.

    Returns
    -------
    Dataset
        Without SOPInstanceUID, InstanceNumber, ImagePositionPatient, SliceLocation and PixelData.
    """
    ds = Dataset()
    _add_identity(ds, layout, scan, station, contrast)
    _add_sequence(ds, layout, station, contrast, breath_hold)
    x, y, _ = station.shape
    spacing_x, spacing_y, spacing_z = (round(value, 6) for value in station.spacing_mm)
    ds.SliceThickness = ds.SpacingBetweenSlices = spacing_z
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.FrameOfReferenceUID = uid(layout, scan.name, "frame")
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = y, x
    ds.PixelSpacing = [spacing_y, spacing_x]
    ds.BitsAllocated = 16
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = 0
    return ds


def _add_identity(ds: Dataset, layout: Layout, scan: ScanId, station: Station, contrast: Contrast) -> None:
    """Whose scan, which series, when."""
    order = CONTRAST_ORDER.index(contrast)
    number = FIRST_SERIES_NUMBER + 4 * station.index + order
    started = station.index * SECONDS_PER_STATION
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = MRImageStorage
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
    ds.StudyTime = _clock(0)
    ds.AcquisitionTime = _clock(started)
    ds.SeriesTime = ds.ContentTime = _clock(started + SECONDS_PER_STATION // 2 + order)
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.PatientBirthDate = ds.PatientSex = ""
    ds.StudyDescription = scanner_of(layout).study_description
    ds.PatientName = ds.PatientID = patient_id(layout, scan)
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = uid(layout, scan.name, "study")
    ds.SeriesInstanceUID = uid(layout, scan.name, "series", number)
    ds.StudyID = "1"
    ds.SeriesNumber = number
    ds.AcquisitionNumber = 1


def _add_sequence(ds: Dataset, layout: Layout, station: Station, contrast: Contrast, breath_hold: bool) -> None:
    """Machine, pulse sequence and contrast."""
    scanner = scanner_of(layout)
    words = [_IMAGE_TYPE_WORDS[contrast]] if layout is Layout.UKB else []
    options = _SCAN_OPTIONS.get(contrast, "")
    stem = scanner.breath_hold_series if breath_hold else scanner.free_breathing_series
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", *words, "NORM", "DIS2D"]
    ds.Modality = "MR"
    ds.Manufacturer = scanner.manufacturer
    ds.ManufacturerModelName = scanner.model
    ds.SoftwareVersions = scanner.software
    ds.MagneticFieldStrength = scanner.field_strength_t
    ds.ImagingFrequency = scanner.imaging_frequency_mhz
    ds.ImagedNucleus = "1H"
    ds.SeriesDescription = scanner.series_description(contrast, breath_hold)
    ds.ProtocolName = stem if layout is Layout.UKB else f"{stem}_{station.index + 1}"
    ds.ScanningSequence = "GR"
    ds.SequenceVariant = ["SP", "OSP"]
    ds.SequenceName = "*fl3d2"
    ds.ScanOptions = options
    ds.MRAcquisitionType = "3D"
    ds.RepetitionTime = scanner.repetition_time_ms
    ds.EchoTime = scanner.echo_time_ms(contrast)
    ds.EchoNumbers = 1 if scanner.echo_time_ms(contrast) == scanner.first_echo_ms else 2
    ds.EchoTrainLength = 2
    ds.NumberOfAverages = 1
    ds.PixelBandwidth = scanner.pixel_bandwidth_hz
    ds.FlipAngle = scanner.flip_angle_deg
    private = ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    private.add_new(0x19, "LO", f"A1/{options}" if options else "A1")


def _clock(seconds: int) -> str:
    """DICOM time of day, `seconds` after the study began."""
    seconds += 10 * 3600
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}.000000"
