"""Write a scan as a BIDS-like folder: a NIfTI file and a JSON sidecar per station and contrast, or one of a CT."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.nifti import write_nifti
from dixonflow.imaging.station import Station
from dixonflow.imaging.types import Affine
from dixonflow.phantom.writers.header_dicom import CONTRAST_ORDER, FIRST_SERIES_NUMBER, scanner_of
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import DIXON, Layout, ScanId


def write_bids(folder: Path, scan: ScanId, stations: Sequence[Station]) -> Path:
    """Write `sub-X/ses-Y/anat/sub-X_ses-Y_acq-<contrast>_chunk-<n>_VIBE.nii.gz` and sidecars.

    Chunks count from 1, head to feet. The suffix VIBE is not in BIDS yet; everything else follows it. Times in the
    sidecars are seconds, as BIDS wants them.

    Parameters
    ----------
    folder
        Root of the data set; made when missing, with its `dataset_description.json`.
    stations
        Head to feet, four contrasts each, (x, y, z) in RAS+.

    Returns
    -------
    Path
        The folder `anat` of the scan.

    Raises
    ------
    ValueError
        If a contrast is missing, or an image is not of whole numbers that fit int16.
    """
    _describe(folder)
    anat = folder / f"sub-{scan.participant}" / f"ses-{scan.session}" / "anat"
    scanner = scanner_of(Layout.BIDS)
    for station in stations:
        if set(station.images) != set(DIXON):
            raise ValueError(f"station {station.index} needs all of {', '.join(DIXON)}")
        for order, contrast in enumerate(CONTRAST_ORDER):
            image = station.images[contrast]
            limits = np.iinfo(np.int16)
            if not np.issubdtype(image.dtype, np.integer) or not limits.min <= image.min() <= image.max() <= limits.max:
                raise ValueError("an image of a BIDS-like folder is of whole numbers that fit int16")
            stem = f"{scan.name}_acq-{contrast.acq}_chunk-{station.index + 1}_VIBE"
            write_nifti(anat / f"{stem}.nii.gz", image.astype(np.int16), station.affine)
            write_json(
                anat / f"{stem}.json",
                {
                    "Modality": "MR",
                    "Manufacturer": scanner.manufacturer,
                    "ManufacturersModelName": scanner.model,
                    "MagneticFieldStrength": scanner.field_strength_t,
                    "SequenceName": "*fl3d2",
                    "SeriesDescription": scanner.series_description(contrast, breath_hold=False),
                    "SeriesNumber": FIRST_SERIES_NUMBER + 4 * station.index + order,
                    "RepetitionTime": scanner.repetition_time_ms / 1000,
                    "EchoTime": scanner.echo_time_ms(contrast) / 1000,
                    "FlipAngle": scanner.flip_angle_deg,
                    "ImageOrientationPatientDICOM": [1, 0, 0, 0, 1, 0],
                },
            )
    return anat


def write_ct(folder: Path, scan: ScanId, image: NDArray[np.int16], affine: Affine) -> Path:
    """Write `sub-X/ses-Y/ct/sub-X_ses-Y_ct.nii.gz` and its sidecar; gives the folder of the session.

    Parameters
    ----------
    image, affine
        Hounsfield units (x, y, z) in RAS+, and voxel index to RAS mm.
    """
    _describe(folder)
    session = folder / f"sub-{scan.participant}" / f"ses-{scan.session}"
    write_nifti(session / "ct" / f"{scan.session_name}_ct.nii.gz", image, affine)
    write_json(session / "ct" / f"{scan.session_name}_ct.json", {"Modality": "CT"})
    return session


def _describe(folder: Path) -> None:
    write_json(
        folder / "dataset_description.json",
        {"Name": "DixonFlow phantom", "BIDSVersion": "1.10.0", "DatasetType": "raw"},
    )
