"""Write a scan in each of the forms in which raw data reaches people, besides one zip per scan.

The forms are those that public converters describe; `docs/raw_data.md` lists them with their sources.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from dixonflow.imaging.station import Station
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.phantom.writers.dicom import (
    DicomFile,
    encoded_scan,
    ukb_entries,
    ukb_zip_name,
    write_nako,
    write_ukb,
    write_zip,
)
from dixonflow.phantom.writers.header_dicom import SUFFIXES
from dixonflow.stitch.scan import stitch
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import DIXON, Contrast, Layout, ScanId

COMPOSED = "3D_GRE_TRA_W_COMPOSED"
FOURTH_AXIS = (Contrast.OPPOSED_PHASE, Contrast.IN_PHASE, Contrast.FAT, Contrast.WATER)
"""Order of the contrasts in NAKO's NIfTI files of four volumes, as public converters know it."""

Write = Callable[[Path, ScanId, Sequence[Station]], object]


@dataclass(frozen=True)
class Form:
    """One form of delivery.

    Attributes
    ----------
    layout
        Layout of a source that reads it.
    title
        The form in a few words.
    write
        Writes a scan below a folder: folder, scan, and stations from head to feet with four contrasts.
    name_pattern
        What the source has to say in addition; none where the layout's own will do.
    composed
        Whether it holds the whole volume instead of stations.
    """

    layout: Layout
    title: str
    write: Write
    name_pattern: str | None = None
    composed: bool = False


