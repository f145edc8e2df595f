"""Fingerprints of raw data: what decides whether two are the same.

Of a zip, names, sizes and checksums of its table of contents: it covers all bytes and costs a few milliseconds. Files
in folders carry no checksum and are read whole. Neither paths nor dates play a part.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.nifti.bids import session_fingerprint
from dixonflow.rawdata.raw_files import loose_paths
from dixonflow.rawdata.zip_archive import file_fingerprint, unreadable, zip_fingerprint
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import Layout, ScanSequence


def raw_fingerprint(layout: Layout, paths: Sequence[Path], sequence: ScanSequence = ScanSequence.DIXON) -> str:
    """SHA-256 of the raw data of a scan, 64 hexadecimal digits.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where a zip is damaged or an image is absurdly large.
    OSError
        If the disk, not the data, is at fault.
    """
    if layout.has_session_folders:
        return session_fingerprint(paths[0], sequence)
    each = []
    for number, path in enumerate(paths, 1):
        try:
            each.append(_part_fingerprint(path, layout is not Layout.DICOM))
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
    each = [file_fingerprint(file) for path in paths for file in loose_paths(path)]
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()


def _part_fingerprint(path: Path, recursive: bool) -> str:
    if path.suffix.lower() == ".zip" and path.is_file():
        return zip_fingerprint(path)
    files = loose_paths(path, recursive)
    if not files:
        raise unreadable("the folder is empty")
    digest = hashlib.sha256()
    for file in files:
        # the name of a single file is that of the scan, which is no part of its content
        digest.update(os.fsencode(file.relative_to(path) if file != path else "") + b"\0")
        with open_regular(file) as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
