"""Inspect one scan: first its headers, then its pixels."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError, ScanExcluded
from dixonflow.imaging.nifti import read_nifti
from dixonflow.imaging.station import Station
from dixonflow.rawdata.bids import (
    check_chunks,
    ct_file,
    session_fingerprint,
    session_fingerprint_0_1,
    station_files,
    volumes_of_files,
)
from dixonflow.rawdata.dicom_header import HeaderBudget, read_header
from dixonflow.rawdata.dicom_pixels import check_length, read_volume
from dixonflow.rawdata.identity import matches
from dixonflow.rawdata.protocols import expected_stations
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.series import volumes_of
from dixonflow.rawdata.slice_header import SliceHeader
from dixonflow.rawdata.stations import Volume, arrange
from dixonflow.rawdata.zip_archive import Archive, open_archive, unreadable, zip_fingerprint
from dixonflow.vocabulary import Contrast, Layout, Reason


class RawDataChangedError(DixonflowError):
    """The raw data is not what the cohort stage saw."""


@dataclass(frozen=True)
class InspectOptions:
    """What is asked of a scan.

    Attributes
    ----------
    n_stations
        Number of stations of a complete scan where it is not the usual one of the layout.
    """

    n_stations: Mapping[Layout, int] = field(default_factory=dict)

    def stations(self, layout: Layout) -> int | None:
        """Number of stations of a complete scan; None takes as many as there are."""
        return self.n_stations.get(layout, expected_stations(layout))


DEFAULT_OPTIONS = InspectOptions()

READER_VERSION = 2
"""Raised when a change of the code changes what is said about raw data: scans that earlier versions inspected are
inspected again, and scans that they excluded are retried. Scans that they read stay valid."""

PADDING, OUTLIERS = "padding", "outliers"
"""What earlier versions read wrongly: padding as data, and few voxels so bright that no grey levels were left."""

ArrangedStations = list[Mapping[Contrast, Volume]]


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
        Series that are no part of the scan.
    patient_id_matches
        Whether the patient id in the files is the participant's; None where they hold none.
    reading
        What in the headers earlier versions read wrongly; empty for nothing.
    """

    shapes: tuple[tuple[int, int, int], ...]
    spacings_mm: tuple[tuple[float, float, float], ...]
    n_slices: int
    notes: tuple[str, ...] = ()
    patient_id_matches: bool | None = None
    reading: str = ""

    @property
    def n_stations(self) -> int:
        """Number of stations."""
        return len(self.shapes)


def inspect(raw: RawScan, options: InspectOptions = DEFAULT_OPTIONS) -> RawSummary:
    """Read the headers of a scan and check that it is whole.

    Raises
    ------
    ScanExcluded
        With the most fundamental reason; the order is that of `arrange`.
    OSError
        If the disk, not the data, is at fault.
    """
    found = _ArrangedScan([])
    if raw.layout.has_session_folders:
        found = _ArrangedScan(_arrange_files(raw, options))
    else:
        with open_archive(raw.path) as archive:
            found = _arrange_dicom(archive, raw, options)
    stations = found.stations
    grids = [next(iter(station.values())).grid for station in stations]
    spacings = []
    for grid in grids:
        x, y, z = grid.spacing_mm.tolist()
        spacings.append((x, y, z))
    return RawSummary(
        tuple(grid.shape for grid in grids),
        tuple(spacings),
        sum(grid.shape[2] for grid in grids),
        tuple(found.notes),
        found.patient_id_matches,
        found.reading,
    )


def read_stations(raw: RawScan, options: InspectOptions = DEFAULT_OPTIONS) -> list[Station]:
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
    if raw.layout.has_session_folders:
        if not _is_key(session_fingerprint_0_1(raw.path, raw.layout), raw):
            _check_key(session_fingerprint(raw.path, raw.layout), raw)
        stations = _arrange_files(raw, options)
        return [_station(index, station, _read_file) for index, station in enumerate(stations)]
    with open_archive(raw.path) as archive:
        _check_key(zip_fingerprint(raw.path), raw)
        stations = _arrange_dicom(archive, raw, options).stations

        def read(volume: Volume) -> NDArray[np.generic]:
            assert not isinstance(volume.files, Path)
            return read_volume(archive, volume.files, volume.grid)

        return [_station(index, station, read) for index, station in enumerate(stations)]