def write_ukb_prefixed(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """As `write_ukb`, in a folder of the eid's first two digits, as on the cloud platform."""
    return write_ukb(folder / scan.participant[:2], scan, stations)


def write_ukb_array_1(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """As `write_ukb`, with array index 1."""
    return write_zip(folder / ukb_zip_name(scan, 1), ukb_entries(scan, stations))


def write_ukb_unpacked(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """A folder with what the zip would hold, the manifest included."""
    place = folder / ukb_zip_name(scan).removesuffix(".zip")
    for name, content in ukb_entries(scan, stations):
        write_bytes(place / name, content)
    return place


def write_nako_sequences(folder: Path, scan: ScanId, stations: Sequence[Station], *, named: bool = True) -> list[Path]:
    """Four zips of one sequence each, in a folder per sequence; the slices lie two folders deep.

    Parameters
    ----------
    named
        Whether the name of the zip says the sequence too.
    """
    stem = f"{scan.participant}_{scan.session}"
    files: dict[Contrast, list[DicomFile]] = {contrast: [] for contrast in DIXON}
    for file in encoded_scan(Layout.NAKO, scan, stations, feet_first=False):
        files[file.contrast].append(file)
    paths = []
    for contrast, slices in files.items():
        sequence = f"3D_GRE_TRA_{SUFFIXES[contrast]}"
        name = f"{stem}_{sequence}.zip" if named else f"{stem}.zip"
        entries = [(f"{stem}/{sequence}/{file.sop_uid}.dcm", file.content) for file in slices]
        paths.append(write_zip(folder / sequence / name, sorted(entries)))
    return paths


def write_nako_unnamed(folder: Path, scan: ScanId, stations: Sequence[Station]) -> list[Path]:
    """Four zips of one sequence each whose names do not say the sequence: only their folders do."""
    return write_nako_sequences(folder, scan, stations, named=False)


def write_nako_composed(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """One zip with the volume that the scanner put together, in four contrasts.

    All series have one description: (0051,1019) says fat and water, the echo time says which of the others is in phase.
    """
    whole = stitch(stations)
    station = Station(0, {contrast: whole.images[contrast] for contrast in DIXON}, whole.affine)
    files = encoded_scan(Layout.NAKO, scan, [station], feet_first=False, description=COMPOSED)
    stem = f"{scan.participant}_{scan.session}"
    entries = sorted((f"{stem}/{COMPOSED}/{file.sop_uid}.dcm", file.content) for file in files)
    return write_zip(folder / COMPOSED / f"{stem}_{COMPOSED}.zip", entries)


def write_nako_nifti(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """`<id>/<visit>/3D_GRE_TRA_<n>/*.nii`: one file per station with four contrasts on the fourth axis."""
    visit = folder / scan.participant / scan.session
    for station in stations:
        number = station.index + 1
        images = np.stack([station.images[contrast] for contrast in FOURTH_AXIS], axis=-1)
        path = visit / f"3D_GRE_TRA_{number}" / f"{COMPOSED}_-{number}_s{number:03d}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(images.astype(np.int16), station.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, path)
    return visit


def write_bids_without_sessions(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """As `write_bids`, without a folder and an entity for the session."""
    session = write_bids(folder, scan, stations).parent
    subject = session.parent
    (session / "anat").rename(subject / "anat")
    session.rmdir()
    for path in (subject / "anat").iterdir():
        path.rename(path.with_name(path.name.replace(f"_ses-{scan.session}", "")))
    return subject


def write_bids_stitched(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """A BIDS-like folder with one stitched file per contrast."""
    whole = stitch(stations)
    station = Station(0, {contrast: whole.images[contrast] for contrast in DIXON}, whole.affine)
    anat = write_bids(folder, scan, [station])
    for path in anat.iterdir():
        path.rename(path.with_name(path.name.replace("_chunk-1", "")))
    return anat.parent


def write_loose(folder: Path, scan: ScanId, stations: Sequence[Station]) -> list[Path]:
    """Single files in two folders per scan, `<id>_<session>_<a or b>/<series>/IM<number>`."""
    numbers: dict[str, int] = {}
    places = []
    for file in encoded_scan(Layout.UKB, scan, stations, feet_first=True):
        number = numbers[file.series_uid] = numbers.get(file.series_uid, 0) + 1
        part = "a" if file.station % 2 == 0 else "b"
        series = f"{file.station}{list(Contrast).index(file.contrast)}"
        place = folder / f"{scan.participant}_{scan.session}_{part}" / series
        write_bytes(place / f"IM{number:04d}", file.content)
        places.append(place)
    return sorted(set(places))


FORMS: Mapping[str, Form] = {
    "ukb_zip": Form(Layout.UKB, "one zip, `<eid>_20201_<instance>_0.zip`", write_ukb),
    "ukb_prefix": Form(Layout.UKB, "zips in folders of the eid's first two digits", write_ukb_prefixed),
    "ukb_array": Form(Layout.UKB, "array index above 0, `<eid>_20201_<instance>_1.zip`", write_ukb_array_1),
    "ukb_folder": Form(Layout.UKB, "unpacked folder of slices with its manifest", write_ukb_unpacked),
    "nako_zip": Form(Layout.NAKO, "one zip, `<id>_<visit>.zip`", write_nako),
    "nako_sequences": Form(Layout.NAKO, "four zips, `<sequence>/<id>_<visit>_<sequence>.zip`", write_nako_sequences),
    "nako_unnamed": Form(Layout.NAKO, "four zips, `<sequence>/<id>_<visit>.zip`", write_nako_unnamed),
    "nako_composed": Form(
        Layout.NAKO, "the composed zip, `3D_GRE_TRA_W_COMPOSED/...`", write_nako_composed, composed=True
    ),
    "nako_nifti": Form(
        Layout.NAKO, "NIfTI, four contrasts on the fourth axis: `<id>/<visit>/3D_GRE_TRA_<n>/*.nii`", write_nako_nifti
    ),
    "bids": Form(Layout.BIDS, "one file per station and contrast", write_bids),
    "bids_no_sessions": Form(Layout.BIDS, "the same without `ses-`", write_bids_without_sessions),
    "bids_stitched": Form(Layout.BIDS, "one stitched file per contrast", write_bids_stitched, composed=True),
    "dicom_loose": Form(
        Layout.DICOM,
        "any tree of DICOM files, a scan in several folders",
        write_loose,
        name_pattern="(?P<participant>[0-9]+)_(?P<session>[0-9]+)_",
    ),
}
"""Every form that is read, by a name."""
