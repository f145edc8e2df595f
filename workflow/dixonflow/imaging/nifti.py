"""Read and write NIfTI images: always RAS+, in mm, and never more than the file can hold.

Pixel data is inflated and deflated with isal, at level 1 several times faster than zlib. Headers are read and made with
nibabel.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError
from numpy.typing import ArrayLike, NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti_header import (
    affine_of,
    contradiction,
    name_in_messages,
    parse_header,
    shape_of,
    unreadable,
)
from dixonflow.imaging.types import Affine
from dixonflow.system.atomic import atomic_path
from dixonflow.system.inflation import InflationLimit
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import Reason

DATA_OFFSET = 352

MAX_INFLATION = 1040
"""No deflate stream grows by more than 1032 (RFC 1951: 258 bytes from 2 bits); with room for header and trailer."""

IMAGE_LIMIT = InflationLimit(ratio=100, free_bytes=2**25)
"""Pixel data of a compressed image beyond 32 MB shows a plausible ratio (images have 2 to 10, with blank air 50)."""

LABELS_LIMIT = InflationLimit(ratio=MAX_INFLATION, free_bytes=2**25)
"""A label map may be empty but for a few voxels."""

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


def _read_pixels(stream: io.BufferedIOBase, size: int, path: Path) -> NDArray[np.uint8]:
    """Read exactly `size` bytes, then to the end, so that the checksum of the stream is verified."""
    pixels = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        # not readinto: a gzip stream has it make a second copy of everything that is asked for
        piece = stream.read1(min(size - filled, BYTES_AT_ONCE))
        if not piece:
            raise ScanExcluded(
                Reason.TRUNCATED_PIXELS,
                f"{name_in_messages(path)}: {filled} bytes of pixel data where its header says {size}",
            )
        pixels[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if len(stream.read(MAX_TRAILING_BYTES + 1)) > MAX_TRAILING_BYTES:
        raise unreadable(path, "more pixel data than its header says")
    return pixels


def _read(
    stream: io.BufferedIOBase, path: Path, max_bytes: int, volumes: int
) -> tuple[nib.Nifti1Header, NDArray[np.generic], Affine]:
    header, taken = parse_header(stream, path)
    shape, dtype = shape_of(header, path, volumes), header.get_data_dtype()
    offset = int(header["vox_offset"])
    size = shape[0] * shape[1] * shape[2] * volumes * dtype.itemsize
    if offset < taken or offset + size > max_bytes:
        raise ScanExcluded(
            Reason.TRUNCATED_PIXELS,
            f"{name_in_messages(path)}: its header says {size} bytes of pixel data at {offset}, more than the file has",
        )
    affine = affine_of(header, path)
    stream.read(offset - taken)
    data = _read_pixels(stream, size, path).view(dtype).reshape((*shape, volumes), order="F")
    return header, data, affine


def read_header(path: Path, volumes: int = 1) -> tuple[tuple[int, int, int], Affine]:
    """Shape and affine of a `.nii` or `.nii.gz` file as stored, not turned; nothing but the header is read.

    Parameters
    ----------
    volumes
        Number of 3D images that the file has to hold, on its fourth axis; the shape is that of one.

    Raises
    ------
    ScanExcluded
        As `read_nifti`, `truncated_pixels` left out.
    """
    try:
        with open_regular(path) as raw, _inflated(raw) as stream:
            header, _ = parse_header(stream, path)
    except (EOFError, igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise unreadable(path, "damaged or cut off") from error
    return shape_of(header, path, volumes), affine_of(header, path)


def count_volumes(path: Path) -> int:
    """Length of a file's fourth axis, 1 where it has none. Raises ScanExcluded(UNREADABLE_FILE)."""
    try:
        with open_regular(path) as raw, _inflated(raw) as stream:
            header, _ = parse_header(stream, path)
    except (EOFError, igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise unreadable(path, "damaged or cut off") from error
    return int(header["dim"][4]) if header["dim"][0] >= 4 else 1


@contextmanager
def _inflated(raw: BinaryIO) -> Iterator[io.BufferedIOBase]:
    compressed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    if compressed:
        with igzip.IGzipFile(fileobj=raw, mode="rb") as stream:
            yield stream
    else:
        yield raw  # type: ignore[misc]  # a buffered reader is one


def read_nifti(path: Path, volume: int = 0, volumes: int = 1) -> NiftiImage:
    """Read a `.nii` or `.nii.gz` file and turn it to RAS+.

    Nothing is allocated before the dimensions of the header were found to fit the file's size.

    Parameters
    ----------
    path
        File to read.
    volume, volumes
        Which of how many images on its fourth axis.

    Returns
    -------
    NiftiImage
        Axes reordered and flipped, never interpolated.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where it is no NIfTI file, is damaged or its compressed stream is cut off, `truncated_pixels`
        where it holds less than its header says, `unexpected_geometry` where it does not hold that many 3D images with
        an orientation.
    """
    return _read_image(path, IMAGE_LIMIT, volume, volumes)


def _read_image(path: Path, limit: InflationLimit, volume: int = 0, volumes: int = 1) -> NiftiImage:
    try:
        with open_regular(path) as raw:
            size = raw.seek(0, io.SEEK_END)
            raw.seek(0)
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            max_bytes = min(size * MAX_INFLATION, limit.most(size)) if compressed else size
            with _inflated(raw) as stream:
                header, whole, affine = _read(stream, path, max_bytes, volumes)
    except (EOFError, igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise unreadable(path, "damaged or cut off") from error

    data: NDArray[Any] = whole[..., volume]
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    scales = not np.isnan(slope) and slope != 0  # else the standard says that there is no scaling
    if scales and not (np.isfinite(slope) and np.isfinite(intercept)):
        raise contradiction(path, f"a slope of {slope:g} with an intercept of {intercept:g} is not a valid scaling")
    if scales and (slope, intercept) != (1.0, 0.0):
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
    image = read_foreign_labels(path)
    if image.data.dtype not in (np.uint8, np.uint16):
        raise unreadable(path, f"a label map holds uint8 or uint16, not {image.data.dtype}")
    return image.data, image.affine


def read_foreign_labels(path: Path) -> NiftiImage:
    """Read a label map of another program, which may hold labels in any type. Raises ScanExcluded as `read_nifti`."""
    return _read_image(path, LABELS_LIMIT)


def write_labels(path: Path, labels: NDArray[np.unsignedinteger], affine: ArrayLike) -> None:
    """Write a label map as `write_nifti` does, with NIfTI's intent code for labels (1002)."""
    write_nifti(path, labels, affine, intent="label")


def write_nifti(
    path: Path, data: NDArray[np.generic], affine: ArrayLike, *, intent: Literal["none", "label"] = "none"
) -> None:
    """Write a compressed NIfTI-1 file, whole or not at all. Equal input gives equal bytes.

    Parameters
    ----------
    path
        Ends in `.nii.gz`.
    data
        Shape (x, y, z), dtype uint8, uint16, int16 or float32, which is kept.
    affine
        4x4, voxel index (centre) to RAS mm, without shear; written as qform and as sform, both with code 1 (scanner).
    intent
        What the values are.

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
    header.set_intent(intent)
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
