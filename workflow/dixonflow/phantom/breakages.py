"""Break a written scan the way real deliveries are broken, to see what the workflow says about it.

All functions take a zip as `writers.dicom` writes it and replace it in one step. They find stations and contrasts by
tags alone, as a reader has to.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from dixonflow.phantom.writers.dicom import write_zip
from dixonflow.phantom.writers.header_dicom import SUFFIXES, uid
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import Contrast, Reason

_CONTRASTS = {suffix: contrast for contrast, suffix in SUFFIXES.items()}


@dataclass(frozen=True)
class _Slice:
    """One DICOM file of a zip."""

    name: str
    content: bytes
    series_uid: str
    contrast: Contrast
    superior_mm: float


def cut_off(path: Path) -> None:
    """Keep the first half of the zip's bytes, as a broken transfer leaves it: the table of contents is gone."""
    content = path.read_bytes()
    write_bytes(path, content[: len(content) // 2])


def remove_station(path: Path, index: int = 2) -> None:
    """Remove all series of one station, 0 nearest to the head.

    Raises
    ------
    IndexError
        If there is no such station.
    """
    gone = _stations(_slices(path))[index]
    _rewrite(path, lambda name, content: None if name in gone else content)


def remove_contrast(path: Path, contrast: Contrast = Contrast.OPPOSED_PHASE) -> None:
    """Remove one contrast of all stations."""
    gone = {item.name for item in _slices(path) if item.contrast is contrast}
    _rewrite(path, lambda name, content: None if name in gone else content)


def shorten_pixels(path: Path, *, honest_length: bool = False) -> None:
    """Cut the last half of the pixel data off the slice in the middle of the scan, its header left as it was.

    Parameters
    ----------
    honest_length
        False: the file ends early, the element's length still claims the whole. True: the element's length is that of
        the data, and only Rows, Columns and BitsAllocated ask for more.
    """
    victim = _middle(_slices(path))

    def shorten(content: bytes) -> bytes:
        if not honest_length:
            return content[: len(content) - _pixel_bytes(content) // 2]
        dataset = pydicom.dcmread(io.BytesIO(content))
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]
        return _encoded(dataset)

    _rewrite(path, lambda name, content: shorten(content) if name == victim.name else content)


def remove_slice(path: Path) -> None:
    """Remove the slice in the middle of the scan from its series."""
    victim = _middle(_slices(path))
    _rewrite(path, lambda name, content: None if name == victim.name else content)


def duplicate_slice(path: Path) -> None:
    """Add a second file of the slice in the middle of the scan: own identifier, else equal."""
    victim = _middle(_slices(path))
    dataset = pydicom.dcmread(io.BytesIO(victim.content))
    dataset.SOPInstanceUID = uid(dataset.SOPInstanceUID, "again")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    name = victim.name.rpartition("/")[0]
    name = "/".join(filter(None, [name, f"{dataset.SOPInstanceUID}.dcm"]))
    write_zip(path, [*_entries(path), (name, _encoded(dataset))])


def swap_water_and_fat(path: Path, index: int = 1) -> None:
    """Swap the pixels of water and fat in one station, as the scanner's separation does when it fails."""
    slices = _slices(path)
    names = _stations(slices)[index]
    pairs: dict[tuple[float, Contrast], _Slice] = {
        (item.superior_mm, item.contrast): item
        for item in slices
        if item.name in names and item.contrast in (Contrast.WATER, Contrast.FAT)
    }
    replaced = {}
    for (superior_mm, contrast), item in pairs.items():
        other = Contrast.FAT if contrast is Contrast.WATER else Contrast.WATER
        source = pairs[superior_mm, other].content
        dataset = pydicom.dcmread(io.BytesIO(item.content))
        dataset.PixelData = pydicom.dcmread(io.BytesIO(source)).PixelData
        replaced[item.name] = _encoded(dataset)
    _rewrite(path, replaced.get)


def set_patient_id(path: Path, patient_id: str) -> None:
    """Put another id into all files: the result of two participants' files being swapped."""

    def rename(name: str, content: bytes) -> bytes:
        if not name.endswith(".dcm"):
            return content
        dataset = pydicom.dcmread(io.BytesIO(content))
        dataset.PatientID = dataset.PatientName = patient_id
        return _encoded(dataset)

    _rewrite(path, rename)


class Breakage(StrEnum):
    """The four breakages of the demo cohort."""

    CUT_OFF = "zip cut off in the middle"
    STATION = "one station missing"
    PIXELS = "pixel data of one slice shorter than its header says"
    CONTRAST = "one contrast missing"

    @property
    def reason(self) -> Reason:
        """The reason with which a scan so broken has to be excluded."""
        return {
            Breakage.CUT_OFF: Reason.UNREADABLE_FILE,
            Breakage.STATION: Reason.MISSING_STATION,
            Breakage.PIXELS: Reason.TRUNCATED_PIXELS,
            Breakage.CONTRAST: Reason.MISSING_CONTRAST,
        }[self]

    def apply(self, path: Path) -> None:
        """Break the zip."""
        {
            Breakage.CUT_OFF: cut_off,
            Breakage.STATION: remove_station,
            Breakage.PIXELS: shorten_pixels,
            Breakage.CONTRAST: remove_contrast,
        }[self](path)


def _entries(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def _rewrite(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Rewrite the zip, each entry replaced by what `change` returns, None removes it."""
    changed = [(name, change(name, content)) for name, content in _entries(path)]
    write_zip(path, [(name, content) for name, content in changed if content is not None])


def _slices(path: Path) -> list[_Slice]:
    slices = []
    for name, content in _entries(path):
        if name.endswith(".dcm"):
            tags = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
            contrast = _CONTRASTS[str(tags.SeriesDescription).rpartition("_")[2]]
            slices.append(
                _Slice(name, content, str(tags.SeriesInstanceUID), contrast, float(tags.ImagePositionPatient[2]))
            )
    return slices


def _stations(slices: Sequence[_Slice]) -> list[set[str]]:
    """Names of the files of each station, head first. The four series of a station lie at the same positions."""
    positions: dict[str, set[float]] = {}
    for item in slices:
        positions.setdefault(item.series_uid, set()).add(item.superior_mm)
    tops = sorted({max(values) for values in positions.values()}, reverse=True)
    return [{item.name for item in slices if max(positions[item.series_uid]) == top} for top in tops]


def _middle(slices: Sequence[_Slice]) -> _Slice:
    """A water slice, halfway down the body."""
    water = sorted((item for item in slices if item.contrast is Contrast.WATER), key=lambda item: item.superior_mm)
    return water[len(water) // 2]


def _pixel_bytes(content: bytes) -> int:
    tags = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    return int(tags.Rows) * int(tags.Columns) * int(tags.BitsAllocated) // 8


def _encoded(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
