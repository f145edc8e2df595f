"""A localizer inside a zip whose name says a contrast: the name does not make a station of it."""

import zipfile
from copy import deepcopy
from pathlib import Path

import pytest
from delivered_cohort import accounted_for
from known_stations import summed_stations
from pydicom.uid import generate_uid
from raw_scan_files import encode, scan_slices, write_scan_zip

from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.vocabulary import DIXON, Contrast, Layout, Reason

NAMES = {Contrast.WATER: "W", Contrast.FAT: "F", Contrast.IN_PHASE: "in", Contrast.OPPOSED_PHASE: "opp"}
PLANES = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])


@pytest.mark.parametrize("planes", [1, 2, 3])
@pytest.mark.parametrize("contrast", [Contrast.WATER, Contrast.IN_PHASE])
def test_a_localizer_in_the_zip_of_a_sequence_costs_nothing(tmp_path: Path, planes: int, contrast: Contrast) -> None:
    slices = scan_slices(summed_stations(2), patient_id="100012")
    for each in DIXON:
        name = f"3D_GRE_TRA_{NAMES[each]}"
        (tmp_path / "raw" / name).mkdir(parents=True)
        path = tmp_path / "raw" / name / f"100012_30_{name}.zip"
        write_scan_zip(path, [item for item in slices if item.contrast is each])
        for number, orientation in enumerate(PLANES[:planes] if each is contrast else ()):
            ds = deepcopy(slices[0].ds)
            ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.SeriesNumber = generate_uid(), "1.2.11", 1
            ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"], "localizer"
            ds.ImageOrientationPatient, ds.InstanceNumber = orientation, number + 1
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(f"localizer{number}.dcm", encode(ds))
    source = Source(Layout.NAKO, tmp_path / "raw", options=ReadOptions(stations=2))
    (row,) = accounted_for([source], tmp_path / "out")
    assert row.reason is Reason.NONE, row.message
    assert row.note.startswith(f"series 1 ({contrast}): ")
