"""Scans of other sequences than Dixon: raw files in, stitched images out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_series import affine_of, sampled, series, turned, write_folder, write_series_zip
from sequence_scans import (
    AXIAL,
    CORONAL,
    PARTICIPANT,
    SAGITTAL,
    SESSION,
    assert_shows_body,
    body,
    rows_of,
    scan_of,
    stitched,
)

from dixonflow.imaging.nifti import write_nifti
from dixonflow.rawdata.raw_scan import Source
from dixonflow.rawdata.reader import read_stations, scan_rotation
from dixonflow.vocabulary import Contrast, Layout, Reason, ScanId, ScanSequence, Status


class TestHaste:
    SHAPE, SPACING = (100, 70, 30), (2.0, 2.0, 5.0)

    def stations(self):
        """Two stations that share 20 mm."""
        for number, z in enumerate((65.0, -65.0)):
            affine = affine_of(AXIAL, self.SPACING, self.SHAPE, (0.0, 0.0, z))
            yield number, np.rint(sampled(body, affine, self.SHAPE)).astype(np.int16), affine

    def test_two_stations_in_a_zip_of_nako(self, tmp_path):
        entries = [
            entry
            for number, image, affine in self.stations()
            for entry in series(
                image, affine, number=number + 3, description=f"T2_HASTE_TRA_{number}", PatientID=PARTICIPANT
            )
        ]
        name = f"{PARTICIPANT}_{SESSION}_T2_HASTE_TRA"
        write_series_zip(tmp_path / "raw" / "T2_HASTE_TRA" / f"{name}.zip", entries)
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.HASTE,))], tmp_path)
        assert entry.scan == ScanId(PARTICIPANT, SESSION, ScanSequence.HASTE)
        self.assert_stitched(entry, tmp_path)

    def test_a_station_that_is_missing_is_missed_and_a_composed_zip_has_one(self, tmp_path):
        _, image, affine = next(iter(self.stations()))
        entries = series(image, affine, description="T2_HASTE_TRA", PatientID=PARTICIPANT)
        source = Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.HASTE,))
        path = tmp_path / "raw" / f"{PARTICIPANT}_{SESSION}_T2_HASTE_TRA.zip"
        write_series_zip(path, entries)
        (row,) = rows_of([source], tmp_path)
        assert (row.reason, row.message) == (Reason.MISSING_STATION, "1 of 2 stations")
        path.rename(path.with_name(f"{PARTICIPANT}_{SESSION}_T2_HASTE_TRA_COMPOSED.zip"))
        (row,) = rows_of([source], tmp_path)
        assert (row.status, row.n_stations) == (Status.OK, 1)

    def test_two_stations_in_bids(self, tmp_path):
        anat = tmp_path / "raw" / "sub-07" / "ses-1" / "anat"
        for number, image, affine in self.stations():
            write_nifti(anat / f"sub-07_ses-1_acq-haste_chunk-{number + 1}_T2w.nii.gz", image, affine)
        entry = scan_of([Source(Layout.BIDS, tmp_path / "raw", sequences=(ScanSequence.HASTE,))], tmp_path)
        self.assert_stitched(entry, tmp_path)

    def test_at_full_size(self, tmp_path):
        """As NAKO acquires it: 1.4 x 1.4 x 6 mm."""
        shape, spacing = (320, 260, 36), (1.40625, 1.40625, 6.0)
        anat = tmp_path / "raw" / "sub-07" / "ses-1" / "anat"
        for number, z in enumerate((93.0, -93.0)):
            affine = affine_of(AXIAL, spacing, shape, (0.0, 0.0, z))
            image = np.rint(sampled(body, affine, shape)).astype(np.int16)
            write_nifti(anat / f"sub-07_ses-1_acq-haste_chunk-{number + 1}_T2w.nii.gz", image, affine)
        entry = scan_of([Source(Layout.BIDS, tmp_path / "raw", sequences=(ScanSequence.HASTE,))], tmp_path)
        (image,) = stitched(entry, tmp_path).values()
        assert image.data.shape == (320, 260, 67)
        np.testing.assert_allclose(image.spacing_mm, spacing)
        assert_shows_body(image, 4, (0, 0, 0), (200, 150, 195))

    def assert_stitched(self, entry, folder):
        assert len(read_stations(entry)) == 2
        (image,) = stitched(entry, folder).values()
        assert image.data.shape == (100, 70, 56)
        np.testing.assert_allclose(image.spacing_mm, self.SPACING)
        assert_shows_body(image, 6, (0, 0, 0), (95, 65, 130))


class TestTse:
    """Sagittal slices; NAKO has three stations of them, each tilted as the spine is."""

    SHAPE, SPACING = (120, 110, 40), (1.5, 1.5, 4.0)
    ZIPS = ("III_T2_TSE_SAG_LWS", "II_T2_TSE_SAG_BWS", "I_T2_TSE_SAG_HWS")

    @pytest.mark.parametrize("degrees", [0.0, 12.0])
    def test_three_zips_become_one_image(self, tmp_path, degrees):
        for number, (name, z) in enumerate(zip(self.ZIPS, (-110.0, 0.0, 110.0), strict=True)):
            tilt = turned(degrees * (number - 1), 0)
            affine = affine_of(tilt @ SAGITTAL, self.SPACING, self.SHAPE, (0.0, 0.0, z))
            image = np.rint(sampled(body, affine, self.SHAPE)).astype(np.uint16)
            entries = series(image, affine, number=number, description=name, PatientID=PARTICIPANT)
            write_series_zip(tmp_path / "raw" / name / f"{PARTICIPANT}_{SESSION}_{name}.zip", entries)
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.T2_TSE,))], tmp_path)
        assert entry.scan.sequence is ScanSequence.T2_TSE
        (image,) = stitched(entry, tmp_path).values()
        assert len(read_stations(entry)) == 3
        assert_shows_body(image, 12 if degrees else 8, (0, 0, 0), (70, 50, 150))

    @pytest.mark.parametrize("tilts", [(0.0, 0.0, 0.0), (0.6, 0.6, 0.6), (0.0, 0.6, 0.0)])
    def test_one_rotation_or_none_leads_to_the_stitched_image(self, tmp_path, tilts):
        """Label maps of other images find their place by it; stations with tilts of their own are resampled instead."""
        for number, (name, z, degrees) in enumerate(zip(self.ZIPS, (110.0, 0.0, -110.0), tilts, strict=True)):
            affine = affine_of(turned(degrees, 0) @ SAGITTAL, self.SPACING, self.SHAPE, (0.0, 0.0, z))
            image = np.rint(sampled(body, affine, self.SHAPE)).astype(np.uint16)
            entries = series(image, affine, number=number, description=name, PatientID=PARTICIPANT)
            write_series_zip(tmp_path / "raw" / f"{PARTICIPANT}_{SESSION}_{name}.zip", entries)
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.T2_TSE,))], tmp_path)
        if len(set(tilts)) > 1:  # resampled, where the headers say
            np.testing.assert_array_equal(scan_rotation(entry), np.eye(3))
            (image,) = stitched(entry, tmp_path).values()
            assert_shows_body(image, 12, (0, 0, 0), (70, 50, 150))
        else:
            np.testing.assert_allclose(scan_rotation(entry), turned(-tilts[0], 0), atol=1e-6)

    def test_corners_that_an_oblique_station_does_not_reach_are_empty_and_spoil_no_other_station(self, tmp_path):
        """Where a tilted station ends, only the upright station counts in their overlap."""
        for number, (name, z, degrees) in enumerate(zip(self.ZIPS[:2], (-70.0, 70.0), (0.0, 25.0), strict=True)):
            affine = affine_of(turned(degrees, 0) @ SAGITTAL, self.SPACING, self.SHAPE, (0.0, 0.0, z))
            image = np.rint(sampled(body, affine, self.SHAPE)).astype(np.uint16)
            entries = series(image, affine, number=number, description=name, PatientID=PARTICIPANT)
            write_series_zip(tmp_path / "raw" / f"{PARTICIPANT}_{SESSION}_{name}.zip", entries)
        source = Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.T2_TSE,))
        (row,) = rows_of([source], tmp_path)
        assert (row.reason, row.message) == (Reason.MISSING_STATION, "2 of 3 stations")
        source = replace(source, stations={ScanSequence.T2_TSE: "any"})
        (row,) = rows_of([source], tmp_path)
        assert "is oblique: resampled upright" in row.note
        (image,) = stitched(row.entry, tmp_path).values()
        assert_shows_body(image, 12, (0, 0, -70), (70, 80, 78))
        assert image.data[:, :6, -6:].max() == image.data[:, -6:, -6:].max() == 0


def test_coronal_slices_in_two_forms_are_one_image(tmp_path):
    shape, spacing = (110, 120, 36), (2.0, 2.0, 3.0)
    affine = affine_of(CORONAL, spacing, shape, (3.0, -4.0, 10.0))
    image = np.rint(sampled(body, affine, shape)).astype(np.int16)
    name = f"{PARTICIPANT}_{SESSION}_PD_FS_SPC_COR"
    entries = series(image, affine, description="PD_FS_SPC_COR", PatientID=PARTICIPANT)
    write_series_zip(tmp_path / "nako" / f"{name}.zip", entries)
    anat = tmp_path / "bids" / f"sub-{PARTICIPANT}" / f"ses-{SESSION}" / "anat"
    write_nifti(anat / f"sub-{PARTICIPANT}_ses-{SESSION}_PDw.nii.gz", image, affine)
    found = []
    for layout in (Layout.NAKO, Layout.BIDS):
        source = Source(layout, tmp_path / layout.value, sequences=(ScanSequence.PD,))
        entry = scan_of([source], tmp_path / f"of_{layout.value}")
        (one,) = stitched(entry, tmp_path / f"of_{layout.value}").values()
        found.append(one)
    np.testing.assert_array_equal(found[0].data, found[1].data)
    np.testing.assert_allclose(found[0].affine, found[1].affine, atol=1e-4)
    assert_shows_body(found[0], 1, (0, 0, 0), (100, 50, 100))


def test_a_sidecar_that_names_a_dixon_contrast_excludes_no_other_image(tmp_path):
    shape, affine = (40, 36, 12), affine_of(AXIAL, (4.0, 4.0, 6.0), (40, 36, 12), (0.0, 0.0, 0.0))
    anat = tmp_path / "raw" / "sub-07" / "ses-1" / "anat"
    write_nifti(anat / "sub-07_ses-1_T1w.nii.gz", np.rint(sampled(body, affine, shape)).astype(np.int16), affine)
    (anat / "sub-07_ses-1_T1w.json").write_text('{"ImageType": ["ORIGINAL", "PRIMARY", "DIXON", "WATER"]}')
    entry = scan_of([Source(Layout.BIDS, tmp_path / "raw", sequences=(ScanSequence.OTHER,))], tmp_path)
    assert entry.scan.sequence is ScanSequence.OTHER


class TestOther:
    """Loose DICOM: one scan per match of a pattern, which may span folders."""

    PATTERN = r"(?P<participant>[A-Za-z0-9]+)_pos[0-9]"

    def test_positions_in_two_folders_are_one_image(self, tmp_path):
        shape, spacing = (96, 80, 20), (2.0, 2.0, 6.0)
        for number, z in enumerate((57.0, -57.0)):
            affine = affine_of(AXIAL, spacing, shape, (0.0, 0.0, z))
            image = np.rint(sampled(body, affine, shape)).astype(np.int16)
            write_folder(tmp_path / "raw" / f"p1_pos{number}" / "deep", series(image, affine, number=number))
        entry = scan_of([self.source(tmp_path / "raw")], tmp_path)
        assert entry.scan == ScanId("p1", "1", ScanSequence.OTHER)
        (image,) = stitched(entry, tmp_path).values()
        assert image.data.shape == (96, 80, 39)
        assert_shows_body(image, 6, (0, 0, 0), (90, 70, 110))

    def test_echo_times_that_differ_in_the_last_digit_cost_no_station(self, tmp_path):
        shape, spacing = (96, 80, 20), (2.0, 2.0, 6.0)
        for number, (z, time) in enumerate(((57.0, 7.0), (-57.0, 7.001))):
            affine = affine_of(AXIAL, spacing, shape, (0.0, 0.0, z))
            image = np.rint(sampled(body, affine, shape)).astype(np.int16)
            uid = f"1.2.{number}"
            first = series(image, affine, number=number * 2, EchoTime=time, SeriesInstanceUID=uid)
            second = series(image // 2, affine, number=number * 2 + 1, EchoTime=2 * time, SeriesInstanceUID=uid)
            write_folder(tmp_path / "raw" / f"p1_pos{number}", [*first, *second])
        entry = scan_of([self.source(tmp_path / "raw")], tmp_path)
        assert len(read_stations(entry)) == 2

    def test_of_several_echoes_the_first_is_used_and_another_plane_is_left_out_with_a_note(self, tmp_path):
        shape, spacing = (96, 80, 20), (2.0, 2.0, 6.0)
        affine = affine_of(AXIAL, spacing, shape, (0.0, 0.0, 0.0))
        image = np.rint(sampled(body, affine, shape)).astype(np.int16)
        folder = tmp_path / "raw" / "p1_pos0"
        first = series(image, affine, number=1, EchoTime=4.6, SeriesInstanceUID="1.2.3")
        second = series(image // 2, affine, number=2, EchoTime=9.2, SeriesInstanceUID="1.2.3")
        sagittal = affine_of(SAGITTAL, (3.0, 3.0, 9.0), (40, 40, 9), (0.0, 0.0, 0.0))
        plane = np.rint(sampled(body, sagittal, (40, 40, 9))).astype(np.int16)
        write_folder(folder, [*first, *second, *series(plane, sagittal, number=3, description="loc")])
        (row,) = rows_of([self.source(tmp_path / "raw")], tmp_path)
        assert row.status is Status.OK, row.message
        assert "2 echoes, the first, at 4.6 ms, is used" in row.note
        assert "in another plane" in row.note
        (station,) = read_stations(row.entry)
        np.testing.assert_array_equal(station.images[Contrast.MR], image)

    def test_two_positions_of_a_philips_scanner_are_one_image_of_45_slices(self, tmp_path, shared_data):
        """Real series that overlap by 15 slices after the table moved by 60 mm."""
        for number, name in enumerate(("philips_dual_echo_iso", "philips_dual_echo_table_moved_60mm")):
            (tmp_path / "raw" / f"p1_pos{number}").mkdir(parents=True)
            for path in (shared_data / "dicom" / name).rglob("*"):
                if path.is_file():
                    (tmp_path / "raw" / f"p1_pos{number}" / path.name).write_bytes(path.read_bytes())
        entry = scan_of([self.source(tmp_path / "raw")], tmp_path)
        (image,) = stitched(entry, tmp_path).values()
        assert image.data.shape[2] == 45

    def source(self, folder: Path) -> Source:
        return Source(Layout.DICOM, folder, self.PATTERN, sequences=(ScanSequence.OTHER,))


def test_a_session_of_several_sequences_has_a_row_of_each(tmp_path):
    shape, affine = (40, 36, 12), affine_of(AXIAL, (4.0, 4.0, 6.0), (40, 36, 12), (0.0, 0.0, 0.0))
    image = np.rint(sampled(body, affine, shape)).astype(np.int16)
    session = tmp_path / "raw" / "sub-07" / "ses-1"
    for name in ("anat/sub-07_ses-1_acq-haste_T2w", "anat/sub-07_ses-1_T2w", "anat/sub-07_ses-1_PDw"):
        write_nifti(session / f"{name}.nii.gz", image, affine)
    write_nifti(session / "ct" / "sub-07_ses-1_ct.nii.gz", image - np.int16(900), affine)
    write_nifti(tmp_path / "raw" / "sub-08" / "ct" / "sub-08_ct.nii.gz", image - np.int16(950), affine)
    wanted = (ScanSequence.HASTE, ScanSequence.T2_TSE, ScanSequence.PD, ScanSequence.CT)
    rows = rows_of([Source(Layout.BIDS, tmp_path / "raw", sequences=wanted)], tmp_path)
    found = {(row.scan.participant, row.scan.sequence): row.status for row in rows}
    assert found == {**{("07", each): Status.OK for each in wanted}, ("08", ScanSequence.CT): Status.OK}
    assert len({row.shard for row in rows}) == 4, "a shard holds one sequence"
