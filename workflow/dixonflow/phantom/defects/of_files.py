"""Defects of raw files, and of stations mixed up between two participants."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from dixonflow.imaging.station import Station
from dixonflow.phantom import breakages
from dixonflow.phantom.defects.defect import Defect, Expected, Layer
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import Contrast

_CONTRASTS = (Contrast.OPPOSED_PHASE, Contrast.FAT, Contrast.IN_PHASE)


def cut_off(path: Path, kept: float) -> None:
    """Keep a part of the zip's bytes."""
    content = path.read_bytes()
    write_bytes(path, content[: int(len(content) * kept)])


def remove_station(path: Path, number: float) -> None:
    """Remove all series of a station."""
    breakages.remove_station(path, int(number) - 1)


def remove_contrasts(path: Path, count: float) -> None:
    """Remove so many contrasts."""
    for contrast in _CONTRASTS[: int(count)]:
        breakages.remove_contrast(path, contrast)


def remove_slices(path: Path, count: float) -> None:
    """Remove slices from the middle of the scan."""
    for _ in range(int(count)):
        breakages.remove_slice(path)


def shorten_pixels(path: Path, honest: float) -> None:
    """Shorten the pixels of a slice; with 1 or more the element's length is that of what is left."""
    breakages.shorten_pixels(path, honest_length=honest >= 1)


def duplicate_slices(path: Path, count: float) -> None:
    """Add exact copies of slices."""
    for _ in range(int(count)):
        breakages.duplicate_slice(path)


def foreign_id(path: Path, _strength: float) -> None:
    """Put the id of another participant into all files."""
    breakages.set_patient_id(path, "9999999")


def add_rubbish(path: Path, count: float) -> None:
    """Add files that are no part of a scan."""
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(int(count)):
            archive.writestr(f"desktop{number}.ini", b"[.ShellClassInfo]\n")


def deliver_twice(path: Path, count: float) -> None:
    """Deliver the same zip so often."""
    for number in range(1, int(count) + 1):
        folder = path.parent / f"again{number}"
        folder.mkdir()
        shutil.copy(path, folder / path.name)


def foreign_station(stations: Sequence[Station], others: Sequence[Station], number: float) -> list[Station]:
    """Take one station from another participant, under this one's headers."""
    place = int(number) - 1
    images = {each: others[place].images[each] for each in stations[place].images}
    foreign = Station(place, images, stations[place].affine)
    return [foreign if station.index == place else station for station in stations]


def foreign_contrast(stations: Sequence[Station], others: Sequence[Station], number: float) -> list[Station]:
    """Take the fat image of one station from another participant."""
    place = int(number) - 1
    images = {**stations[place].images, Contrast.FAT: others[place].images[Contrast.FAT]}
    mixed = Station(place, images, stations[place].affine)
    return [mixed if station.index == place else station for station in stations]


FILE_DEFECTS = (
    Defect("zip cut off", Layer.FILES, (0.99, 0.5, 0.01), "share kept", cut_off, Expected.EXCLUDED),
    Defect("station missing", Layer.FILES, (6, 3, 1), "station", remove_station, Expected.EXCLUDED),
    Defect("contrasts missing", Layer.FILES, (1, 2, 3), "contrasts", remove_contrasts, Expected.EXCLUDED),
    Defect("slices missing", Layer.FILES, (1, 2, 4), "slices", remove_slices, Expected.EXCLUDED),
    Defect("pixels missing", Layer.FILES, (0, 1, 1), "honest length", shorten_pixels, Expected.EXCLUDED),
    Defect("slice delivered twice", Layer.FILES, (1, 1, 1), "copies", duplicate_slices, Expected.CORRECTED),
    Defect("files of another participant", Layer.FILES, (1, 1, 1), "participant", foreign_id, Expected.EXCLUDED),
    Defect("files that are no images", Layer.FILES, (1, 3, 20), "files", add_rubbish, Expected.CORRECTED),
    Defect("scan delivered twice", Layer.FILES, (1, 1, 2), "copies", deliver_twice, Expected.CORRECTED),
    Defect("station of another participant", Layer.MIXED, (1, 3, 5), "station", foreign_station, Expected.GRADED),
    Defect("fat of another participant", Layer.MIXED, (1, 3, 5), "station", foreign_contrast, Expected.EXCLUDED),
)
