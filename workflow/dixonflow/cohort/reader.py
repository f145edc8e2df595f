"""Look into one scan: first at its headers, then at its pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dixonflow.cohort.archive import Archive, open_archive, unreadable, zip_fingerprint
from dixonflow.cohort.arrange import Volume, arrange
from dixonflow.cohort.bids import check_chunks, ct_file, session_fingerprint, station_files, volumes_of_files
from dixonflow.cohort.header import SliceHeader, read_header
from dixonflow.cohort.layouts import expected_stations
from dixonflow.cohort.pixels import check_length, read_volume
from dixonflow.cohort.raw import RawFiles
from dixonflow.cohort.series import volumes_of
from dixonflow.errors import DixonflowError, ScanExcluded
from dixonflow.nifti import read_nifti
from dixonflow.station import Station
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
    match_patient_id
        Exclude a scan whose PatientID is neither the participant's id nor begins with it and an underscore. Off: the
        headers that UK Biobank delivers may carry pseudonyms.
    """

    n_stations: Mapping[Layout, int] = field(default_factory=dict)
    match_patient_id: bool = False

    def stations(self, layout: Layout) -> int | None:
        """Number of stations of a complete scan; None takes as many as there are."""
        return self.n_stations.get(layout, expected_stations(layout))


DEFAULT_OPTIONS = InspectOptions()

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
    """

    shapes: tuple[tuple[int, int, int], ...]
    spacings_mm: tuple[tuple[float, float, float], ...]
    n_slices: int
    notes: tuple[str, ...] = ()

    @property
    def n_stations(self) -> int:
        """Number of stations."""
        return len(self.shapes)


def inspect(raw: RawFiles, options: InspectOptions = DEFAULT_OPTIONS) -> RawSummary:
    """Read the headers of a scan and check that it is whole.

    Raises
    ------
    ScanExcluded
        With the most fundamental reason; the order is that of `arrange`.
    OSError
        If the disk, not the data, is at fault.
    """
    notes = list[str]()
    if raw.layout.has_session_folders:
        stations = _arrange_files(raw, options)
    else:
        with open_archive(raw.path) as archive:
            stations, notes = _arrange_dicom(archive, raw, options)
    grids = [next(iter(station.values())).grid for station in stations]
    spacings = []
    for grid in grids:
        x, y, z = grid.spacing_mm.tolist()
        spacings.append((x, y, z))
    return RawSummary(
        tuple(grid.shape for grid in grids), tuple(spacings), sum(grid.shape[2] for grid in grids), tuple(notes)
    )


def read_stations(raw: RawFiles, options: InspectOptions = DEFAULT_OPTIONS) -> list[Station]:
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
        If the fingerprint is not `raw.raw_key` any more: the cohort stage has to look again.
    OSError
        If the disk, not the data, is at fault.
    """
    if raw.layout.has_session_folders:
        _check_key(session_fingerprint(raw.path, raw.layout), raw)
        stations = _arrange_files(raw, options)
        return [_station(index, station, _read_file) for index, station in enumerate(stations)]
    with open_archive(raw.path) as archive:
        _check_key(zip_fingerprint(raw.path), raw)
        stations, _ = _arrange_dicom(archive, raw, options)
        infos = {info.filename: info for info in archive.images}

        def read(volume: Volume) -> NDArray[np.generic]:
            assert not isinstance(volume.files, Path)
            return read_volume(archive, infos, volume.files, volume.grid)

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


def _check_key(found: str, raw: RawFiles) -> None:
    if found != raw.raw_key:
        raise RawDataChangedError("the raw data has changed since the cohort stage saw it: run the workflow again")


def _arrange_files(raw: RawFiles, options: InspectOptions) -> ArrangedStations:
    if raw.scan is None:
        raise ValueError("an entry without participant and session is no scan")
    if raw.layout is Layout.CT:
        return [{Contrast.CT: volumes_of_files([ct_file(raw.path, raw.scan)])[0]}]
    files = station_files(raw.path, raw.scan)
    stations = arrange(volumes_of_files(files), options.stations(raw.layout))
    check_chunks(files, [list(station.values()) for station in stations])
    return stations


def _arrange_dicom(archive: Archive, raw: RawFiles, options: InspectOptions) -> tuple[ArrangedStations, list[str]]:
    if raw.scan is None:
        raise ValueError("an entry without participant and session is no scan")
    headers: list[SliceHeader] = []
    truncated: list[ScanExcluded] = []
    for info in archive.images:
        name = PurePosixPath(info.filename).name
        header = read_header(archive.stream(info), info.filename, name)
        if header is None:
            continue
        headers.append(header)
        try:
            check_length(header, info.file_size, name)
        except ScanExcluded as problem:
            truncated.append(problem)
    if not headers:
        raise unreadable("the zip holds no DICOM image")
    if truncated:
        raise truncated[0]
    _check_identity(headers, raw.scan.participant if options.match_patient_id else None)
    volumes, notes = volumes_of(headers)
    return arrange(volumes, options.stations(raw.layout), notes), notes


def _check_identity(headers: Sequence[SliceHeader], participant: str | None) -> None:
    found = {header.patient_id for header in headers}
    if len(found) > 1:
        raise ScanExcluded(Reason.IDENTITY_MISMATCH, f"files of {len(found)} different patient ids in one scan")
    if participant is not None and found.pop().partition("_")[0] != participant:
        raise ScanExcluded(Reason.IDENTITY_MISMATCH, "the patient id inside the files is not that of the file name")
