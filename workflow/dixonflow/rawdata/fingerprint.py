"""Fingerprints of raw data: what decides whether two are the same.

Of a zip, names, sizes and checksums of its table of contents: it covers all bytes and costs a few milliseconds. Files
in folders carry no checksum and are read whole. Neither paths nor dates play a part. A fingerprint depends on how the
files are packed and named within the scan; `ImageContents`, taken at the same time, does not.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.content import ImageContents, read_file
from dixonflow.rawdata.nifti.bids import session_fingerprint
from dixonflow.rawdata.raw_files import loose_paths
from dixonflow.rawdata.zip_archive import unreadable, zip_fingerprint
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import Layout, ScanSequence


def raw_fingerprint(
    layout: Layout,
    paths: Sequence[Path],
    sequence: ScanSequence = ScanSequence.DIXON,
    contents: ImageContents | None = None,
) -> str:
    """SHA-256 of the raw data of a scan, 64 hexadecimal digits.

    Parameters
    ----------
    contents
        The images are added to these; not complete where an error is raised.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where a zip is damaged or an image is absurdly large.
    OSError
        If the disk, not the data, is at fault.
    """
    if layout.has_session_folders:
        return session_fingerprint(paths[0], sequence, contents)
    each = []
    for number, path in enumerate(paths, 1):
        try:
            each.append(_part_fingerprint(path, layout is not Layout.DICOM, contents))
        except ScanExcluded as problem:
            if len(paths) == 1:
                raise
            raise ScanExcluded(problem.reason, f"part {number} of {len(paths)}: {problem.message}") from problem
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()


def damaged_fingerprint(paths: Sequence[Path]) -> str:
    """SHA-256 over what can be had of raw data that tells nothing about itself: sizes and ends of its files.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    each = [_edges_fingerprint(file) for path in paths for file in loose_paths(path)]
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()


def _part_fingerprint(path: Path, recursive: bool, contents: ImageContents | None) -> str:
    if path.suffix.lower() == ".zip" and path.is_file():
        return zip_fingerprint(path, contents)
    files = loose_paths(path, recursive)
    if not files:
        raise unreadable("the folder is empty")
    digest = hashlib.sha256()
    for file in files:
        # the name of a single file is that of the scan, which is no part of its content
        digest.update(os.fsencode(file.relative_to(path) if file != path else "") + b"\0")
        digest.update(read_file(file, contents))
    return digest.hexdigest()


def _edges_fingerprint(path: Path, edge_bytes: int = 1 << 20) -> str:
    """SHA-256 over the size and the first and last MB of a file that tells nothing about itself."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        digest = hashlib.sha256(f"{size}\n".encode())
        digest.update(file.read(edge_bytes))
        if size > edge_bytes:
            file.seek(max(edge_bytes, size - edge_bytes))
            digest.update(file.read(edge_bytes))
    return digest.hexdigest()
