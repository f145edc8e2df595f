"""Scans as the phantom writes them, and their DICOM files read again."""

import io
import zipfile
from collections import defaultdict

import numpy as np
import pydicom

from dixonflow.imaging.station import Station
from dixonflow.phantom.writers.dicom import write_nako, write_ukb
from dixonflow.vocabulary import DIXON, Contrast, ScanId

UKB_SCAN = ScanId("1000017", "2")
NAKO_SCAN = ScanId("000123", "30")
UKB_SLICES = (7, 5, 5, 5, 8, 6)
NAKO_SLICES = (6, 6, 6, 6)


def stations_of(slices, seed=0):
    """Overlapping stations of different grids and slice counts, head first; every voxel value is its own."""
    rng = np.random.default_rng(seed)
    stations, top = [], 200.0
    for index, count in enumerate(slices):
        spacing = (2.232143, 2.5 + index / 10, 3.0 + index / 2)
        shape = (12, 9 - index % 2, count)
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = -13.0 + index, -10.25 - index, top - (count - 1) * spacing[2]
        top = affine[2, 3] + spacing[2]
        images = {contrast: rng.integers(0, 4096, shape).astype(np.int16) for contrast in DIXON}
        stations.append(Station(index, images, affine))
    return stations


def datasets(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {
            name: pydicom.dcmread(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
            if name.endswith(".dcm")
        }


def by_series(path):
    series = defaultdict(list)
    for dataset in datasets(path).values():
        series[dataset.SeriesInstanceUID].append(dataset)
    return series


def public_rule(series):
    """Contrast of each series by the rule of public NAKO converters: private text, else the longer echo is in phase."""
    longest = max(float(slices[0].EchoTime) for slices in series.values())
    contrasts = {}
    for key, slices in series.items():
        text = slices[0][0x0051, 0x1019].value
        if "DIXF" in text:
            contrasts[key] = Contrast.FAT
        elif "DIXW" in text:
            contrasts[key] = Contrast.WATER
        else:
            in_phase = float(slices[0].EchoTime) == longest
            contrasts[key] = Contrast.IN_PHASE if in_phase else Contrast.OPPOSED_PHASE
    return contrasts


def write_scan(layout, folder):
    """Write a scan in the shape of UK Biobank or NAKO; gives its stations and the zip."""
    if layout == "ukb":
        stations = stations_of(UKB_SLICES)
        return stations, write_ukb(folder / "ukb", UKB_SCAN, stations)
    stations = stations_of(NAKO_SLICES)
    return stations, write_nako(folder / "nako", NAKO_SCAN, stations)
