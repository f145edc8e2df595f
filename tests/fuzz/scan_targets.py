"""Fuzz targets of raw scans: zips of slices, headers of slices, NIfTI files and sessions of them."""

import gzip
import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from bids_session import write_session
from dicom_encodings import SYNTAXES, enhanced, saved
from dicom_series import affine_of, series, turned, write_series_zip
from mutators import mutate_gzip, mutate_json, mutate_plainly, mutate_zip
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian
from raw_scan_files import encode, make_stations, scan_slices, write_scan_zip
from targets import Target

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import count_volumes, read_header, read_nifti, write_nifti
from dixonflow.rawdata.dicom.header import read_headers
from dixonflow.rawdata.dicom.pixels import read_slices
from dixonflow.rawdata.dicom.series import stacks_of
from dixonflow.rawdata.fingerprint import raw_fingerprint
from dixonflow.rawdata.manifest import read_manifest
from dixonflow.rawdata.nifti.bids import session_fingerprint
from dixonflow.rawdata.nifti.sidecar import read_sidecar
from dixonflow.rawdata.raw_files import LooseFile
from dixonflow.rawdata.raw_scan import RawScan, ReadOptions
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.rawdata.zip_archive import zip_fingerprint
from dixonflow.vocabulary import Contrast, Layout, ScanId, ScanSequence

_SCAN = ScanId("0001234", "1")
_SHAPE = (18, 16, 4)
_ONE_STATION = ReadOptions(stations=1)
_COMPRESSED = ("RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000")
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


def _read_other_zip(data: bytes, folder: Path) -> None:
    path = _made(folder) / "series.zip"
    path.write_bytes(data)
    scan = ScanId(_SCAN.participant, _SCAN.session, ScanSequence.OTHER)
    raw = RawScan(scan, Layout.DICOM, path, raw_fingerprint(Layout.DICOM, [path], scan.sequence))
    with suppress(ScanExcluded):
        read_stations(replace(raw, scan=replace(scan, sequence=ScanSequence.CT)))
    inspect(raw)
    read_stations(raw)


def _other_zips(folder: Path) -> list[bytes]:
    zips = []
    for name, directions, more in (("axial", np.eye(3), {}), ("oblique", turned(20.0, 0), {}), ("ct", np.eye(3), _CT)):
        image = np.arange(np.prod(_SHAPE), dtype=np.int16).reshape(_SHAPE)
        entries = series(image, affine_of(directions, (2.0, 2.0, 3.0), image.shape, (0.0, 0.0, 0.0)), **more)
        zips.append(write_series_zip(folder / f"{name}.zip", entries).read_bytes())
    return zips


def _read_single_image(data: bytes, folder: Path) -> None:
    scan = ScanId(_SCAN.participant, _SCAN.session, ScanSequence.T2_TSE)
    session = folder / f"sub-{scan.participant}" / f"ses-{scan.session}"
    (session / "anat").mkdir(parents=True, exist_ok=True)
    (session / "anat" / f"{scan.session_name}_T2w.nii.gz").write_bytes(data)
    raw = RawScan(scan, Layout.BIDS, session, session_fingerprint(session, scan.sequence))
    inspect(raw)
    read_stations(raw)


def _single_images(folder: Path) -> list[bytes]:
    files = []
    for degrees in (0.0, 20.0):
        image = np.arange(np.prod(_SHAPE), dtype=np.int16).reshape(_SHAPE)
        affine = affine_of(turned(degrees, 0), (2.0, 2.0, 3.0), image.shape, (0.0, 0.0, 0.0))
        write_nifti(folder / "image.nii.gz", image, affine)
        files.append((folder / "image.nii.gz").read_bytes())
    return files


def _read_slice(data: bytes, folder: Path) -> None:
    path = _made(folder) / "slice.dcm"
    path.write_bytes(data)
    found = read_headers(LooseFile(path, "slice", len(data)))
    if isinstance(found, tuple):
        for stack in stacks_of(found)[0]:
            read_slices(stack.slices)


def _headers(_: Path) -> list[bytes]:
    slices = scan_slices(make_stations(1, shape=_SHAPE))
    return [encode(item.ds, implicit) for item in slices[::6] for implicit in (False, True)]


