"""What raw files hold, whatever they are packed in and called: equal images are known again in another form."""

import hashlib
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from isal import igzip, isal_zlib

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import GZIP_MAGIC, IMAGE_LIMIT
from dixonflow.imaging.nifti_header import parse_header
from dixonflow.system.regular_file import open_regular

_TRAILER = struct.Struct("<II")
_BYTES_AT_ONCE = 1 << 20
_DAMAGE = (EOFError, igzip.BadGzipFile, isal_zlib.error)


class ImageContents:
    """Sizes and CRC-32 checksums of the images of a scan, as its fingerprint is taken.

    A zip says them in its table of contents, a gzip file in its last bytes; other files are read for their fingerprint
    anyway. One checksum is not enough to compare 100,000 scans: that of a single image is confirmed by its bytes.
    """

    def __init__(self) -> None:
        self._images: list[str] = []
        self._last_sha256: Callable[[], bytes] = bytes

    def add(self, size: int, crc: int, sha256: Callable[[], bytes], contrast: str = "") -> None:
        """Add an image.

        Parameters
        ----------
        size, crc
            Of its bytes, not compressed.
        sha256
            Reads it, if asked to; may raise OSError.
        contrast
            Where nothing but the name says it.
        """
        self._images.append(f"{size} {crc:08x} {contrast}\n")
        self._last_sha256 = sha256

    def digest(self) -> str:
        """SHA-256 over all images, free of names, order, copies and packing; empty where there are none.

        Raises
        ------
        OSError
            If a single image cannot be read.
        """
        each = sorted(set(self._images))
        if len(each) == 1:
            each.append(self._last_sha256().hex())
        return hashlib.sha256("".join(each).encode()).hexdigest() if each else ""


def read_file(path: Path, contents: ImageContents | None = None, contrast: str = "") -> bytes:
    """SHA-256 of a file, 32 bytes, and its image added to `contents`. Raises OSError."""
    with open_regular(path) as file:
        if contents is None:
            return hashlib.file_digest(file, "sha256").digest()
        digest, size, crc = hashlib.sha256(), 0, 0
        while piece := file.read(_BYTES_AT_ONCE):
            digest.update(piece)
            size, crc = size + len(piece), isal_zlib.crc32(piece, crc)
        packed = _packed_image(file, path, size) if path.name.endswith((".nii", ".nii.gz")) else None
    found = digest.digest()
    if packed is None:
        contents.add(size, crc, lambda: found, contrast)
    else:
        contents.add(*packed, lambda: _unpacked_sha256(path, size) or found, contrast)
    return found


def _packed_image(file: BinaryIO, path: Path, size: int) -> tuple[int, int] | None:
    """Size and CRC-32 of the image in a gzip file; None where it is none, or damaged."""
    file.seek(0)
    if file.read(len(GZIP_MAGIC)) != GZIP_MAGIC or size < _TRAILER.size:
        return None
    file.seek(-_TRAILER.size, 2)
    crc, length = _TRAILER.unpack(file.read(_TRAILER.size))
    try:
        # padded files, and those of several members, end in something else than what their header asks for
        if length == _expected_bytes(file, path):
            return length, crc
        inflated = _inflated(file, size)
    except (ScanExcluded, *_DAMAGE):  # type: ignore[misc]  # untyped in isal
        return None
    return inflated and inflated[:2]


def _unpacked_sha256(path: Path, size: int) -> bytes:
    """SHA-256 of the image in a gzip file; empty where it is damaged."""
    try:
        with open_regular(path) as file:
            inflated = _inflated(file, size)
    except _DAMAGE:  # type: ignore[misc]
        return b""
    return inflated[2] if inflated else b""


def _expected_bytes(file: BinaryIO, path: Path) -> int:
    file.seek(0)
    with igzip.IGzipFile(fileobj=file) as stream:
        header, _ = parse_header(stream, path)
    dims = [int(size) for size in header["dim"]]
    return int(header["vox_offset"]) + math.prod(dims[1 : dims[0] + 1]) * int(header["bitpix"]) // 8


def _inflated(file: BinaryIO, packed_bytes: int) -> tuple[int, int, bytes] | None:
    """Size, CRC-32 and SHA-256 of what a gzip file holds; None where that is absurdly large."""
    digest, size, crc = hashlib.sha256(), 0, 0
    file.seek(0)
    with igzip.IGzipFile(fileobj=file) as stream:
        while piece := stream.read(_BYTES_AT_ONCE):
            digest.update(piece)
            size, crc = size + len(piece), isal_zlib.crc32(piece, crc)
            if size > IMAGE_LIMIT.most(packed_bytes):
                return None
    return size, crc, digest.digest()