def _station(index: int, volumes: Mapping[Contrast, Volume], read: Callable[[Volume], NDArray[np.generic]]) -> Station:
    images = {}
    for contrast in sorted(volumes, key=list(Contrast).index):
        image = read(volumes[contrast])
        low, high = image.min(), image.max()
        if low == high or not (np.isfinite(low) and np.isfinite(high)):
            what = "is constant" if low == high else "holds values that are not finite"
            raise ScanExcluded(Reason.EMPTY_IMAGE, f"station {index + 1}: the {contrast} image {what}")
        images[contrast] = image
    return Station(index, images, next(iter(volumes.values())).grid.affine)


def _read_file(volume: Volume) -> NDArray[np.generic]:
    assert isinstance(volume.files, Path)
    image = read_nifti(volume.files)
    if image.data.shape != volume.grid.shape:
        raise unreadable(f"{volume.name}: its matrix is not the one of its header")
    return image.data


def _check_key(found: str, raw: RawScan) -> None:
    if not _is_key(found, raw):
        raise RawDataChangedError("the raw data changed after the cohort stage: run the workflow again")


def _is_key(found: str, raw: RawScan) -> bool:
    return raw.raw_key in {key_of_reading(found, reading) for reading in ("", PADDING, OUTLIERS)}


def _arrange_files(raw: RawScan, options: InspectOptions) -> ArrangedStations:
    if raw.layout is Layout.CT:
        return [{Contrast.CT: volumes_of_files([ct_file(raw.path, raw.scan)])[0]}]
    files = station_files(raw.path, raw.scan)
    stations = arrange(volumes_of_files(files), options.stations(raw.layout))
    check_chunks(files, [list(station.values()) for station in stations])
    return stations


@dataclass(frozen=True)
class _ArrangedScan:
    """The stations of a scan and what was found in addition; attributes as in `RawSummary`."""

    stations: ArrangedStations
    notes: Sequence[str] = ()
    patient_id_matches: bool | None = None
    reading: str = ""


def _arrange_dicom(archive: Archive, raw: RawScan, options: InspectOptions) -> _ArrangedScan:
    headers: list[SliceHeader] = []
    truncated: list[ScanExcluded] = []
    budget = HeaderBudget()
    for number, entry in enumerate(archive.images, 1):
        # names inside the zip are whatever somebody typed: messages count the files instead, in the order of the names
        name = f"file {number} of {len(archive.images)} in the zip"
        header = read_header(archive.stream(entry, name), entry, name, budget)
        if header is None:
            continue
        headers.append(header)
        try:
            check_length(header, entry.file_size)
        except ScanExcluded as problem:
            truncated.append(problem)
    if not headers:
        raise unreadable("the zip contains no DICOM image")
    if truncated:
        raise truncated[0]
    patient_ids = {header.patient_id for header in headers if header.patient_id}
    if len(patient_ids) > 1:
        message = f"files of {len(patient_ids)} different patient ids in one scan"
        raise ScanExcluded(Reason.IDENTITY_MISMATCH, message)
    patient_id = patient_ids.pop() if patient_ids else ""
    volumes, notes = volumes_of(headers)
    return _ArrangedScan(
        arrange(volumes, options.stations(raw.layout), notes),
        notes,
        matches(patient_id, raw.scan.participant) if patient_id else None,
        PADDING if any(header.padding for header in headers) else "",
    )


def key_of_reading(raw_key: str, reading: str) -> str:
    """Fingerprint of a scan for its content keys: another one where earlier versions read the same content wrongly."""
    return hashlib.sha256(f"{raw_key} {reading}".encode()).hexdigest() if reading else raw_key
