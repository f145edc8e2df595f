"""CT as DICOM, and multi-echo VIBE: raw files in, Hounsfield units, fat fractions and relaxation rates out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_series import affine_of, sampled, series, write_folder, write_series_zip
from measured_body import whole
from sequence_scans import AXIAL, PARTICIPANT, SESSION, body, model_for, rows_of, scan_of, stitched

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import MAP_SCALE
from dixonflow.measure.scan import measure
from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.vocabulary import Contrast, Layout, Reason, ScanSequence


class TestCt:
    def test_dicom_gives_hounsfield_units(self, tmp_path):
        shape, spacing = (60, 50, 30), (3.0, 3.0, 5.0)
        affine = affine_of(AXIAL, spacing, shape, (0.0, 0.0, 0.0))
        hu = np.rint(sampled(body, affine, shape)).astype(np.int16) - 900
        entries = series(
            (hu + 1024).astype(np.uint16), affine, Modality="CT", RescaleSlope=1.0, RescaleIntercept=-1024.0
        )
        write_folder(tmp_path / "raw" / "p1", entries)
        source = Source(Layout.DICOM, tmp_path / "raw", "(?P<participant>[a-z0-9]+)/", sequences=(ScanSequence.CT,))
        entry = scan_of([source], tmp_path)
        (image,) = stitched(entry, tmp_path).values()
        np.testing.assert_array_equal(image.data, hu)
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)

    def test_two_images_are_no_ct_whatever_the_source_says(self, tmp_path):
        shape, spacing = (60, 50, 30), (3.0, 3.0, 5.0)
        for number, z in enumerate((0.0, 140.0)):
            affine = affine_of(AXIAL, spacing, shape, (0.0, 0.0, z))
            hu = np.rint(sampled(body, affine, shape)).astype(np.int16) - 900
            write_folder(tmp_path / "raw" / "p1", series(hu, affine, number=number, Modality="CT"))
        options = ReadOptions(stations="any")
        pattern = "(?P<participant>[a-z0-9]+)/"
        source = Source(Layout.DICOM, tmp_path / "raw", pattern, options=options, sequences=(ScanSequence.CT,))
        (row,) = rows_of([source], tmp_path)
        assert (row.reason, row.message) == (Reason.UNEXPECTED_GEOMETRY, "2 stations, expected 1")


class TestMultiEcho:
    """Multi-echo VIBE of NAKO: water, fat and what the scanner computes, each in a zip of its own."""

    SHAPE, SPACING = (60, 50, 24), (3.0, 3.0, 6.0)
    NAMES = ("Output_W", "Output_F", "Output_FP", "Output_R2s_Eff", "Eco0_OPP1", "Output_WP")

    def write(self, folder: Path, percent: float = 1.0, noise: float = 0.0) -> dict[str, np.ndarray]:
        affine = affine_of(AXIAL, self.SPACING, self.SHAPE, (0.0, 0.0, 0.0))
        signal = sampled(body, affine, self.SHAPE)
        fraction = np.clip(20 + 60 * (np.arange(60)[:, None, None] / 60), 0, 100) * np.ones(self.SHAPE)
        images = {
            "Output_W": signal * (1 - fraction / 100),
            "Output_F": signal * fraction / 100,
            "Output_FP": percent * fraction,
            "Output_R2s_Eff": 40 + fraction / 4,
            "Eco0_OPP1": signal,
            "Output_WP": 100 - fraction,
        }
        if noise:
            images["Output_R2s_Eff"][:2, :2] = noise
        for number, name in enumerate(self.NAMES):
            sequence = f"ME_vibe_fatquant_pre_{name}"
            stored = np.rint(images[name]).astype(np.uint16)
            entries = series(stored, affine, number=number, description=sequence, PatientID=PARTICIPANT)
            write_series_zip(folder / sequence / f"{PARTICIPANT}_{SESSION}_{sequence}.zip", entries)
        return {name: np.rint(image) for name, image in images.items()}

    def test_fat_fraction_and_relaxation_reach_the_measurements(self, tmp_path):
        truth = self.write(tmp_path / "raw")
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.ME_VIBE,))], tmp_path)
        images = stitched(entry, tmp_path)
        assert set(images) == {
            *(Contrast.WATER, Contrast.FAT, Contrast.FAT_FRACTION),
            *(Contrast.R2STAR, Contrast.ECHO_1),
        }
        labels = np.zeros(self.SHAPE, np.uint8)
        labels[20:40, 15:35, 6:18] = 1
        model = model_for(ScanSequence.ME_VIBE)
        data = {contrast: image.data for contrast, image in images.items()}
        affine = images[Contrast.WATER].affine
        rows = measure(labels, data, affine, whole(self.SHAPE, affine), model).measurements
        value = rows.set_index("measure")["value"]
        assert value["pdff_mean"] == pytest.approx(truth["Output_FP"][labels == 1].mean() / 100, abs=1e-6)
        assert value["pdff_median"] == pytest.approx(np.median(truth["Output_FP"][labels == 1]) / 100, abs=1e-6)
        assert value["r2star_mean"] == pytest.approx(truth["Output_R2s_Eff"][labels == 1].mean(), abs=1e-6)
        assert rows.set_index("measure").loc["r2star_mean", "unit"] == "1/s"
        assert "fat_fraction" not in value.index, "signal fat fractions are those of two-point Dixon"

    def test_without_relaxation_the_value_is_missing_with_its_reason(self, tmp_path):
        self.write(tmp_path / "raw")
        for path in (tmp_path / "raw").rglob("*R2s_Eff.zip"):
            path.unlink()
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.ME_VIBE,))], tmp_path)
        images = stitched(entry, tmp_path)
        labels = np.ones(self.SHAPE, np.uint8)
        affine = images[Contrast.WATER].affine
        data = {contrast: image.data for contrast, image in images.items()}
        rows = measure(labels, data, affine, whole(self.SHAPE, affine), model_for(ScanSequence.ME_VIBE)).measurements
        row = rows.set_index("measure").loc["r2star_mean"]
        assert pd.isna(row["value"])
        assert row["missing_reason"] == "no_image"

    def test_noise_beyond_what_the_image_can_hold_is_limited_and_does_not_wrap(self, tmp_path):
        self.write(tmp_path / "raw", noise=60_000)
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.ME_VIBE,))], tmp_path)
        relaxation = stitched(entry, tmp_path)[Contrast.R2STAR].data / MAP_SCALE
        assert relaxation[0, 0, 0] == 3276
        assert relaxation.min() > 0

    @pytest.mark.parametrize("percent", [0.01, 10.0])
    def test_a_map_that_is_not_in_percent_excludes_the_scan(self, tmp_path, percent):
        self.write(tmp_path / "raw", percent)
        entry = scan_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.ME_VIBE,))], tmp_path)
        with pytest.raises(ScanExcluded, match="no fat fractions in percent") as excluded:
            stitched(entry, tmp_path)
        assert excluded.value.reason is Reason.IMPLAUSIBLE_VALUES

    def test_without_the_fat_fraction_it_is_no_scan(self, tmp_path):
        self.write(tmp_path / "raw")
        for path in (tmp_path / "raw").rglob("*Output_FP.zip"):
            path.unlink()
        (row,) = rows_of([Source(Layout.NAKO, tmp_path / "raw", sequences=(ScanSequence.ME_VIBE,))], tmp_path)
        assert row.reason is Reason.MISSING_CONTRAST
        assert "fat_fraction" in row.message