def _odd_headers(_: Path) -> list[bytes]:
    slices = [item.ds for item in scan_slices(make_stations(1, shape=_SHAPE))[:4]]
    files = [SYNTAXES[name](slices[0]) for name in SYNTAXES if name not in ("explicit", "implicit", *_COMPRESSED)]
    return [*files, saved(enhanced(slices), ExplicitVRLittleEndian), saved(enhanced(slices), ExplicitVRBigEndian)]


def _compressed(_: Path) -> list[bytes]:
    ds = scan_slices(make_stations(1, shape=_SHAPE))[0].ds
    return [SYNTAXES[name](ds) for name in _COMPRESSED]


def _read_manifest(data: bytes, folder: Path) -> None:
    del folder
    manifest = read_manifest(data)
    manifest.missing(["1.2.3.dcm"], {"1.2.9"}, {"1.2.9", "1.2.8"})


def _manifests(_: Path) -> list[bytes]:
    rows = ["filename,patientid,studyid,date,modality,seriesid,series discription,size"]
    rows += [f"1.2.{number}.dcm,1000017,1.2.7,May 4, 2016,MR,1.2.{9 - number % 2},Dixon,99" for number in range(4)]
    return ["\n".join(rows).encode(), b"\xef\xbb\xbf" + "\r\n".join(rows).encode()]


def _read_sidecar(data: bytes, folder: Path) -> None:
    path = _made(folder) / "image.json"
    path.write_bytes(data)
    read_sidecar(path.with_name("image.nii.gz"), Contrast.WATER, "acq-water_chunk-1")


def _sidecars(_: Path) -> list[bytes]:
    content = {
        **{"Manufacturer": "Siemens", "EchoTime": 0.00239, "RepetitionTime": 0.00669, "FlipAngle": 10},
        **{"ImageType": ["ORIGINAL", "PRIMARY", "DIXON", "WATER"], "SeriesDescription": "Dixon_W"},
        **{"MagneticFieldStrength": 1.5, "SoftwareVersions": "E11"},
    }
    return [json.dumps(content).encode()]


def _read_four(data: bytes, folder: Path) -> None:
    path = _made(folder) / "image.nii"
    path.write_bytes(data)
    if count_volumes(path) == 4:
        read_header(path, 4)
        read_nifti(path, 3, 4)


def _fours(_: Path) -> list[bytes]:
    image = nib.Nifti1Image(np.arange(360, dtype=np.int16).reshape(6, 5, 3, 4), np.diag([2.0, 2.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return [image.to_bytes()]


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
    raw = RawScan(_SCAN, Layout.BIDS, session, session_fingerprint(session, ScanSequence.DIXON))
    inspect(raw)
    read_stations(raw)


def _session_files(folder: Path) -> list[bytes]:
    session = write_session(folder, _SCAN, make_stations(1, shape=_SHAPE))
    return [(session / "anat" / f"{_SCAN.name}{_SUFFIX}").read_bytes()]


_CT = {"Modality": "CT", "RescaleSlope": 1.0, "RescaleIntercept": -1024.0}

SCAN_ZIP = Target(_read_scan_zip, (ScanExcluded,), _scan_zips, mutate_zip)
DICOM_HEADER = Target(_read_slice, (ScanExcluded,), _headers, mutate_plainly, 1 << 13)
DICOM_FORMS = Target(_read_slice, (ScanExcluded,), _odd_headers, mutate_plainly, 1 << 14)
DICOM_PIXELS = Target(_read_slice, (ScanExcluded,), _compressed, mutate_plainly, 1 << 13)
MANIFEST = Target(_read_manifest, (), _manifests, longest=1 << 12)
SIDECAR = Target(_read_sidecar, (ScanExcluded,), _sidecars, mutate_json, 1 << 12)
NIFTI_FOUR = Target(_read_four, (ScanExcluded,), _fours, mutate_plainly, 1 << 13)
NIFTI = Target(_read_nifti, (ScanExcluded,), _niftis, mutate_gzip(mutate_plainly), 1 << 13)
OTHER_ZIP = Target(_read_other_zip, (ScanExcluded,), _other_zips, mutate_zip)
SINGLE_IMAGE = Target(_read_single_image, (ScanExcluded,), _single_images, mutate_gzip(mutate_plainly), 1 << 13)
BIDS_SESSION = Target(_read_session, (ScanExcluded,), _session_files, mutate_gzip(mutate_plainly), 1 << 13)
