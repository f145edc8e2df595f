"""Write a scan as zips of single-slice DICOM files, in the shapes in which UK Biobank and NAKO deliver them.

The same input gives the same bytes: identifiers are hashes, dates are fixed. Slices are deflated, as in the cohorts'
zips, so that a reader pays for inflating; at level 1, which on a real MR crop takes a quarter of the default level's
time and leaves 61 % instead of 59 % of the size.
"""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from dixonflow.imaging.station import Station
from dixonflow.phantom.writers.header_dicom import CONTRAST_ORDER, SUFFIXES, first_corner_lps_mm, series_header, uid
from dixonflow.system.atomic import atomic_path
from dixonflow.vocabulary import DIXON, Contrast, Layout, ScanId

MANIFEST_NAME = "manifest.cvs"
"""UK Biobank's own spelling, as public loaders of its zips know it."""

_BREATH_HOLD_STATIONS = range(1, 4)
"""Of UK Biobank's six: the trunk; neck and legs are scanned during free breathing."""

_ZIP_TIME = (2016, 5, 4, 12, 0, 0)
_MANIFEST_DATE = "May 4, 2016 10:00:00 AM"
_PER_SLICE = [Tag("SOPInstanceUID"), Tag("InstanceNumber"), Tag("ImagePositionPatient"), Tag("SliceLocation")]


@dataclass(frozen=True)
class DicomFile:
    """One encoded slice: where it belongs and its bytes."""

    station: int
    contrast: Contrast
    sop_uid: str
    series_uid: str
    series_description: str
    content: bytes


def ukb_zip_name(scan: ScanId, array_index: int = 0) -> str:
    """`<eid>_20201_<instance>_<array index>.zip`."""
    return f"{scan.participant}_20201_{scan.session}_{array_index}.zip"


def nako_zip_name(scan: ScanId) -> str:
    """`<id>_<visit>.zip`."""
    return f"{scan.participant}_{scan.session}.zip"


