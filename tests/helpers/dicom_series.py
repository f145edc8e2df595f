"""DICOM series of any orientation, from an image and its affine."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from dixonflow.phantom.writers.dicom import write_zip

LPS = np.array([-1.0, -1.0, 1.0])


def turned(degrees: float, axis: int) -> NDArray[np.float64]:
    """Rotation about an axis of the patient, 3x3."""
    angle, (first, second) = np.radians(degrees), [other for other in range(3) if other != axis]
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    return rotation


def affine_of(
    directions: NDArray[np.float64], spacing_mm: Sequence[float], shape: Sequence[int], centre_mm: Sequence[float]
) -> NDArray[np.float64]:
    """4x4, index to RAS mm, of an image around a centre; the columns of `directions` are those of its axes."""
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing_mm)
    affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    return affine


def sampled(field: Any, affine: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Values of a field f(x, y, z) of RAS mm on a grid."""
    points = np.einsum("ij,j...->i...", affine[:3, :3], np.indices(shape)) + affine[:3, 3][:, None, None, None]
    values: NDArray[np.float64] = field(*points)
    return values


def series(
    image: NDArray[Any], affine: NDArray[np.float64], *, number: int = 1, description: str = "series", **more: Any
) -> list[tuple[str, bytes]]:
    """Slices along the third axis of an image (columns, rows, slices), as names and contents of files.

    Parameters
    ----------
    image
        Integers as stored.
    affine
        Index to RAS mm.
    more
        Further elements, by keyword: `Modality`, `RescaleIntercept`, `EchoTime`, `PatientID` and so on.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing * LPS[:, None]
    uid, frame = generate_uid(), generate_uid()
    entries = []
    for place in range(image.shape[2]):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ct = more.get("Modality") == "CT"
        ds.SOPClassUID = CTImageStorage if ct else MRImageStorage
        ds.SOPInstanceUID = generate_uid()
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            ds.SOPClassUID,
            ds.SOPInstanceUID,
        )
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.Modality, ds.Manufacturer, ds.ImageType = "MR", "Phantom", ["ORIGINAL", "PRIMARY"]
        ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uid, frame
        ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = number, place + 1, description
        ds.ImageOrientationPatient = [float(f"{value:.9g}") for value in (*directions[:, 0], *directions[:, 1])]
        position = (affine @ [0, 0, place, 1])[:3] * LPS
        ds.ImagePositionPatient = [float(f"{value:.9g}") for value in position]
        ds.PixelSpacing = [float(f"{value:.9g}") for value in (spacing[1], spacing[0])]
        ds.SliceThickness = float(f"{spacing[2]:.9g}")
        ds.Columns, ds.Rows = image.shape[0], image.shape[1]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.PixelRepresentation = int(np.issubdtype(image.dtype, np.signedinteger))
        for name, value in more.items():
            setattr(ds, name, value)
        ds.PixelData = np.ascontiguousarray(image[:, :, place].T).tobytes()
        entries.append((f"{number:04d}_{place:04d}.dcm", _encoded(ds)))
    return entries


def _encoded(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_folder(folder: Path, entries: Sequence[tuple[str, bytes]]) -> Path:
    """Write files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in entries:
        (folder / name).write_bytes(content)
    return folder


def write_series_zip(path: Path, entries: Sequence[tuple[str, bytes]]) -> Path:
    """Write files into a zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_zip(path, entries)
