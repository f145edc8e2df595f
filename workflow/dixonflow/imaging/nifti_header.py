"""What the header of a NIfTI file says, checked: no two of its statements may contradict."""

import io
import itertools
import math
import re
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation
from nibabel.spatialimages import HeaderDataError

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.types import Affine
from dixonflow.vocabulary import Reason

NIFTI1_BYTES, NIFTI2_BYTES = 348, 540

MAX_VOXELS = 2**30
"""More than any body image has (a whole-body one at 1 mm has a quarter of it)."""

MAX_DATA_OFFSET = 2**24
"""Header extensions hold notes: 16 MB of them are no image."""

MAX_DISAGREEMENT = 0.05
"""Voxels by which sform, qform and pixel sizes may put the far end of an image apart: single precision and rounded
header values stay under a hundredth."""


def name_in_messages(path: Path) -> str:
    """What messages call a file: contrast and station, as its BIDS name has them; nothing that is free text."""
    entities = re.findall(r"(?:^|_)((?:acq-(?:water|fat|inphase|opposedphase)|chunk-[0-9]+))(?=_)", path.name)
    return "_".join(entities) or "the image"


def unreadable(path: Path, why: str) -> ScanExcluded:
    """Exclusion of a scan one of whose images is no readable NIfTI file."""
    return ScanExcluded(Reason.UNREADABLE_FILE, f"{name_in_messages(path)}: {why}")


def contradiction(path: Path, why: str) -> ScanExcluded:
    """Exclusion of a scan one of whose images says two things that cannot both be true."""
    return ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{name_in_messages(path)}: {why}")


def parse_header(stream: io.BufferedIOBase, path: Path) -> tuple[nib.Nifti1Header, int]:
    """Read and check the header; gives it and the number of bytes taken from the stream."""
    head = stream.read(NIFTI1_BYTES)
    if len(head) < NIFTI1_BYTES:
        raise unreadable(path, f"{len(head)} bytes are too few for a NIfTI header")
    kind: type[nib.Nifti1Header] = nib.Nifti1Header
    if NIFTI2_BYTES in struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4]):
        kind = nib.Nifti2Header
        head += stream.read(NIFTI2_BYTES - NIFTI1_BYTES)
    try:
        header = kind.from_fileobj(io.BytesIO(head), check=False)  # which would set sizes of 0 to 1
        dtype = header.get_data_dtype()
        units = header.get_xyzt_units()[0]
    except (
        HeaderDataError,
        nib.wrapstruct.WrapStructError,
        LookupError,
        ValueError,
        ArithmeticError,
        TypeError,
    ) as error:
        raise unreadable(path, "not a NIfTI header") from error
    if bytes(header["magic"])[:3] not in (b"n+1", b"n+2"):
        raise unreadable(path, "header and pixel data are not in one file")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise unreadable(path, f"data type {dtype} is not a plain number")
    if not np.isfinite(header["vox_offset"]) or header["vox_offset"] > MAX_DATA_OFFSET:
        raise unreadable(path, "no plausible offset of the pixel data")
    if units not in ("mm", "unknown"):
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{name_in_messages(path)}: lengths are in {units}, not mm")
    if np.isfinite(header["pixdim"][0]):  # qfac: what is not negative counts as 1 (nifti1.h, nifti1_io.c)
        header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    return header, len(head)


def shape_of(header: nib.Nifti1Header, path: Path, volumes: int = 1) -> tuple[int, int, int]:
    """Voxels (x, y, z) of one volume as stored.

    Parameters
    ----------
    volumes
        Number of 3D images that the file has to hold, on its fourth axis.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where it holds another number of images, or something else.
    """
    dims = [int(size) for size in header["dim"]]
    rank = dims[0]
    found = math.prod(dims[4 : rank + 1]) if 3 <= rank <= 7 else 0
    if any(size < 1 for size in dims[1:4]) or found != volumes or any(size != 1 for size in dims[5 : rank + 1]):
        what = "one 3D image" if volumes == 1 else f"{volumes} 3D images"
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{name_in_messages(path)}: dimensions {dims} are not those of {what}"
        )
    if dims[1] * dims[2] * dims[3] > MAX_VOXELS:
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{name_in_messages(path)}: {dims[1:4]} voxels exceed any body image"
        )
    return dims[1], dims[2], dims[3]


def affine_of(header: nib.Nifti1Header, path: Path) -> Affine:
    """4x4, voxel index as stored to RAS mm.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where there is none, `contradictory_headers` where there are two.
    """
    if header["sform_code"] <= 0 and header["qform_code"] <= 0:
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{name_in_messages(path)}: no orientation (qform and sform code are 0)"
        )
    try:
        affine: Affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        qform = None if header["qform_code"] <= 0 else np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError, ArithmeticError) as error:
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{name_in_messages(path)}: its orientation cannot be read"
        ) from error
    with np.errstate(all="ignore"):
        determinant = np.linalg.det(affine[:3, :3])
    singular = not np.all(np.isfinite(affine)) or not np.isfinite(determinant) or abs(determinant) < 1e-9
    # an axis that is tiny compared with the others has no direction for nibabel, whatever the determinant
    if singular or not np.all(np.isfinite(io_orientation(affine))):
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{name_in_messages(path)}: the affine matrix is not invertible")
    _check_agreement(header, affine, qform, path)
    return affine


def _check_agreement(header: nib.Nifti1Header, affine: Affine, qform: Affine | None, path: Path) -> None:
    """Check that sform, qform and pixel sizes give every voxel the same place: of two that differ none is believed."""
    shape = np.array(header["dim"][1:4], dtype=np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    pixdim = np.abs(np.array(header["pixdim"][1:4], dtype=np.float64))
    apart = np.where(pixdim == 0, 0, np.abs(pixdim - spacing))  # 0 is a size that nobody has set
    if not np.all(np.isfinite(pixdim)) or np.any(apart * shape > MAX_DISAGREEMENT * spacing):
        sizes = ("x".join(f"{value:.4g}" for value in each) for each in (spacing, pixdim))
        raise contradiction(path, "the voxel size is {} mm by its affine and {} mm by its pixel sizes".format(*sizes))
    if qform is not None:
        corners = np.array(list(itertools.product(*((0, size - 1) for size in shape), [1])))
        corner_mm = np.abs(corners @ (affine - qform)[:3].T).max()
        if not corner_mm <= MAX_DISAGREEMENT * spacing.min():  # NaN too
            raise contradiction(path, f"sform and qform put its corners up to {corner_mm:.3g} mm apart")
