"""Inspect one scan: first its headers, then its pixels."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError, ScanExcluded
from dixonflow.imaging.contrast_sums import check_contrasts
from dixonflow.imaging.station import Station
from dixonflow.rawdata.acquisition import StationAcquisition, acquisition_of
from dixonflow.rawdata.dicom.scan import DicomScan, dicom_scan
from dixonflow.rawdata.fingerprint import raw_fingerprint
from dixonflow.rawdata.geometry import unexpected
from dixonflow.rawdata.nifti.bids import (
    COMPOSED_MM,
    check_chunks,
    files_of_four,
    session_fingerprint_0_1,
    single_files,
    station_files,
    volumes_of_files,
)
from dixonflow.rawdata.no_data import without_missing
from dixonflow.rawdata.protocols import contrast_of_part, part_of_path
from dixonflow.rawdata.raw_files import OpenScan, open_raw_files
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.repeated_stations import Acquisition, chosen_in_words
from dixonflow.rawdata.stations import ArrangedStations, Protocol, arrange
from dixonflow.rawdata.volumes import Volume, reached, read_volume, single_volumes, volumes_of
from dixonflow.vocabulary import Contrast, Layout, Reason, ScanSequence


class RawDataChangedError(DixonflowError):
    """The raw data is not what the cohort stage saw."""


READER_VERSION = 4
"""Raised when a change of the code changes what is said about raw data: scans that earlier versions inspected are
inspected again, and scans that they excluded are retried. Scans that they read stay valid."""

PADDING, OUTLIERS, PHILIPS = "padding", "outliers", "scale slope"
"""What earlier versions read wrongly: padding as data, few voxels so bright that no grey levels were left, and values
that Philips scales for display."""


@dataclass(frozen=True)
class RawSummary:
    """What the headers of a whole scan say.

    Attributes
    ----------
    shapes, spacings_mm
        Matrix and voxel size (x, y, z) of each station, head to feet.
    n_slices
        Of all stations, one contrast.
    notes
        Series and files that are no part of the scan, and what was chosen.
    patient_id_matches
        Whether the patient id in the files is the participant's; None where they hold none.
    reading
        What is read that earlier versions read wrongly, or that depends on options; empty for nothing.
    acquisitions
        What the headers say of each station.
    """

    shapes: tuple[tuple[int, int, int], ...]
    spacings_mm: tuple[tuple[float, float, float], ...]
    n_slices: int
    notes: tuple[str, ...] = ()
    patient_id_matches: bool | None = None
    reading: str = ""
    acquisitions: tuple[StationAcquisition, ...] = ()

    @property
    def n_stations(self) -> int:
        """Number of stations."""
        return len(self.shapes)


def inspect(raw: RawScan) -> RawSummary:
    """Read the headers of a scan and check that it is whole.

    Raises
    ------
    ScanExcluded
        With the most fundamental reason; the order is that of `arrange`.
    OSError
        If the disk, not the data, is at fault.
    """
    with _arranged(raw) as found:
        grids = [next(iter(station.values())).grid for station in found.stations]
        acquisitions = [
            acquisition_of(
                number,
                grid,
                {contrast: volume.echo_time_ms for contrast, volume in station.items()},
                next(iter(station.values())).scanner,
            )
            for number, (grid, station) in enumerate(zip(grids, found.stations, strict=True), 1)
        ]
    return RawSummary(
        tuple(each.matrix for each in acquisitions),
        tuple(each.spacing_mm for each in acquisitions),
        sum(grid.shape[2] for grid in grids),
        tuple(found.notes),
        found.patient_id_matches,
        found.reading,
        tuple(acquisitions),
    )


def read_stations(raw: RawScan) -> list[Station]:
    """Read all images of a scan.

    Where the stations are tilted by up to 1 degree, all of them are turned upright by the same rotation: affines are
    then in that turned frame.

    Returns
    -------
    Head to feet; four contrasts each, one grid, (x, y, z) in RAS+, int16 or int32, or float32 where headers scale. A CT
    is one station with one image.

    Raises
    ------
    ScanExcluded
        As `inspect`, and `truncated_pixels`, `unreadable_file`, `empty_image` for what only the pixels tell.
    RawDataChangedError
        If the fingerprint is not `raw.raw_key` any more: the cohort stage has to inspect it again.
    OSError
        If the disk, not the data, is at fault.
    """
    fingerprints = [raw_fingerprint(raw.layout, raw.paths, raw.sequence)]
    if raw.layout.has_session_folders:
        fingerprints.append(session_fingerprint_0_1(raw.path, raw.sequence))
    keys = {key_of_reading(found, reading) for found in fingerprints for reading in ("", PADDING, OUTLIERS)}
    try:
        with _arranged(raw) as found:
            if raw.raw_key not in keys and raw.raw_key != key_of_reading(fingerprints[0], found.reading):
                raise RawDataChangedError("the raw data changed after the cohort stage: run the workflow again")
            return [_station(index, station) for index, station in enumerate(found.stations)]
    except ScanExcluded as problem:
        if raw.raw_key in keys:
            raise
        raise RawDataChangedError("the raw data changed after the cohort stage: run the workflow again") from problem


def scan_rotation(raw: RawScan) -> NDArray[np.float64]:
    """Rotation (3x3) from the patient's space of the headers to that of the stitched images.

    It is the identity but for scans that are tilted by up to 1 degree.

    Raises
    ------
    ScanExcluded
        As `inspect`; also `unexpected_geometry` where stations were turned by different rotations.
    OSError
        If the disk, not the data, is at fault.
    """
    with _arranged(raw) as found:
        turns = [volume.grid.rotation for station in found.stations for volume in station.values()]
    first, *others = (np.eye(3) if turn is None else turn for turn in turns)
    if not all(np.allclose(first, other, atol=1e-6) for other in others):
        raise unexpected("stations are tilted against each other: there is no one place for its voxels")
    return first


def key_of_reading(raw_key: str, reading: str) -> str:
    """Fingerprint of a scan for its content keys: another one where earlier versions read the same content wrongly."""
    return hashlib.sha256(f"{raw_key} {reading}".encode()).hexdigest() if reading else raw_key


def _station(index: int, volumes: Mapping[Contrast, Volume]) -> Station:
    images: dict[Contrast, NDArray[np.generic]] = {}
    for contrast in sorted(volumes, key=list(Contrast).index):
        images[contrast] = read_volume(volumes[contrast])
    images = without_missing(images, f"station {index + 1}")
    for contrast, image in images.items():
        low, high = image.min(), image.max()
        if low == high or not (np.isfinite(low) and np.isfinite(high)):
            what = "is constant" if low == high else "holds values that are not finite"
            raise ScanExcluded(Reason.EMPTY_IMAGE, f"station {index + 1}: the {contrast} image {what}")
    first = next(iter(volumes.values()))
    return Station(index, images, first.grid.affine, reached(first))


@dataclass(frozen=True)
class _ArrangedScan:
    """The stations of a scan and what was found in addition; attributes as in `RawSummary`."""

    stations: Sequence[Mapping[Contrast, Volume]]
    notes: Sequence[str] = ()
    patient_id_matches: bool | None = None
    reading: str = ""


@contextmanager
def _arranged(raw: RawScan) -> Iterator[_ArrangedScan]:
    """Stations of a scan whose files are open: their pixels can be read meanwhile."""
    if raw.layout.has_session_folders or raw.path.name.endswith((".nii", ".nii.gz")):
        yield _arrange_files(raw)
        return
    named = {}
    if raw.layout is Layout.NAKO:
        by_name = {number: contrast_of_part(path) for number, path in enumerate(raw.paths)}
        named = {number: contrast for number, contrast in by_name.items() if contrast in raw.sequence.images}
    with open_raw_files(raw.paths, recursive=raw.layout is not Layout.DICOM) as opened:
        found = dicom_scan(opened.files, raw.options, named)
        arranged = _arrange_dicom(found, raw)
        notes = _check_manifests(opened, arranged.stations, found)
        yield replace(arranged, notes=[*arranged.notes, *notes])


def _check_manifests(opened: OpenScan, stations: Sequence[Mapping[Contrast, Volume]], found: DicomScan) -> list[str]:
    """Check that no slice is missing that a manifest lists: one that is lost in all contrasts leaves no other trace.

    Gives notes of manifests that list nothing.

    Raises
    ------
    ScanExcluded
        `missing_slice`.
    """
    volumes = [volume for station in stations for volume in station.values()]
    used = {header.series_uid for volume in volumes for header in volume.files}  # type: ignore[union-attr]
    for container, manifest in opened.manifests.items():
        present = [file.own_name for file in opened.files if file.container == container]
        lost = manifest.missing(present, used, found.series_uids)
        if lost:
            message = f"{lost} of the files that its manifest lists are missing"
            raise ScanExcluded(Reason.MISSING_SLICE, message)
    return ["a manifest cannot be read and was not compared" for each in opened.manifests.values() if not each.rows]


def _arrange_files(raw: RawScan) -> _ArrangedScan:
    if not raw.layout.has_session_folders:
        files = files_of_four(raw.paths)
    elif raw.sequence is ScanSequence.DIXON:
        files = station_files(raw.path, raw.scan)
    else:
        files = single_files(raw.path, raw.scan)
    volumes, notes = volumes_of_files(files)
    tall = volumes[0].high_mm - volumes[0].low_mm > COMPOSED_MM
    whole = len({file.chunk for file in files}) == 1 and (tall or all(file.whole for file in files))
    arranged = arrange(volumes, _protocol(raw, volumes, whole=whole), notes, _agrees)
    if not arranged.repeated:
        check_chunks(files, arranged.stations)
    return _ArrangedScan(arranged.stations, arranged.notes, reading=_reading(raw, arranged))


def _arrange_dicom(found: DicomScan, raw: RawScan) -> _ArrangedScan:
    if len(raw.sequence.images) == 1:
        volumes, notes = single_volumes(found.stacks, raw.sequence.contrasts[0])
    else:
        wanted = [stack for stack in found.stacks if stack.contrast is None or stack.contrast in raw.sequence.images]
        volumes, notes = volumes_of(wanted)
    # the tags of composed Dixon images say so, those of other sequences may not
    composed = raw.sequence is not ScanSequence.DIXON and any(part_of_path(path) == "composed" for path in raw.paths)
    whole = raw.layout is Layout.NAKO and composed
    arranged = arrange(volumes, _protocol(raw, volumes, whole=whole), [*found.notes, *notes], _agrees)
    slices = [header for station in arranged.stations for volume in station.values() for header in volume.files]  # type: ignore[union-attr]
    padding = PADDING if any(header.padding for header in slices) else ""
    philips = PHILIPS if any(header.display_slope is not None for header in slices) else ""
    reading = "; ".join(filter(None, (padding, philips, _reading(raw, arranged))))
    return _ArrangedScan(arranged.stations, arranged.notes, found.patient_id_matches(raw.scan.participant), reading)


def _protocol(raw: RawScan, volumes: Sequence[Volume], *, whole: bool = False) -> Protocol:
    """What the scan has to consist of; a single volume that is whole already may be any scan."""
    there = {volume.contrast for volume in volumes}
    contrasts = (*raw.sequence.contrasts, *(contrast for contrast in raw.sequence.further if contrast in there))
    expected = None if whole else raw.options.expected_stations(raw.layout, raw.sequence)
    return Protocol(contrasts, expected, raw.options.duplicates)


def _agrees(acquisition: Acquisition) -> bool:
    """Whether in phase is water + fat in an acquisition of a station."""
    wanted = (Contrast.IN_PHASE, Contrast.WATER, Contrast.FAT)
    if any(contrast not in acquisition for contrast in wanted):
        return True
    try:
        in_phase, water, fat = (read_volume(acquisition[contrast]) for contrast in wanted)
        check_contrasts(in_phase, water, fat, "")
    except ScanExcluded:
        return False
    return True


def _reading(raw: RawScan, arranged: ArrangedStations) -> str:
    """What was chosen, where options or pixels decided: another choice is another content."""
    chosen = chosen_in_words(arranged.repeated or {})
    time = [f"time point {raw.options.time_point}"] if raw.options.time_point != 1 else []
    return "; ".join(chosen + time)
