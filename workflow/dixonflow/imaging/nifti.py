"""Read and write NIfTI images: always RAS+, in mm, and never more than the file can hold.

Pixel data is inflated and deflated with isal, at level 1 several times faster than zlib. Headers are read and made with
nibabel.
"""

import io
import itertools
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError
from numpy.typing import ArrayLike, NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Affine
from dixonflow.system.atomic import atomic_path
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import Reason

NIFTI1_BYTES, NIFTI2_BYTES = 348, 540
DATA_OFFSET = 352

MAX_INFLATION = 1040
"""No deflate stream grows by more than 1032 (RFC 1951: 258 bytes from 2 bits); with room for header and trailer."""

MAX_VOXELS = 2**30
"""More than any body image has (a whole-body one at 1 mm has a quarter of it)."""

MAX_DATA_OFFSET = 2**24
"""Header extensions hold notes: 16 MB of them are no image."""

MAX_RATIO = 100
RATIO_FREE_BYTES = 2**25
"""Pixel data of a compressed image beyond 32 MB shows a plausible ratio (images have 2 to 10, with blank air 50)."""

MAX_DISAGREEMENT = 0.5
"""Voxels by which sform, qform and pixel sizes may put the far end of an image apart: single precision and rounded
header values stay under a hundredth."""

MAX_TRAILING_BYTES = 2**16
"""Padding behind the pixel data that is accepted."""

BYTES_AT_ONCE = 2**18
"""Pixel data is inflated and deflated in pieces that stay in the processor's cache."""

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WBITS = 31
"""What zlib's interface calls the gzip format."""

WRITTEN_DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "int16", "float32"))


@dataclass(frozen=True)
class NiftiImage:
    """An image as read.

    Attributes
    ----------
    data
        Shape (x, y, z) in RAS+ orientation: indices grow toward Right, Anterior, Superior. The file's dtype in native
        byte order, or float32 where the file scales its values.
    affine
        4x4, voxel index (centre) to RAS mm.
    """

    data: NDArray[Any]
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm (x, y, z)."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z


def _called(path: Path) -> str:
    """What messages call a file: the entities of its BIDS name without the participant's; nothing that is free text."""
    found = re.fullmatch(r"(?:sub-[^_]+_)?(?:ses-[^_]+_)?((?:[a-z]+-[A-Za-z0-9]+_)*[A-Za-z]+)\.nii(?:\.gz)?", path.name)
    return found[1] if found else "the image"


def _unreadable(path: Path, why: str) -> ScanExcluded:
    return ScanExcluded(Reason.UNREADABLE_FILE, f"{_called(path)}: {why}")


def _contradiction(path: Path, why: str) -> ScanExcluded:
    return ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{_called(path)}: {why}")


def _read_header(stream: io.BufferedIOBase, path: Path) -> tuple[nib.Nifti1Header, int]:
    """Read and check the header; gives it and the number of bytes taken from the stream."""
    head = stream.read(NIFTI1_BYTES)
    if len(head) < NIFTI1_BYTES:
        raise _unreadable(path, f"{len(head)} bytes are too few for a NIfTI header")
    kind: type[nib.Nifti1Header] = nib.Nifti1Header
    if NIFTI2_BYTES in struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4]):
        kind = nib.Nifti2Header
        head += stream.read(NIFTI2_BYTES - NIFTI1_BYTES)
    try:
        header = kind.from_fileobj(io.BytesIO(head))
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
        raise _unreadable(path, "not a NIfTI header") from error
    if bytes(header["magic"])[:3] not in (b"n+1", b"n+2"):
        raise _unreadable(path, "header and pixel data are not in one file")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise _unreadable(path, f"data type {dtype} is not a plain number")
    if not np.isfinite(header["vox_offset"]) or header["vox_offset"] > MAX_DATA_OFFSET:
        raise _unreadable(path, "no plausible offset of the pixel data")
    if units not in ("mm", "unknown"):
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{_called(path)}: lengths are in {units}, not mm")
    return header, len(head)


