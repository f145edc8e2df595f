"""Images of a scan as NIfTI files: which files are which, and what their headers and sidecars say.

NIfTI knows no contrast tag: here, and only here, the contrast comes from the file's name or its place on the fourth
axis, and is held against the sidecar. A CT is one file.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import count_volumes, read_header
from dixonflow.rawdata.content import ImageContents, read_file
from dixonflow.rawdata.geometry import is_oblique, upright_box, upright_grid, upright_rotation
from dixonflow.rawdata.nifti.sidecar import Sidecar, read_sidecar, sidecar_path
from dixonflow.rawdata.protocols import NO_SESSION
from dixonflow.rawdata.volumes import NiftiVolume, Volume
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import DIXON, Contrast, Reason, ScanId, ScanSequence

MAX_FILE_BYTES = 2 << 30
"""Of one image: a whole body in voxels of 1 mm, single precision, has 2 GB."""

_CONTRASTS = {contrast.acq: contrast for contrast in DIXON}
_NAME = re.compile(
    r"sub-(?P<participant>[A-Za-z0-9]+)(?:_ses-(?P<session>[A-Za-z0-9]+))?_acq-(?P<acq>[a-z]+)"
    r"(?:_chunk-(?P<chunk>[0-9]+))?_VIBE\.nii(?:\.gz)?"
)
_SINGLE_NAME = re.compile(
    r"sub-(?P<participant>[A-Za-z0-9]+)(?:_ses-(?P<session>[A-Za-z0-9]+))?(?:_[^.]*?)??(?:_chunk-(?P<chunk>[0-9]+))?"
    r"_[A-Za-z0-9]+\.nii(?:\.gz)?"
)
_PATTERNS = {
    ScanSequence.DIXON: ("anat", r".*_VIBE"),
    ScanSequence.HASTE: ("anat", r".*_acq-haste[^.]*_T2w"),
    ScanSequence.T2_TSE: ("anat", r"(?!.*_acq-haste).*_T2w"),
    ScanSequence.PD: ("anat", r".*_PDw"),
    ScanSequence.CT: ("ct", r".*_ct"),
    ScanSequence.OTHER: ("anat", r"(?!.*_(VIBE|T2w|PDw|dseg|mask)\.).*"),
}
"""Folder of a session, and the names of the images in it, by sequence; multi-echo VIBE comes as DICOM."""

FOURTH_AXIS = (Contrast.OPPOSED_PHASE, Contrast.IN_PHASE, Contrast.FAT, Contrast.WATER)
"""Order of the contrasts in NAKO's NIfTI files of four volumes, as public converters know it (facts of deliveries)."""

COMPOSED_MM = 600.0
"""A single volume that is taller than this was put together from stations; one station has about 300 mm."""


@dataclass(frozen=True)
class StationFile:
    """One image in a file.

    Attributes
    ----------
    contrast, chunk
        Contrast and number of the station.
    index, count
        Which of how many images on the fourth axis.
    whole
        Whether its name has no number of a station: the stations are put together already.
    """

    path: Path
    contrast: Contrast
    chunk: int
    index: int = 0
    count: int = 1
    whole: bool = False

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"acq-{self.contrast.acq}_chunk-{self.chunk}"


def image_paths(session: Path, sequence: ScanSequence) -> list[Path]:
    """All images of a sequence in a session folder, sorted by name: `anat/*_VIBE.nii.gz` of Dixon, `ct/*_ct.nii.gz`."""
    if sequence not in _PATTERNS:
        return []
    folder, pattern = _PATTERNS[sequence]
    found = (path for ending in ("*.nii", "*.nii.gz") for path in (session / folder).glob(ending))
    return sorted(
        path
        for path in found
        if not path.name.startswith(".") and re.fullmatch(rf"{pattern}\.nii(\.gz)?", path.name) is not None
    )


def with_sidecars(images: Sequence[Path]) -> list[Path]:
    """Images and those of their sidecars that are there."""
    return [*images, *(path for path in map(sidecar_path, images) if path.is_file())]


def no_image(sequence: ScanSequence) -> str:
    """What is wrong with a session folder without images."""
    names = {ScanSequence.DIXON: "*_VIBE", ScanSequence.CT: "ct/*_ct", ScanSequence.HASTE: "*_acq-haste_T2w"}
    names |= {ScanSequence.T2_TSE: "*_T2w", ScanSequence.PD: "*_PDw"}
    return f"the session folder holds no image {names.get(sequence, '*')}.nii.gz"


def single_files(session: Path, scan: ScanId) -> list[StationFile]:
    """Files of a scan of one image per station, with what their names say.

    Raises
    ------
    ScanExcluded
        `missing_contrast`, `unparsable_name`, `identity_mismatch` as `station_files`, `duplicate_scan` where there are
        several of one station: which one is meant nobody can tell.
    """
    paths = image_paths(session, scan.sequence)
    if not paths:
        raise ScanExcluded(Reason.MISSING_CONTRAST, no_image(scan.sequence))
    (contrast,) = scan.sequence.contrasts
    files = []
    for path in paths:
        match = _SINGLE_NAME.fullmatch(path.name)
        if match is None:
            message = f"the name of an image is not sub-*_ses-*[_chunk-*]_{scan.sequence.suffix}.nii.gz"
            raise ScanExcluded(Reason.UNPARSABLE_NAME, message)
        _check_identity(match, scan)
        files.append(StationFile(path, contrast, int(match["chunk"] or 1), whole=not match["chunk"]))
    if len({file.chunk for file in files}) < len(files):
        suffix = scan.sequence.suffix
        raise ScanExcluded(Reason.DUPLICATE_SCAN, f"{len(paths)} images *_{suffix}.nii.gz in one session: keep one")
    return files


