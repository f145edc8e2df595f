"""JSON sidecars of NIfTI files, as dcm2niix and BIDS write them: what they say is held against names and headers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.acquisition import NO_SCANNER, Scanner
from dixonflow.rawdata.dicom.contrast import contrast_said
from dixonflow.system.documents import MAX_JSON_BYTES
from dixonflow.system.regular_file import read_regular
from dixonflow.vocabulary import DIXON, Contrast, Reason


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says of an image.

    Attributes
    ----------
    echo_time_ms
        None where it says nothing (BIDS counts in seconds).
    scanner
        The machine.
    note
        Why it could not be used; empty where it was, or where there is none.
    """

    echo_time_ms: float | None = None
    scanner: Scanner = NO_SCANNER
    note: str = ""


def sidecar_path(image: Path) -> Path:
    """Where the sidecar of an image would be."""
    return image.with_name(image.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def read_sidecar(image: Path, contrast: Contrast, name: str) -> Sidecar:
    """Read the sidecar of an image.

    Parameters
    ----------
    contrast
        Contrast by the image's name.
    name
        How messages call the image.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch` where it names another contrast.
    """
    try:
        content = json.loads(read_regular(sidecar_path(image), MAX_JSON_BYTES))
    except FileNotFoundError:
        return Sidecar()
    except (OSError, ValueError, RecursionError):
        return Sidecar(note=f"{name}: its sidecar cannot be read")
    if not isinstance(content, dict):
        return Sidecar(note=f"{name}: its sidecar cannot be read")
    said = contrast_said(
        _words(content, "ImageType"), _words(content, "ScanOptions"), _words(content, "SeriesDescription")
    )
    if contrast in DIXON and said - {contrast}:  # any other image may be of a Dixon scan
        others = " and ".join(sorted(said - {contrast}))
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, f"{name}: the name says {contrast}, its sidecar says {others}")
    scanner = Scanner(
        _words(content, "Manufacturer"),
        _words(content, "ManufacturersModelName"),
        _words(content, "SoftwareVersions"),
        _number(content, "MagneticFieldStrength"),
        _in_ms(_number(content, "RepetitionTime")),
        _number(content, "FlipAngle"),
    )
    return Sidecar(_in_ms(_number(content, "EchoTime")), scanner)


def _words(content: Mapping[str, object], key: str) -> str:
    value = content.get(key, "")
    parts = value if isinstance(value, list) else [value]
    return "\\".join(str(part) for part in parts if isinstance(part, str | int | float))[:1024]


def _number(content: Mapping[str, object], key: str) -> float | None:
    value = content.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6 else None


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 6)
