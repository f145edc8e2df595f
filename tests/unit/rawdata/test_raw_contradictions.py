"""What contradicts in raw data is never resolved in silence; what can be read is read as it is meant."""

import struct
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_scan_files import Slice, make_stations, scan_slices, write_scan_zip
from scan_reading import TWO, assert_equal, raw_scan

from dixonflow.cohort.build import build_cohort
from dixonflow.cohort.patient_ids import ANOTHER_ID, CHECK_IS_OFF
from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.rawdata.raw_scan import Source
from dixonflow.rawdata.reader import InspectOptions, inspect, read_stations
from dixonflow.vocabulary import DIXON, Contrast, Layout, Reason, Status

SHAPE = (18, 16, 5)
STATIONS = make_stations(2, 3, SHAPE)
PLACES = len(DIXON) * 2 * SHAPE[2]
FEW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(folder: Path, slices: list[Slice]) -> Path:
    return write_scan_zip(folder / "a.zip", slices)


def set_pixels(item: Slice, values: np.ndarray) -> None:
    item.ds.PixelData = values.astype("<i2" if item.ds.PixelRepresentation else "<u2").tobytes()


def pixels(item: Slice) -> np.ndarray:
    return np.frombuffer(item.ds.PixelData, "<u2").reshape(item.ds.Rows, item.ds.Columns).copy()


@FEW
@given(having=st.sets(st.integers(0, PLACES - 1), min_size=1, max_size=PLACES - 1), both=st.booleans())
def test_rescale_tags_on_part_of_the_slices_contradict(tmp_path: Path, having: set[int], both: bool) -> None:
    slices = scan_slices(STATIONS)
    for place in having:
        slices[place].ds.RescaleSlope = "2"
        if both:
            slices[place].ds.RescaleIntercept = "0"
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(written(tmp_path, slices)), TWO)
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS


@FEW
@given(slope=st.sampled_from([0.25, 0.5, 2.0, 3.7, 100.0]), intercept=st.sampled_from([0.0, 5.0]))
def test_rescale_tags_on_all_slices_are_applied(tmp_path: Path, slope: float, intercept: float) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        item.ds.RescaleSlope, item.ds.RescaleIntercept = str(slope), str(intercept)
    for found, wanted in zip(read_stations(raw_scan(written(tmp_path, slices)), TWO), STATIONS, strict=True):
        for contrast in DIXON:
            np.testing.assert_allclose(found.images[contrast], wanted.images[contrast] * slope + intercept, rtol=1e-6)


@FEW
@given(
    value=st.integers(-32768, -1),
    rows=st.integers(1, SHAPE[1] - 2),
    scaled=st.booleans(),
    limit=st.integers(0, 3),
    part=st.sampled_from(list(DIXON)),
)
def test_padding_is_no_data(tmp_path: Path, value: int, rows: int, scaled: bool, limit: int, part: Contrast) -> None:
    slices = scan_slices(STATIONS)
    low = max(value - limit, -32768)
    for item in slices:
        values = pixels(item).astype(np.int32)
        if item.contrast is part:
            values[:rows] = np.linspace(low, value, values[:rows].size).reshape(values[:rows].shape).round()
        item.ds.PixelRepresentation, item.ds.BitsStored, item.ds.HighBit = 1, 16, 15
        set_pixels(item, values)
        item.ds.add_new(0x00280120, "SS", value)
        if limit:
            item.ds.add_new(0x00280121, "SS", low)
        if scaled:
            item.ds.RescaleSlope, item.ds.RescaleIntercept = "2", "7"
    path = written(tmp_path, slices)
    if value != low and not limit:
        return
    assert inspect(raw_scan(path), TWO).reading == "padding"
    for found, wanted in zip(read_stations(raw_scan(path), TWO), STATIONS, strict=True):
        for contrast in DIXON:
            image = wanted.images[contrast] * (2 if scaled else 1) + (7 if scaled else 0)
            if contrast is part:
                image[:, SHAPE[1] - rows :] = 0  # rows run to the back
            np.testing.assert_array_equal(found.images[contrast], image)


