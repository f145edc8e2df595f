"""Reading DICOM of all kinds: real series of three vendors, pydicom's own test files, the phantom in other encodings.

Voxels after scaling and affines are held against those of dcm2niix, series by series.
"""

import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, make_once

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
"""Real scanner series, where they are there."""

AFFINE_MM = 1e-3
VALUES = 1e-6
"""Relative to the largest value: dcm2niix keeps slopes in single precision."""

OTHERWISE = {
    "pydicom_693_J2KI": "padding is no data here (air, of a CT), the stored value there",
    "pydicom_J2K_pixelrep_mismatch": (
        "pixels are signed, as header, pydicom, GDCM and ITK say; a slice of a tilted gantry, which dcm2niix shears"
    ),
}
"""Cases in which the two differ for a known reason."""


def prepare(inputs: Path, small: bool) -> Path:
    """Collect the cases, a folder each."""
    return make_once(inputs / ("dicom-cases-small" if small else "dicom-cases"), lambda folder: _cases(folder, small))


def _cases(folder: Path, small: bool) -> None:
    import pydicom.data
    from dicom_encodings import SYNTAXES, enhanced, saved
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian
    from raw_scan_files import make_stations, slices_of

    from dixonflow.vocabulary import Contrast

    for source in sorted(REAL.glob("*")) if REAL.is_dir() and not small else ():
        if source.is_dir() and source.name != "dcm2niix":
            shutil.copytree(source, folder / f"real_{source.name}")
    tests = Path(pydicom.data.__file__).parent / "test_files"
    for path in sorted(tests.rglob("*")):
        if (
            path.is_file()
            and path.suffix in ("", ".dcm")
            and _has_image(path)
            and not (small and "MR" not in str(path))
        ):
            case = folder / f"pydicom_{'_'.join(path.relative_to(tests).with_suffix('').parts)}"
            case.mkdir()
            shutil.copy(path, case / f"{path.stem}.dcm")
    slices = slices_of(make_stations(1, 3)[0], Contrast.WATER)
    for number, ds in enumerate(slices, 1):
        # else GDCM gives each slice a study and a time of its own
        ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = "1.2.3", "20200101", "101500"
        ds.InstanceNumber = number  # without it dcm2niix takes some of them for copies
    for name, encode in SYNTAXES.items():
        case = folder / f"phantom_{name.replace(' ', '_')}"
        case.mkdir()
        for number, ds in enumerate(slices):
            (case / f"{number}.dcm").write_bytes(encode(ds))
    for name, syntax in (("little", ExplicitVRLittleEndian), ("big", ExplicitVRBigEndian)):
        case = folder / f"phantom_frames_{name}"
        case.mkdir()
        (case / "frames.dcm").write_bytes(saved(enhanced(slices), syntax))


def _has_image(path: Path) -> bool:
    import warnings

    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "Rows" in pydicom.dcmread(path, stop_before_pixels=True)
        except Exception:
            return False


def ours(prepared: Path) -> Callable[[], Arrays]:
    """All stacks of each case, and why others are refused."""
    from dixonflow.errors import ScanExcluded
    from dixonflow.rawdata.dicom.pixels import read_slices
    from dixonflow.rawdata.dicom.scan import read_all_headers
    from dixonflow.rawdata.dicom.series import stacks_of
    from dixonflow.rawdata.raw_files import open_raw_files

    def call() -> Arrays:
        arrays: Arrays = {}
        refused = {}
        for case in _folders(prepared):
            try:
                with open_raw_files([case]) as opened:
                    headers, _ = read_all_headers(opened.files)
                    for number, stack in enumerate(stacks_of(headers)[0]):
                        arrays[f"{case.name}.{number}"] = read_slices(stack.slices).transpose(2, 1, 0)
                        arrays[f"{case.name}.{number}.affine"] = stack.affine
            except ScanExcluded as problem:
                refused[case.name] = f"{problem.reason}: {problem.message.split('; ')[-1]}"
        arrays["refused"] = np.frombuffer(json.dumps(refused).encode(), np.uint8)
        return arrays

    return call


def dcm2niix(prepared: Path) -> Callable[[], Arrays]:
    """All volumes that dcm2niix converts, slices of different times and echoes not merged."""
    import dcm2niix as program
    import nibabel as nib

    def call() -> Arrays:
        arrays: Arrays = {}
        for case in _folders(prepared):
            with tempfile.TemporaryDirectory() as target:
                command = [program.bin, "-z", "n", "-m", "n", "-b", "n", "-f", "%s_%e_%d", "-o", target, str(case)]
                subprocess.run(command, capture_output=True, check=False)
                files = [
                    path for path in sorted(Path(target).glob("*.nii")) if not path.stem.endswith(("_ROI1", "_ph"))
                ]
                for number, path in enumerate(files):
                    image = nib.load(path)
                    data = np.asanyarray(image.dataobj)
                    arrays[f"{case.name}.{number}"] = data[..., 0] if data.ndim == 4 else data
                    arrays[f"{case.name}.{number}.affine"] = image.affine
        return arrays

    return call


def _folders(prepared: Path) -> list[Path]:
    return sorted(path for path in prepared.iterdir() if path.is_dir())


def _canonical(
    data: NDArray[np.generic], affine: NDArray[np.float64]
) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(affine)
    return apply_orientation(data, orientation), affine @ inv_ornt_aff(orientation, data.shape)


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Each series that dcm2niix converts is equal, refused for a reason, or differs for a known one."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    refused = json.loads(ours["refused"].tobytes())
    equal, wrong = 0, []
    for name in (name for name in theirs if not name.endswith(".affine")):
        case = name.rpartition(".")[0]
        if case in refused or case in OTHERWISE:
            continue
        reason = _difference(name, ours, theirs)
        equal += not reason
        wrong += [f"{name}: {reason}"] if reason else []
    converted = {name.rpartition(".")[0] for name in theirs if not name.endswith(".affine")}
    kinds = Counter(_kind(refused[case]) for case in converted & set(refused))
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    note = (
        f"{equal} series equal; refused: {told or 'none'}; {len(converted & set(OTHERWISE))} differ for a known reason"
    )
    return Verdict(not wrong and len(kinds) < 5, "; ".join([*wrong[:5], note]))


def _kind(reason: str) -> str:
    return reason.removeprefix("missing_contrast: ").lstrip("0123456789 ").removeprefix("files ")


def _difference(name: str, ours: Arrays, theirs: Arrays) -> str:
    if name not in ours:
        return "not read"
    mine, affine = _canonical(ours[name], ours[f"{name}.affine"])
    other, other_affine = _canonical(theirs[name], theirs[f"{name}.affine"])
    if mine.shape != other.shape:
        return f"shapes {mine.shape} and {other.shape}"
    if np.abs(affine - other_affine).max() > AFFINE_MM:
        return f"affines differ by {np.abs(affine - other_affine).max():.3g} mm"
    apart = np.abs(mine.astype(np.float64) - other).max()
    return "" if apart <= VALUES * max(float(np.abs(other).max()), 1.0) else f"voxels differ by up to {apart:.3g}"
