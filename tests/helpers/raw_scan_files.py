"""Small raw scans for tests: DICOM slices written by pydicom, with every tag in the test's hands."""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, generate_uid

from dixonflow.imaging.station import Station
from dixonflow.vocabulary import DIXON, Contrast

SHAPE = (20, 18, 6)
SPACING_MM = (2.5, 2.0, 4.0)
OVERLAP_SLICES = 2
SUFFIX = {Contrast.WATER: "W", Contrast.FAT: "F", Contrast.IN_PHASE: "in", Contrast.OPPOSED_PHASE: "opp"}
WORD = {
    Contrast.WATER: "WATER",
    Contrast.FAT: "FAT",
    Contrast.IN_PHASE: "IN_PHASE",
    Contrast.OPPOSED_PHASE: "OPP_PHASE",
}
ECHO_MS = {Contrast.WATER: 2.39, Contrast.FAT: 2.39, Contrast.IN_PHASE: 4.77, Contrast.OPPOSED_PHASE: 2.39}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
AXIAL = np.array([[-1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])
"""RAS directions of columns, rows and slices, as columns: the usual axial slice."""


def make_stations(count: int = 6, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> list[Station]:
    """Stations of noise, head to feet, two slices of overlap."""
    rng = np.random.default_rng(seed)
    stations = []
    for index in range(count):
        affine = np.diag([*SPACING_MM, 1.0])
        affine[:3, 3] = (-27.25, -19.5, 400.0 - index * (shape[2] - OVERLAP_SLICES) * SPACING_MM[2])
        images = {contrast: rng.integers(0, 4000, shape, dtype=np.int16) for contrast in DIXON}
        stations.append(Station(index, images, affine))
    return stations


def slices_of(
    station: Station, contrast: Contrast, directions: NDArray[np.float64] = AXIAL, patient_id: str = "0001234"
) -> list[Dataset]:
    """DICOM slices of one series whose stored axes run along `directions` (signed axes of the patient)."""
    series_uid = generate_uid(entropy_srcs=[patient_id, str(station.index), contrast.value])
    axes = np.abs(directions).argmax(axis=0)
    signs = directions.sum(axis=0)
    stored = station.images[contrast].transpose(axes)[tuple(slice(None, None, int(sign)) for sign in signs)]
    spacing = np.array(station.spacing_mm)[axes]
    # voxel of the RAS array that comes first in the stored one
    first = np.zeros(3)
    for axis, sign in zip(axes, signs, strict=True):
        first[axis] = station.shape[axis] - 1 if sign < 0 else 0
    origin = station.affine[:3, :3] @ first + station.affine[:3, 3]
    slices = []
    for index in range(stored.shape[2]):
        ds = Dataset()
        ds.SOPClassUID = MRImageStorage
        ds.SOPInstanceUID = generate_uid(entropy_srcs=[series_uid, str(index)])
        ds.ImageType = ["DERIVED", "PRIMARY", "M", WORD[contrast]]
        ds.Modality = "MR"
        ds.SeriesDescription = f"Dixon_BH_17s_{SUFFIX[contrast]}"
        ds.PatientID = patient_id
        ds.PatientName = "Müller^Ü"
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.EchoTime = ECHO_MS[contrast]
        ds.SeriesInstanceUID = series_uid
        ds.SeriesNumber = 5 + 4 * station.index + list(DIXON).index(contrast)
        position = RAS_TO_LPS @ (origin + directions[:, 2] * spacing[2] * index)
        ds.ImagePositionPatient = [round(float(value), 6) for value in position]
        cosines = (RAS_TO_LPS @ directions[:, :2]).T.ravel()
        ds.ImageOrientationPatient = [round(float(value), 9) for value in cosines]
        ds.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.Rows, ds.Columns = stored.shape[1], stored.shape[0]
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.PixelData = stored[:, :, index].T.astype("<u2").tobytes()
        slices.append(ds)
    return slices


def encode(ds: Dataset, implicit: bool = False) -> bytes:
    """The bytes of a DICOM file."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, implicit
    stream.write(_head(implicit))
    write_dataset(stream, ds)
    return stream.getvalue()


@cache
def _head(implicit: bool) -> bytes:
    """Preamble and file meta information: the same for all slices, which saves most of the time of writing."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["head"])
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    stream = io.BytesIO()
    FileDataset("", {}, preamble=b"\0" * 128, file_meta=meta).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Slice:
    """One slice of a scan: what a test may change before it is written."""

    station: int
    contrast: Contrast
    index: int
    ds: Dataset


def scan_slices(
    stations: Sequence[Station], directions: NDArray[np.float64] = AXIAL, patient_id: str = "0001234"
) -> list[Slice]:
    """All slices of a scan."""
    return [
        Slice(station.index, contrast, index, ds)
        for station in stations
        for contrast in DIXON
        for index, ds in enumerate(slices_of(station, contrast, directions, patient_id))
    ]


def write_scan_zip(
    path: Path, slices: Iterable[Slice], encoder: Callable[[Dataset], bytes] = encode, seed: int = 0
) -> Path:
    """Write a zip in which neither names nor order tell anything."""
    contents = [encoder(item.ds) for item in slices]
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, index in enumerate(rng.permutation(len(contents))):
            archive.writestr(f"{number:05d}_{rng.integers(1 << 30):08x}.dcm", contents[index])
    return path