def _shape(header: nib.Nifti1Header, path: Path) -> tuple[int, int, int]:
    dims = [int(size) for size in header["dim"]]
    rank = dims[0]
    if not 3 <= rank <= 7 or any(size < 1 for size in dims[1:4]) or any(size != 1 for size in dims[4 : rank + 1]):
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{_called(path)}: dimensions {dims} are not those of one 3D image"
        )
    if dims[1] * dims[2] * dims[3] > MAX_VOXELS:
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{_called(path)}: {dims[1:4]} voxels are more than any body image has"
        )
    return dims[1], dims[2], dims[3]


def _affine(header: nib.Nifti1Header, path: Path) -> Affine:
    if header["sform_code"] <= 0 and header["qform_code"] <= 0:
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{_called(path)}: no orientation (qform and sform code are 0)")
    try:
        affine: Affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        qform = None if header["qform_code"] <= 0 else np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError, ArithmeticError) as error:
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{_called(path)}: its orientation cannot be read") from error
    with np.errstate(all="ignore"):
        determinant = np.linalg.det(affine[:3, :3])
    if not np.all(np.isfinite(affine)) or not np.isfinite(determinant) or abs(determinant) < 1e-9:
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{_called(path)}: the affine matrix is not invertible")
    _check_agreement(header, affine, qform, path)
    return affine


