"""A session folder of a BIDS-like data set: which files are which, and what their headers say.

NIfTI knows no contrast tag: here, and only here, the contrast comes from the file name. A CT is one file.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_header
from dixonflow.rawdata.geometry import upright_grid, upright_rotation
from dixonflow.rawdata.stations import Volume
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import DIXON, Contrast, Layout, Reason, ScanId

MAX_FILE_BYTES = 2 << 30
"""Of one image: a whole body in voxels of 1 mm, single precision, has 2 GB."""

_CONTRASTS = {contrast.acq: contrast for contrast in DIXON}
_NAME = re.compile(
    r"sub-(?P<participant>[A-Za-z0-9]+)_ses-(?P<session>[A-Za-z0-9]+)_acq-(?P<acq>[a-z]+)"
    r"(?:_chunk-(?P<chunk>[0-9]+))?_VIBE\.nii(?:\.gz)?"
)
_CT_NAME = re.compile(r"sub-(?P<participant>[A-Za-z0-9]+)_ses-(?P<session>[A-Za-z0-9]+)(?:_[^.]+)?_ct\.nii(?:\.gz)?")


@dataclass(frozen=True)
class StationFile:
    """One NIfTI file: contrast and station number from its name."""

    path: Path
    contrast: Contrast
    chunk: int


def image_paths(session: Path, layout: Layout) -> list[Path]:
    """All images of a session folder, sorted by name: `anat/*_VIBE.nii.gz`, or `ct/*_ct.nii.gz` of a CT."""
    folder, suffix = ("ct", "ct") if layout is Layout.CT else ("anat", "VIBE")
    names = (f"*_{suffix}.nii", f"*_{suffix}.nii.gz")
    return sorted(
        path for pattern in names for path in (session / folder).glob(pattern) if not path.name.startswith(".")
    )


def no_image(layout: Layout) -> str:
    """What is wrong with a session folder without images."""
    return f"the session folder holds no image {'ct/*_ct' if layout is Layout.CT else '*_VIBE'}.nii.gz"


def ct_file(session: Path, scan: ScanId) -> StationFile:
    """File of a CT scan.

    Raises
    ------
    ScanExcluded
        `missing_contrast`, `unparsable_name`, `identity_mismatch` as `station_files`, `duplicate_scan` where there are
        several: which one is meant nobody can tell.
    """
    paths = image_paths(session, Layout.CT)
    if not paths:
        raise ScanExcluded(Reason.MISSING_CONTRAST, no_image(Layout.CT))
    for path in paths:
        match = _CT_NAME.fullmatch(path.name)
        if match is None:
            raise ScanExcluded(Reason.UNPARSABLE_NAME, "the name of an image is not sub-*_ses-*_ct.nii.gz")
        _check_identity(match, scan)
    if len(paths) > 1:
        raise ScanExcluded(Reason.DUPLICATE_SCAN, f"{len(paths)} images *_ct.nii.gz in one session: keep one")
    return StationFile(paths[0], Contrast.CT, 1)


def _check_identity(match: re.Match[str], scan: ScanId) -> None:
    if (match["participant"], match["session"]) != (scan.participant, scan.session):
        message = "an image has the name of another participant or session than its folder"
        raise ScanExcluded(Reason.IDENTITY_MISMATCH, message)


def station_files(session: Path, scan: ScanId) -> list[StationFile]:
    """Files of a Dixon scan with what their names say.

    Raises
    ------
    ScanExcluded
        `missing_contrast` where there is no image, `unparsable_name` where a name does not follow the pattern,
        `identity_mismatch` where a name is that of another scan.
    """
    files = []
    for path in image_paths(session, Layout.BIDS):
        match = _NAME.fullmatch(path.name)
        if match is None or match["acq"] not in _CONTRASTS:
            acq = "|".join(_CONTRASTS)
            message = f"the name of an image is not sub-*_ses-*_acq-({acq})[_chunk-*]_VIBE.nii.gz"
            raise ScanExcluded(Reason.UNPARSABLE_NAME, message)
        _check_identity(match, scan)
        files.append(StationFile(path, _CONTRASTS[match["acq"]], int(match["chunk"] or 1)))
    if not files:
        raise ScanExcluded(Reason.MISSING_CONTRAST, no_image(Layout.BIDS))
    return files


def session_fingerprint(session: Path, layout: Layout) -> str:
    """SHA-256 over names and contents of the images.

    Participant and session are left out of the names, so that equal images under two names have equal fingerprints.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where an image is absurdly large.
    """
    digest = hashlib.sha256()
    for path in image_paths(session, layout):
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise ScanExcluded(Reason.UNREADABLE_FILE, f"an image of {size} bytes is too large for a body scan")
        digest.update(_name_in_fingerprint(path) + b"\0")
        with open_regular(path) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def session_fingerprint_0_1(session: Path, layout: Layout) -> str:
    """The fingerprint that version 0.1 took: of compressed files their size and their last 8 bytes only.

    What was processed under it stands while its files do not change.
    """
    digest = hashlib.sha256()
    for path in image_paths(session, layout):
        digest.update(_name_in_fingerprint(path) + f"\0{path.stat().st_size}\0".encode())
        with open_regular(path) as file:
            if path.suffix == ".gz":
                file.seek(-min(8, path.stat().st_size), 2)
                digest.update(file.read())
            else:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _name_in_fingerprint(path: Path) -> bytes:
    return os.fsencode(re.sub(r"^sub-[^_]*_ses-[^_]*_", "", path.name))  # a name need not be UTF-8


def volumes_of_files(files: Sequence[StationFile]) -> list[Volume]:
    """Grids of all files, from their headers.

    Raises
    ------
    ScanExcluded
        `unreadable_file`, `unexpected_geometry` or `spacing_mismatch`.
    """
    volumes = []
    rotation = None
    for file in files:
        name = f"acq-{file.contrast.acq}_chunk-{file.chunk}"
        shape, affine = read_header(file.path)
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        if rotation is None:
            rotation = upright_rotation(directions, name)
        volumes.append(Volume(file.contrast, upright_grid(shape, affine, rotation, name), name, file.path))
    return volumes


def check_chunks(files: Sequence[StationFile], stations: Sequence[Sequence[Volume]]) -> None:
    """Check that names and positions agree on which files form a station, and that no number is left out.

    Raises
    ------
    ScanExcluded
        `missing_station` where a number is left out, `spacing_mismatch` where files of one number lie apart.
    """
    chunk_of = {file.path: file.chunk for file in files}
    chunks = sorted(set(chunk_of.values()))
    if chunks[-1] - chunks[0] + 1 != len(chunks) or chunks[0] not in (0, 1):
        raise ScanExcluded(Reason.MISSING_STATION, f"stations are numbered {', '.join(map(str, chunks))}")
    for number, station in enumerate(stations, 1):
        found = sorted({chunk_of[volume.files] for volume in station if isinstance(volume.files, Path)})
        if len(found) != 1:
            raise ScanExcluded(
                Reason.SPACING_MISMATCH,
                f"station {number} from the head consists of files numbered {', '.join(map(str, found))}",
            )
