"""Reading the zip of a UK Biobank scan, 1,328 slices in 24 series, to four contrasts of six stations in RAS+."""

import shutil
import subprocess
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, make_once
from benchmarks.phantom_scan import acquired, phantom_scan

FIRST_SERIES, CONTRASTS = 5, ("in_phase", "opposed_phase", "fat", "water")
"""How the phantom numbers its series: four per station, in this order."""


def prepare(inputs: Path, small: bool) -> Path:
    """Make the zip of the UK Biobank scan."""
    scan = phantom_scan(inputs, "ukb", small)

    def fill(folder: Path) -> None:
        from dixonflow.phantom.writers.dicom import write_ukb
        from dixonflow.vocabulary import ScanId

        write_ukb(folder, ScanId("1000017", "2"), acquired(scan, "ukb", small))

    return make_once(inputs / f"{scan.name}-zip", fill)


def _zip(prepared: Path) -> Path:
    return next(prepared.glob("*.zip"))


def ours(prepared: Path) -> Callable[[], Arrays]:
    """From the zip, nothing extracted: headers, checks, pixels and their checksums."""
    from dixonflow.rawdata.fingerprint import raw_fingerprint
    from dixonflow.rawdata.raw_scan import RawScan
    from dixonflow.rawdata.reader import read_stations
    from dixonflow.vocabulary import Layout, ScanId

    path = _zip(prepared)
    raw = RawScan(ScanId("1000017", "2"), Layout.UKB, path, raw_fingerprint(Layout.UKB, [path]))

    def call() -> Arrays:
        return {
            f"{station.index}_{contrast.value}": np.asarray(image)
            for station in read_stations(raw)
            for contrast, image in station.images.items()
        }

    return call


def dcm2niix(prepared: Path) -> Callable[[], Arrays]:
    """The zip extracted, converted without compression, and read with nibabel."""
    import dcm2niix as program
    import nibabel as nib

    def call() -> Arrays:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "dicom", Path(folder) / "nifti"
            target.mkdir()
            with zipfile.ZipFile(_zip(prepared)) as archive:
                archive.extractall(source)
            command = [program.bin, "-z", "n", "-b", "n", "-f", "%s", "-o", str(target), str(source)]
            subprocess.run(command, check=True, capture_output=True)
            return {
                _name(int(path.stem.split("_")[0])): np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)
                for path in sorted(target.glob("*.nii"))
            }

    return call


def simpleitk(prepared: Path) -> Callable[[], Arrays]:
    """The zip extracted, headers read with pydicom to find and sort the slices, series read with SimpleITK."""
    import pydicom
    import SimpleITK

    tags = ["SeriesNumber", "ImagePositionPatient"]

    def call() -> Arrays:
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(_zip(prepared)) as archive:
                archive.extractall(folder)
            series: dict[int, list[tuple[float, str]]] = defaultdict(list)
            for path in Path(folder).glob("*.dcm"):
                ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
                series[int(ds.SeriesNumber)].append((float(ds.ImagePositionPatient[2]), str(path)))
            reader, arrays = SimpleITK.ImageSeriesReader(), {}
            for number, slices in series.items():
                reader.SetFileNames([path for _, path in sorted(slices)])
                arrays[_name(number)] = _ras(SimpleITK.GetArrayFromImage(reader.Execute()))
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).mkdir()
            return arrays

    return call


def _name(series: int) -> str:
    station, place = divmod(series - FIRST_SERIES, 4)
    return f"{station}_{CONTRASTS[place]}"


def _ras(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """(z, y, x) with rows to the back and columns to the left, as (x, y, z) in RAS+."""
    return image.transpose(2, 1, 0)[::-1, ::-1]


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Every voxel of every station and contrast."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    if set(ours) != set(theirs):
        return Verdict(False, f"{len(ours)} and {len(theirs)} images")
    different = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    return Verdict(not different, f"{len(different)} of {len(ours)} images differ" if different else "identical")