@FEW
@given(bits=st.sets(st.integers(12, 15), min_size=1), declared=st.booleans(), seed=st.integers(0, 99))
def test_overlays_in_unused_bits_are_masked(tmp_path: Path, bits: set[int], declared: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    slices = scan_slices(STATIONS)
    for item in slices:
        values = pixels(item)
        for bit in bits:
            values |= rng.integers(0, 2, values.shape, dtype=np.uint16) << bit
        set_pixels(item, values)
        if declared:
            for number, bit in enumerate(sorted(bits)):
                item.ds.add_new(0x60000102 + (2 * number << 16), "US", bit)
    path = written(tmp_path, slices)
    if 12 in bits and not declared:  # the pixels may have more bits than the header says: nobody can tell
        with pytest.raises(ScanExcluded) as excluded:
            read_stations(raw_scan(path), TWO)
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    else:
        assert_equal(read_stations(raw_scan(path), TWO), STATIONS)


@pytest.mark.parametrize("part", list(DIXON))
def test_padding_that_part_of_the_scan_names_contradicts(tmp_path: Path, part: Contrast) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        if item.contrast is not part:
            item.ds.add_new(0x00280120, "US", 400)
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(written(tmp_path, slices)), TWO)
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    for item in slices:  # to name 0 changes nothing
        item.ds.add_new(0x00280120, "US", 0)
        if item.contrast is part:
            del item.ds[0x00280120]
    assert_equal(read_stations(raw_scan(written(tmp_path, slices)), TWO), STATIONS)


