"""Fuzz targets of raw scans: zips of slices, headers of slices, NIfTI files and sessions of them."""

import gzip
import io
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
from bids_session import write_session
from mutators import mutate_gzip, mutate_plainly, mutate_zip
from raw_scan_files import encode, make_stations, scan_slices, write_scan_zip
from targets import Target

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.rawdata.dicom.header import read_headers
from dixonflow.rawdata.nifti.bids import session_fingerprint
from dixonflow.rawdata.raw_scan import RawScan, ReadOptions
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.rawdata.zip_archive import open_archive, zip_fingerprint
from dixonflow.vocabulary import Layout, ScanId

_SCAN = ScanId("0001234", "1")
_SHAPE = (18, 16, 4)
_ONE_STATION = ReadOptions(stations=1)
_SUFFIX = "_acq-water_chunk-1_VIBE.nii.gz"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read_scan_zip(data: bytes, folder: Path) -> None:
    path = _made(folder) / f"{_SCAN.participant}_20201_2_0.zip"
    path.write_bytes(data)
    raw = RawScan(_SCAN, Layout.UKB, path, zip_fingerprint(path), options=_ONE_STATION)
    inspect(raw)
    read_stations(raw)


def _scan_zips(folder: Path) -> list[bytes]:
    slices = scan_slices(make_stations(1, shape=_SHAPE))
    return [
        write_scan_zip(folder / "explicit.zip", slices).read_bytes(),
        write_scan_zip(folder / "implicit.zip", slices, lambda ds: encode(ds, implicit=True)).read_bytes(),
    ]


def _read_header(data: bytes, folder: Path) -> None:
    path = _made(folder) / "slice.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("slice.dcm", data)
    with open_archive(path) as archive:
        read_headers(archive.members()[0])


def _headers(_: Path) -> list[bytes]:
    slices = scan_slices(make_stations(1, shape=_SHAPE))
    return [encode(item.ds, implicit) for item in slices[::6] for implicit in (False, True)]


def _read_nifti(data: bytes, folder: Path) -> None:
    path = _made(folder) / ("image.nii.gz" if data.startswith(b"\x1f\x8b") else "image.nii")
    path.write_bytes(data)
    read_nifti(path)


def _niftis(folder: Path) -> list[bytes]:
    path, files = folder / "image.nii.gz", []
    for dtype in ("uint8", "int16", "float32"):
        write_nifti(path, np.arange(90).reshape(6, 5, 3).astype(dtype), np.diag([2.0, 2.0, 3.0, 1.0]))
        files += [path.read_bytes(), gzip.decompress(path.read_bytes())]
    other = nib.Nifti2Image(np.arange(90, dtype=np.float64).reshape(6, 5, 3), np.diag([2.0, 2.0, 3.0, 1.0]))
    stream = io.BytesIO()
    other.to_stream(stream)
    return [*files, stream.getvalue(), gzip.compress(stream.getvalue(), 1, mtime=0)]


def _read_session(data: bytes, folder: Path) -> None:
    session = folder / f"sub-{_SCAN.participant}" / f"ses-{_SCAN.session}"
    if not session.exists():
        write_session(folder, _SCAN, make_stations(1, shape=_SHAPE))
    (session / "anat" / f"{_SCAN.name}{_SUFFIX}").write_bytes(data)
    raw = RawScan(_SCAN, Layout.BIDS, session, session_fingerprint(session, Layout.BIDS))
    inspect(raw)
    read_stations(raw)


def _session_files(folder: Path) -> list[bytes]:
    session = write_session(folder, _SCAN, make_stations(1, shape=_SHAPE))
    return [(session / "anat" / f"{_SCAN.name}{_SUFFIX}").read_bytes()]


SCAN_ZIP = Target(_read_scan_zip, (ScanExcluded,), _scan_zips, mutate_zip)
DICOM_HEADER = Target(_read_header, (ScanExcluded,), _headers, mutate_plainly, 1 << 13)
NIFTI = Target(_read_nifti, (ScanExcluded,), _niftis, mutate_gzip(mutate_plainly), 1 << 13)
BIDS_SESSION = Target(_read_session, (ScanExcluded,), _session_files, mutate_gzip(mutate_plainly), 1 << 13)