def _check_identity(match: re.Match[str], scan: ScanId) -> None:
    if (match["participant"], match["session"] or NO_SESSION) != (scan.participant, scan.session):
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
    for path in image_paths(session, ScanSequence.DIXON):
        match = _NAME.fullmatch(path.name)
        if match is None or match["acq"] not in _CONTRASTS:
            acq = "|".join(_CONTRASTS)
            message = f"the name of an image is not sub-*_ses-*_acq-({acq})[_chunk-*]_VIBE.nii.gz"
            raise ScanExcluded(Reason.UNPARSABLE_NAME, message)
        _check_identity(match, scan)
        files.append(StationFile(path, _CONTRASTS[match["acq"]], int(match["chunk"] or 1), whole=not match["chunk"]))
    if not files:
        raise ScanExcluded(Reason.MISSING_CONTRAST, no_image(ScanSequence.DIXON))
    return files


def session_fingerprint(session: Path, sequence: ScanSequence, contents: ImageContents | None = None) -> str:
    """SHA-256 over names and contents of the images.

    Participant and session are left out of names that have both.

    Parameters
    ----------
    contents
        The images are added to these, with the contrast that their names say.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where an image is absurdly large.
    """
    digest = hashlib.sha256()
    for path in image_paths(session, sequence):
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise ScanExcluded(Reason.UNREADABLE_FILE, f"an image of {size} bytes is too large for a body scan")
        named = _NAME.fullmatch(path.name) if sequence is ScanSequence.DIXON else None
        digest.update(_name_in_fingerprint(path) + b"\0")
        digest.update(read_file(path, contents, named["acq"] if named else ""))
    return digest.hexdigest()


def session_fingerprint_0_1(session: Path, sequence: ScanSequence) -> str:
    """The fingerprint that version 0.1 took: of compressed files their size and their last 8 bytes only.

    What was processed under it stands while its files do not change.
    """
    digest = hashlib.sha256()
    for path in image_paths(session, sequence):
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


def files_of_four(paths: Sequence[Path]) -> list[StationFile]:
    """Images of files that hold four contrasts on their fourth axis, one file per station.

    Parameters
    ----------
    paths
        In the order of the names of their folders, which number the stations.

    Raises
    ------
    ScanExcluded
        `unreadable_file`, `missing_contrast` where a file does not hold four images.
    """
    files = []
    for number, path in enumerate(paths, 1):
        count = count_volumes(path)
        if count != len(FOURTH_AXIS):
            message = f"file {number} of {len(paths)} holds {count} images, {len(FOURTH_AXIS)} contrasts are expected"
            raise ScanExcluded(Reason.MISSING_CONTRAST, message)
        files += [StationFile(path, contrast, number, index, count) for index, contrast in enumerate(FOURTH_AXIS)]
    return files


def volumes_of_files(files: Sequence[StationFile]) -> tuple[list[Volume], list[str]]:
    """Grids of all files, from their headers, and what is to be said of their sidecars.

    Raises
    ------
    ScanExcluded
        `unreadable_file`, `unexpected_geometry`, `spacing_mismatch`, or `contrast_mismatch` with a sidecar.
    """
    volumes, notes = [], []
    rotation = None
    for file in files:
        shape, affine = read_header(file.path, file.count)
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        oblique = file.contrast not in DIXON and is_oblique(directions)
        if rotation is None and not oblique:
            rotation = upright_rotation(directions, file.name)
        if oblique:
            grid = upright_box(shape, affine, file.name)
        else:
            grid = upright_grid(shape, affine, np.eye(3) if rotation is None else rotation, file.name)
        sidecar = Sidecar() if file.count > 1 else read_sidecar(file.path, file.contrast, file.name)
        notes += [sidecar.note] if sidecar.note else []
        volumes.append(
            Volume(
                file.contrast,
                grid,
                file.name,
                NiftiVolume(file.path, file.index, file.count, sidecar.scanner),
                sidecar.echo_time_ms,
                acquired_s=float(file.chunk) if file.count > 1 else None,
                oblique=affine if oblique else None,
            )
        )
    return volumes, notes


def check_chunks(files: Sequence[StationFile], stations: Sequence[Mapping[Contrast, Volume]]) -> None:
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
        found = sorted({chunk_of[each.files.path] for each in station.values() if isinstance(each.files, NiftiVolume)})
        if len(found) != 1:
            raise ScanExcluded(
                Reason.SPACING_MISMATCH,
                f"station {number} from the head consists of files numbered {', '.join(map(str, found))}",
            )