def test_an_echo_time_that_part_of_the_stations_name_contradicts(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        if (item.station, item.contrast) == (1, Contrast.IN_PHASE):
            del item.ds.EchoTime
    with pytest.raises(ScanExcluded, match="echo time is missing in part of the scan") as excluded:
        inspect(raw_scan(written(tmp_path, slices)), TWO)
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    for item in slices:  # none at all says nothing
        if item.contrast is Contrast.IN_PHASE and "EchoTime" in item.ds:
            del item.ds.EchoTime
    inspect(raw_scan(written(tmp_path, slices)), TWO)


def test_echo_times_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for number, item in enumerate(slices):
        item.ds.EchoTime = float(item.ds.EchoTime) + 0.0001 * (number % 2)
    inspect(raw_scan(written(tmp_path, slices)), TWO)


@pytest.mark.parametrize("extended", [True, False])
def test_signed_values_need_no_sign_in_unused_bits(tmp_path: Path, extended: bool) -> None:
    stations = [
        replace(station, images={c: (image // 2 - 1000).astype(np.int16) for c, image in station.images.items()})
        for station in STATIONS
    ]
    slices = scan_slices(stations)
    for item in slices:
        values = np.frombuffer(item.ds.PixelData, "<i2")
        item.ds.PixelRepresentation = 1
        item.ds.PixelData = (values if extended else values & 0x0FFF).astype("<i2").tobytes()
    assert_equal(read_stations(raw_scan(written(tmp_path, slices)), TWO), stations)


@pytest.mark.parametrize(("thickness", "spacing", "ok"), [(4, 4, True), (4.4, 4.4, False), (3, 4.4, True)])
def test_positions_against_thickness_and_spacing(tmp_path: Path, thickness: float, spacing: float, ok: bool) -> None:
    slices = scan_slices(STATIONS)  # 4 mm apart
    for item in slices:
        item.ds.SliceThickness, item.ds.SpacingBetweenSlices = thickness, spacing
    path = written(tmp_path, slices)
    if ok:
        inspect(raw_scan(path), TWO)
    else:
        with pytest.raises(ScanExcluded) as excluded:
            inspect(raw_scan(path), TWO)
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS


def test_a_localizer_is_not_held_against_the_scan(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for item in scan_slices(make_stations(1, 9, SHAPE)):
        if item.contrast is Contrast.FAT:
            item.ds.SeriesInstanceUID, item.ds.ImageType = "1.2.3", ["ORIGINAL", "PRIMARY", "M"]
            item.ds.SeriesDescription, item.ds.HighBit, item.ds.PatientID = "localizer", 15, ""
            slices.append(item)
    summary = inspect(raw_scan(written(tmp_path, slices)), TWO)
    assert any("12 bits of 16" in note for note in summary.notes)
    assert_equal(read_stations(raw_scan(written(tmp_path, slices)), TWO), STATIONS)


def test_members_of_one_name_are_each_their_own(tmp_path: Path) -> None:
    import zipfile

    from raw_scan_files import encode

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for item in scan_slices(STATIONS):
            archive.writestr(f"IM{item.index}", encode(item.ds))
    assert_equal(read_stations(raw_scan(path), TWO), STATIONS)


@pytest.mark.parametrize("tag", ["BitsStored", "EchoTime"])
def test_what_slices_of_a_series_share_must_be_the_same(tmp_path: Path, tag: str) -> None:
    slices = scan_slices(STATIONS)
    if tag == "BitsStored":
        slices[2].ds.BitsStored, slices[2].ds.HighBit = 13, 12
    else:
        del slices[2].ds.EchoTime
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(written(tmp_path, slices)), TWO)
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS


class TestNifti:
    AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2.5, 0, -40], [0, 0, 3.0, 11], [0, 0, 0, 1]])

    def image(self) -> nib.Nifti1Image:
        image = nib.Nifti1Image(np.arange(20 * 18 * 16, dtype=np.int16).reshape(20, 18, 16), self.AFFINE)
        image.set_qform(self.AFFINE, 1)
        image.set_sform(self.AFFINE, 1)
        return image

    def read(self, image: nib.Nifti1Image, folder: Path) -> None:
        nib.save(image, folder / "a.nii.gz")
        read_nifti(folder / "a.nii.gz")

    @FEW
    @given(
        factor=st.floats(0.3, 0.99) | st.floats(1.01, 3.0),
        axis=st.sampled_from([0, 1, 2]),
        what=st.sampled_from(["sform", "qform", "pixdim"]),
    )
    def test_another_voxel_size_in_one_place_contradicts(self, tmp_path, factor, axis, what) -> None:
        image, affine = self.image(), self.AFFINE.copy()
        affine[:3, axis] *= factor
        if what == "sform":
            image.set_sform(affine, 1)
        elif what == "qform":
            image.set_qform(affine, 1, update_affine=False)
            image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = self.AFFINE[:3]
        else:
            image.set_qform(None, 0)
            image.header["pixdim"][1 + axis] *= factor
        with pytest.raises(ScanExcluded) as excluded:
            self.read(image, tmp_path)
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS

    @FEW
    @given(shift=st.floats(2.0, 300), axis=st.sampled_from([0, 1, 2]), flip=st.booleans())
    def test_another_place_or_direction_contradicts(self, tmp_path, shift, axis, flip) -> None:
        image, affine = self.image(), self.AFFINE.copy()
        if flip:
            affine[axis] *= -1
        else:
            affine[axis, 3] += shift
        image.header.set_sform(affine, 1)
        with pytest.raises(ScanExcluded) as excluded:
            nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), tmp_path / "b.nii.gz")
            read_nifti(tmp_path / "b.nii.gz")
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS

    @FEW
    @given(error=st.floats(-1e-5, 1e-5), code=st.sampled_from([1, 2]))
    def test_rounding_is_no_contradiction(self, tmp_path, error, code) -> None:
        image = self.image()
        image.set_sform(self.AFFINE * (1 + error), code)
        self.read(image, tmp_path)

    @pytest.mark.parametrize(
        ("slope", "intercept", "ok"),
        [
            (np.nan, np.nan, True), (0.0, 0.0, True), (0.0, np.nan, True), (1.2, 0.0, True),
            (1.2, np.nan, False), (1.2, np.inf, False), (np.inf, 0.0, False), (-np.inf, np.nan, False),
        ],
    )  # fmt: skip
    def test_a_slope_without_an_intercept_is_no_scaling(self, tmp_path, slope, intercept, ok) -> None:
        path = tmp_path / "a.nii"
        nib.save(self.image(), path)
        content = bytearray(path.read_bytes())
        content[112:120] = struct.pack("<ff", slope, intercept)
        path.write_bytes(content)
        if ok:
            read_nifti(path)
        else:
            with pytest.raises(ScanExcluded) as excluded:
                read_nifti(path)
            assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS

    def test_sizes_that_nobody_has_set_contradict_nothing(self, tmp_path) -> None:
        path = tmp_path / "a.nii"
        image = self.image()
        image.set_qform(None, 0)
        nib.save(image, path)
        content = bytearray(path.read_bytes())
        content[80:92] = bytes(12)
        path.write_bytes(content)
        np.testing.assert_allclose(read_nifti(path).spacing_mm, (2.0, 2.5, 3.0))

    def test_either_form_alone_is_enough(self, tmp_path) -> None:
        for form in ("set_sform", "set_qform"):
            image = self.image()
            getattr(image, form)(None, 0)
            self.read(image, tmp_path)

    def test_a_flipped_sform_beside_a_qform_is_seen_in_the_cohort(self, tmp_path) -> None:
        path = tmp_path / "sub-1" / "ses-1" / "anat" / "sub-1_ses-1_acq-water_chunk-1_VIBE.nii.gz"
        write_nifti(path, np.ones((18, 16, 5), np.int16), np.diag([2.0, 2, 3, 1]))
        image = nib.load(path)
        image.header.set_sform(np.diag([-2.0, 2, 3, 1]), 1)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
        (row,) = build_cohort([Source(Layout.BIDS, tmp_path)]).scans
        assert row.reason is Reason.CONTRADICTORY_HEADERS
        assert "sub-" not in row.message


