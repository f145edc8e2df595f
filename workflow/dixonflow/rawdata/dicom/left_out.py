"""Files among the slices of a scan that are no part of it."""

from contextlib import closing
from enum import StrEnum
from pathlib import PurePath

from pydicom.uid import UID

from dixonflow.rawdata.dicom.elements import sop_class_of
from dixonflow.rawdata.raw_files import RawFile

_DICOM_ENDINGS = {"", ".dcm", ".dicom", ".dic", ".ima", ".img", ".mr", ".ct", ".mrdc", ".ctdc"}
_OTHER_FORMATS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"%PDF", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b")
"""First bytes of PNG, JPEG, GIF, BMP, PDF, zip and Office, older Office, and gzip files."""


class LeftOut(StrEnum):
    """Why a file is no part of a scan."""

    NOT_DICOM = "not DICOM"
    NO_IMAGE = "without an image"
    COLOUR = "in colour"
    DEPTH = "without pixels of 8 or 16 bits"
    NO_POSITION = "without position, orientation or pixel spacing"


def is_another_object(file: RawFile) -> bool:
    """Whether a DICOM file is of a kind that holds no plain image: a report, a spectrum, a parametric map."""
    with closing(file.stream()) as stream:
        sop_class = UID(sop_class_of(stream.read(4096)))
    # of a kind that the standard does not know, the name is the identifier itself
    return sop_class.name != sop_class and "Image Storage" not in sop_class.name


def is_another_format(file: RawFile) -> bool:
    """Whether a file that is not DICOM is no damaged slice either: by its ending, else by its first bytes."""
    ending = PurePath(file.own_name).suffix.lower()
    if ending not in _DICOM_ENDINGS and not ending[1:].isdecimal():
        return True
    with closing(file.stream()) as stream:
        head = stream.read(512)
    text = bool(head) and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    return text or head.startswith(_OTHER_FORMATS)