def write_ukb(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """Write `<eid>_20201_<instance>_0.zip`: a flat zip of all slices of all series and a manifest.

    File names are identifiers and the files lie in their order, so that only tags tell where a slice belongs.

    Parameters
    ----------
    folder
        Made when missing.
    scan
        eid and instance.
    stations
        Head to feet, four contrasts each. Grids are written as they are.

    Returns
    -------
    Path
        The zip, which appears whole or not at all.

    Raises
    ------
    ValueError
        If a contrast is missing, or values are not whole numbers from 0 to 65535.

    Notes
    -----
    The manifest's date holds an unquoted comma, so its columns do not line up with its header: that is how it is
    delivered. Not verified against a real zip: the order of the manifest's columns, tags beyond those named in
    `header_dicom`, and whether slices are numbered from the feet, as here.
    """
    return write_zip(folder / ukb_zip_name(scan), ukb_entries(scan, stations))


def ukb_entries(scan: ScanId, stations: Sequence[Station]) -> list[tuple[str, bytes]]:
    """Names and contents of the files of `write_ukb`, the manifest last."""
    files = sorted(encoded_scan(Layout.UKB, scan, stations, feet_first=True), key=lambda file: file.sop_uid)
    rows = ["filename,patientid,studyid,date,modality,seriesid,series discription,uncompressed size (in bytes)"]
    study = uid(Layout.UKB, scan.name, "study")
    rows += [
        f"{file.sop_uid}.dcm,{scan.participant},{study},{_MANIFEST_DATE},MR,{file.series_uid},"
        f"{file.series_description},{len(file.content)}"
        for file in files
    ]
    entries = [(f"{file.sop_uid}.dcm", file.content) for file in files]
    return [*entries, (MANIFEST_NAME, ("\n".join(rows) + "\n").encode())]


def write_nako(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """Write `<id>_<visit>.zip` with a folder per contrast, `3D_GRE_TRA_{in,opp,F,W}`, each with its stations' slices.

    Parameters and errors as for `write_ukb`; the session is the visit code (30 baseline, 60 follow-up).

    Notes
    -----
    Known from public converters: the folder names, one zip per participant, the ids' six digits, PatientID beginning
    with the id, ProtocolName ending in the station's number. Not verified: whether one zip holds all four contrasts
    (converters also know a zip per contrast, in a folder per contrast), the zip's name, the folders inside it, slice
    count and overlap of the stations, and the numbering of slices, which is from the head here.
    """
    files = sorted(encoded_scan(Layout.NAKO, scan, stations, feet_first=False), key=lambda file: file.sop_uid)
    stem = f"{scan.participant}_{scan.session}"
    entries = [(f"{stem}/3D_GRE_TRA_{SUFFIXES[file.contrast]}/{file.sop_uid}.dcm", file.content) for file in files]
    return write_zip(folder / nako_zip_name(scan), entries)


def write_zip(path: Path, entries: Sequence[tuple[str, bytes]]) -> Path:
    """Write a zip with fixed times, so that equal entries give equal bytes; it appears whole or not at all."""
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, content in entries:
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=1)
    return path


def encoded_scan(
    layout: Layout, scan: ScanId, stations: Sequence[Station], *, feet_first: bool, description: str = ""
) -> Iterator[DicomFile]:
    """Encode all slices of a scan.

    Parameters
    ----------
    layout
        Whose headers to imitate: UK Biobank or NAKO.
    feet_first
        Whether slices are numbered from the feet.
    description
        Series description of all series; that of the layout by default.
    """
    for station in stations:
        if set(station.images) != set(DIXON):
            raise ValueError(f"station {station.index} needs all of {', '.join(DIXON)}")
        for contrast in CONTRAST_ORDER:
            yield from _encode_series(layout, scan, station, contrast, feet_first, description)


def _encode_series(
    layout: Layout, scan: ScanId, station: Station, contrast: Contrast, feet_first: bool, description: str
) -> Iterator[DicomFile]:
    pixels = _slices(station.images[contrast])
    bits_stored = 12 if int(pixels.max()) < 4096 else 16  # Siemens scanners store 12
    header = series_header(
        layout,
        scan,
        station,
        contrast,
        breath_hold=station.index in _BREATH_HOLD_STATIONS,
        bits_stored=bits_stored,
    )
    if description:
        header.SeriesDescription = description
    encode = _slice_encoder(header)
    left, posterior, superior = first_corner_lps_mm(station)
    count = len(pixels)
    for index in range(count):
        number = index + 1 if feet_first else count - index
        z_mm = superior + index * station.spacing_mm[2]
        sop_uid = uid(header.SeriesInstanceUID, number)
        content = encode(sop_uid, number, (left, posterior, z_mm), pixels[index].tobytes())
        yield DicomFile(
            station.index,
            contrast,
            sop_uid,
            header.SeriesInstanceUID,
            header.SeriesDescription,
            content,
        )


def _slices(image: NDArray[np.generic]) -> NDArray[np.uint16]:
    """(x, y, z) in RAS+ to (slice, row, column): rows run to the back, columns to the left, slices from the feet."""
    if not np.issubdtype(image.dtype, np.integer) or int(image.min()) < 0 or int(image.max()) > np.iinfo(np.uint16).max:
        raise ValueError("pixels of a DICOM slice are whole numbers from 0 to 65535")
    return np.ascontiguousarray(image[::-1, ::-1].transpose(2, 1, 0), dtype="<u2")


def _slice_encoder(header: Dataset) -> Callable[[UID, int, tuple[float, float, float], bytes], bytes]:
    """Encode what a series shares once; the returned function adds a slice's own elements.

    Elements must ascend by tag, so the shared ones are kept as the stretches between a slice's own: 1.0 ms a slice
    instead of 2.9 ms for writing a whole data set each time.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("dixonflow", "phantom")
    meta.ImplementationVersionName = "DIXONFLOW"  # pydicom would put its own version: other bytes after an update
    bounds = [Tag(0), *_PER_SLICE, Tag(0xFFFFFFFF)]
    stretches = [
        b"".join(_element_bytes(header, tag) for tag in sorted(header.keys()) if low < tag < high)
        for low, high in pairwise(bounds)
    ]

    def encode(sop_uid: UID, number: int, position_mm: tuple[float, float, float], pixels: bytes) -> bytes:
        meta.MediaStorageSOPInstanceUID = sop_uid
        own = Dataset()
        own.SOPInstanceUID = sop_uid
        own.InstanceNumber = number
        own.ImagePositionPatient = [round(value, 6) for value in position_mm]
        own.SliceLocation = round(position_mm[2], 6)
        own.add_new(Tag("PixelData"), "OW", pixels)
        stream = _stream()
        stream.write(b"\x00" * 128 + b"DICM")
        write_file_meta_info(stream, meta)
        for stretch, tag in zip(stretches, _PER_SLICE, strict=False):
            stream.write(stretch + _element_bytes(own, tag))
        stream.write(stretches[-1] + _element_bytes(own, Tag("PixelData")))
        return bytes(stream.getvalue())

    return encode


def _element_bytes(dataset: Dataset, tag: int) -> bytes:
    stream = _stream()
    write_data_element(stream, dataset[tag])
    return bytes(stream.getvalue())


def _stream() -> DicomBytesIO:
    stream = DicomBytesIO()
    stream.is_little_endian = True
    stream.is_implicit_VR = False
    return stream
