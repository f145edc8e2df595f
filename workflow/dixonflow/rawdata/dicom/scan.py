"""All DICOM files of a scan: headers to stacks of slices, and what is left out."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.header import read_headers
from dixonflow.rawdata.dicom.left_out import LeftOut
from dixonflow.rawdata.dicom.parsed import HeaderBudget
from dixonflow.rawdata.dicom.series import Stack, stacks_of
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.raw_files import RawFile
from dixonflow.rawdata.raw_scan import DEFAULT_OPTIONS, ReadOptions
from dixonflow.rawdata.zip_archive import unreadable
from dixonflow.vocabulary import Contrast, Reason


def matches(patient_id: str, participant: str) -> bool:
    """Whether a patient id is the participant's id, or begins with it and something that is no letter or digit."""
    return re.match(rf"{re.escape(participant)}(?![A-Za-z0-9])", patient_id) is not None


@dataclass(frozen=True)
class DicomScan:
    """What the DICOM files of a scan hold.

    Attributes
    ----------
    stacks
        Stacks of slices, those with a contrast first.
    notes
        What was left out.
    patient_id
        The one that all files have; empty where none has one.
    series_uids
        Of all slices.
    """

    stacks: list[Stack]
    notes: list[str]
    patient_id: str = ""
    series_uids: frozenset[str] = frozenset()

    def patient_id_matches(self, participant: str) -> bool | None:
        """Whether the patient id is the participant's; None where the files hold none."""
        return matches(self.patient_id, participant) if self.patient_id else None


def dicom_scan(
    files: Sequence[RawFile], options: ReadOptions = DEFAULT_OPTIONS, named: Mapping[int, Contrast] | None = None
) -> DicomScan:
    """Read the headers of all files of a scan.

    Parameters
    ----------
    files
        In any order. They must stay open while volumes are read.
    options
        How the scan is read.
    named
        As for `stacks_of`.

    Raises
    ------
    ScanExcluded
        `unreadable_file` where a file is damaged or none is DICOM, `missing_contrast` where none is an image of a body,
        `identity_mismatch` for files of several patients, and as `stacks_of`.
    OSError
        If the disk, not the data, is at fault.
    """
    headers, notes = read_all_headers(files, options.personal)
    patient_ids = {header.patient_id for header in headers if header.patient_id}
    if len(patient_ids) > 1:
        message = f"files of {len(patient_ids)} different patient ids in one scan"
        raise ScanExcluded(Reason.IDENTITY_MISMATCH, message)
    uids = frozenset(header.series_uid for header in headers)
    stacks, more_notes = stacks_of(headers, options.time_point, named)
    dated = "date" in options.personal
    scanners = [stack.slices[0].scanner for stack in stacks]
    stacks = [
        replace(stack, scanner=scanner if dated else replace(scanner, date=""))
        for stack, scanner in zip(stacks, scanners, strict=True)
    ]
    return DicomScan(stacks, [*notes, *more_notes], patient_ids.pop() if patient_ids else "", uids)


def read_all_headers(files: Sequence[RawFile], personal: Collection[str] = ()) -> tuple[list[SliceHeader], list[str]]:
    """Headers of all slices, and what other files there are. Raises as `dicom_scan`."""
    headers: list[SliceHeader] = []
    left_out: Counter[LeftOut] = Counter()
    budget = HeaderBudget()
    for file in files:
        found = read_headers(file, budget, personal)
        if isinstance(found, LeftOut):
            left_out[found] += 1
        else:
            headers += found
    notes = [f"{count} files {kind}" for kind, count in sorted(left_out.items())]
    if not headers:
        if set(left_out) <= {LeftOut.NOT_DICOM}:
            raise unreadable("; ".join(["it holds no DICOM image", *notes]))
        raise ScanExcluded(Reason.MISSING_CONTRAST, "; ".join(["it holds no image of a body", *notes]))
    return headers, notes