class TestPatientId:
    """The id inside the files against the name, source by source."""

    def cohort(self, folder: Path, ids: list[str], layout: Layout = Layout.NAKO, match: bool | None = None):
        for number, patient_id in enumerate(ids):
            slices = scan_slices(make_stations(2, number, SHAPE), patient_id=patient_id)
            name = f"{100 + number}_30.zip" if layout is Layout.NAKO else f"{100 + number}_20201_2_0.zip"
            folder.mkdir(exist_ok=True)
            write_scan_zip(folder / name, slices)
        source = Source(layout, folder, match_patient_id=match)
        options = InspectOptions(n_stations={Layout.UKB: 2, Layout.NAKO: 2})
        first = build_cohort([source], options=options)
        again = build_cohort([source], options=options, previous=first.scans)
        assert again.n_inspected == 0
        assert again.scans == first.scans
        return first.scans

    def test_a_zip_under_another_name_is_excluded(self, tmp_path) -> None:
        rows = self.cohort(tmp_path, ["100_30", "101", "999_30", "103_30"])
        assert [row.reason for row in rows] == [Reason.NONE, Reason.NONE, Reason.IDENTITY_MISMATCH, Reason.NONE]
        assert rows[2].message == ANOTHER_ID
        assert "999" not in rows[2].message

    def test_where_most_disagree_the_check_is_off_with_a_note(self, tmp_path) -> None:
        rows = self.cohort(tmp_path, ["PSEUDO1", "PSEUDO2", "102_30"])
        assert {row.status for row in rows} == {Status.OK}
        assert [CHECK_IS_OFF in row.note for row in rows] == [True, True, False]

    def test_uk_biobank_is_not_checked_unless_asked(self, tmp_path) -> None:
        ids = ["100", "101", "999"]
        assert {row.status for row in self.cohort(tmp_path / "off", ids, Layout.UKB)} == {Status.OK}
        rows = self.cohort(tmp_path / "on", ids, Layout.UKB, match=True)
        assert [row.status for row in rows] == [Status.OK, Status.OK, Status.EXCLUDED]
        off = self.cohort(tmp_path / "nako", ["100", "101", "999"], Layout.NAKO, match=False)
        assert {row.status for row in off} == {Status.OK}