def _check_agreement(header: nib.Nifti1Header, affine: Affine, qform: Affine | None, path: Path) -> None:
    """Check that sform, qform and pixel sizes give every voxel the same place: of two that differ none is believed."""
    shape = np.array(header["dim"][1:4], dtype=np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    pixdim = np.abs(np.array(header["pixdim"][1:4], dtype=np.float64))
    if not np.all(np.isfinite(pixdim)) or np.any(np.abs(pixdim - spacing) * shape > MAX_DISAGREEMENT * spacing):
        sizes = ("x".join(f"{value:.4g}" for value in each) for each in (spacing, pixdim))
        raise _contradiction(path, "a voxel of {} mm by its affine is one of {} mm by its pixel sizes".format(*sizes))
    if qform is not None:
        corners = np.array(list(itertools.product(*((0, size - 1) for size in shape), [1])))
        apart = np.abs(corners @ (affine - qform)[:3].T).max()
        if not apart <= MAX_DISAGREEMENT * spacing.min():  # NaN too
            raise _contradiction(path, f"sform and qform put its corners up to {apart:.3g} mm apart")


def _read_pixels(stream: io.BufferedIOBase, size: int, path: Path) -> NDArray[np.uint8]:
    """Read exactly `size` bytes, then to the end, so that the checksum of the stream is verified."""
    pixels = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        # not readinto: a gzip stream has it make a second copy of everything that is asked for
        piece = stream.read1(min(size - filled, BYTES_AT_ONCE))
        if not piece:
            raise ScanExcluded(
                Reason.TRUNCATED_PIXELS, f"{_called(path)}: {filled} bytes of pixel data where its header says {size}"
            )
        pixels[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if len(stream.read(MAX_TRAILING_BYTES + 1)) > MAX_TRAILING_BYTES:
        raise _unreadable(path, "more pixel data than its header says")
    return pixels


def _read(
    stream: io.BufferedIOBase, path: Path, max_bytes: int
) -> tuple[nib.Nifti1Header, NDArray[np.generic], Affine]:
    header, taken = _read_header(stream, path)
    shape, dtype = _shape(header, path), header.get_data_dtype()
    offset = int(header["vox_offset"])
    size = shape[0] * shape[1] * shape[2] * dtype.itemsize
    if offset < taken or offset + size > max_bytes:
        raise ScanExcluded(
            Reason.TRUNCATED_PIXELS,
            f"{_called(path)}: its header says {size} bytes of pixel data at {offset}, the file cannot hold them",
        )
    affine = _affine(header, path)
    stream.read(offset - taken)
    data = _read_pixels(stream, size, path).view(dtype).reshape(shape, order="F")
    return header, data, affine


def read_header(path: Path) -> tuple[tuple[int, int, int], Affine]:
    """Shape and affine of a `.nii` or `.nii.gz` file as stored, not turned; nothing but the header is read.

    Raises
    ------
    ScanExcluded
        As `read_nifti`, `truncated_pixels` left out.
    """
    try:
        with open_regular(path) as raw, _inflated(raw) as stream:
            header, _ = _read_header(stream, path)
    except (EOFError, igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise _unreadable(path, "damaged or cut off") from error
    return _shape(header, path), _affine(header, path)


@contextmanager
def _inflated(raw: BinaryIO) -> Iterator[io.BufferedIOBase]:
    compressed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    if compressed:
        with igzip.IGzipFile(fileobj=raw, mode="rb") as stream:
            yield stream
    else:
        yield raw  # type: ignore[misc]  # a buffered reader is one


def read_nifti(path: Path) -> NiftiImage:
    """Read a `.nii` or `.nii.gz` file and turn it to RAS+.

    Nothing is allocated before the dimensions of the header were found to fit the file's size.

    Parameters
    ----------
    path
        File to read.

    Returns
    -------
    NiftiImage
        Axes reordered and flipped, never interpolated.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where it is no NIfTI file, is damaged or its compressed stream is cut off, `truncated_pixels`
        where it holds less than its header says, `unexpected_geometry` where it is not one 3D image with an
        orientation.
    """
    return _read_image(path, MAX_RATIO)


def _read_image(path: Path, max_ratio: int) -> NiftiImage:
    try:
        with open_regular(path) as raw:
            size = raw.seek(0, io.SEEK_END)
            raw.seek(0)
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            max_bytes = max(min(size * MAX_INFLATION, RATIO_FREE_BYTES), size * max_ratio) if compressed else size
            with _inflated(raw) as stream:
                header, data, affine = _read(stream, path, max_bytes)
    except (EOFError, igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise _unreadable(path, "damaged or cut off") from error

    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isfinite(slope) and np.isfinite(intercept) and slope != 0 and (slope, intercept) != (1.0, 0.0):
        data = _scaled(data, slope, intercept)
    orientation = io_orientation(affine)
    turned = affine @ inv_ornt_aff(orientation, data.shape)
    return NiftiImage(apply_orientation(data, orientation), turned)


def _scaled(data: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """Apply slope and intercept in double precision, plane by plane, so that no second image of it is in memory."""
    scaled = np.empty(data.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is infinite, and seen as that
        for plane in range(data.shape[2]):
            scaled[:, :, plane] = data[:, :, plane].astype(np.float64) * slope + intercept
    return scaled


def read_labels(path: Path) -> tuple[NDArray[np.unsignedinteger], Affine]:
    """Read a label map: array (x, y, z) of uint8 or uint16 in RAS+, and its affine.

    Raises
    ------
    ScanExcluded
        As `read_nifti`; `unreadable_file` also where the values are not of these types.
    """
    image = _read_image(path, MAX_INFLATION)  # a label map may be empty but for a few voxels
    if image.data.dtype not in (np.uint8, np.uint16):
        raise _unreadable(path, f"a label map holds uint8 or uint16, not {image.data.dtype}")
    return image.data, image.affine


def write_nifti(path: Path, data: NDArray[np.generic], affine: ArrayLike) -> None:
    """Write a compressed NIfTI-1 file, whole or not at all. Equal input gives equal bytes.

    Parameters
    ----------
    path
        Ends in `.nii.gz`.
    data
        Shape (x, y, z), dtype uint8, uint16, int16 or float32, which is kept.
    affine
        4x4, voxel index (centre) to RAS mm, without shear; written as qform and as sform, both with code 1 (scanner).

    Raises
    ------
    ValueError
        For anything else.
    """
    if not path.name.endswith(".nii.gz"):
        raise ValueError(f"a .nii.gz name is needed, not {path.name}")
    if data.ndim != 3 or data.dtype not in WRITTEN_DTYPES:
        raise ValueError(f"cannot write an array of shape {data.shape} and dtype {data.dtype}")
    header = nib.Nifti1Header()
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    header.set_xyzt_units("mm")
    try:
        header.set_qform(affine, code="scanner", strip_shears=False)
    except HeaderDataError as error:
        raise ValueError(f"the affine has shear: {error}") from error
    header.set_sform(affine, code="scanner")
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = 1, 0, DATA_OFFSET
    head = header.binaryblock.ljust(DATA_OFFSET, b"\0")
    pixels = np.asfortranarray(data).T.reshape(-1).view(np.uint8)
    deflate = isal_zlib.compressobj(level=1, wbits=GZIP_WBITS)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(deflate.compress(head))
        for start in range(0, len(pixels), BYTES_AT_ONCE):
            file.write(deflate.compress(pixels[start : start + BYTES_AT_ONCE]))
        file.write(deflate.flush())
