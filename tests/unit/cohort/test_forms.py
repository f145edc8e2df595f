"""Every form of delivery is read, alone and mixed, and every file is accounted for."""

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from delivered_cohort import accounted_for, source_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_stations import summed_stations

from dixonflow.cohort.conservation import ConservationError, check_conservation
from dixonflow.cohort.included import Included, read_included
from dixonflow.cohort.table import COHORT_SCANS, CohortScan
from dixonflow.errors import ConfigError
from dixonflow.imaging.station import Station
from dixonflow.phantom.breakages import cut_off
from dixonflow.phantom.writers.deliveries import FORMS, write_bids, write_nako_sequences, write_ukb_array_1
from dixonflow.phantom.writers.dicom import write_nako, write_ukb
from dixonflow.rawdata.raw_scan import RawScan, ReadOptions, Source
from dixonflow.rawdata.reader import read_stations
from dixonflow.stitch.scan import stitch
from dixonflow.tables.parquet import read_table
from dixonflow.vocabulary import DIXON, Layout, Reason, ScanId, Status

SCAN = ScanId("100012", "30")
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_read(row: CohortScan, stations: Sequence[Station], composed: bool = False) -> None:
    assert row.status is Status.OK, row.message
    assert isinstance(row.entry, RawScan)
    found = read_stations(row.entry)
    if composed:
        whole = stitch(stations)
        stations = [Station(0, whole.images, whole.affine)]
    assert len(found) == len(stations) == row.n_stations
    for got, want in zip(found, stations, strict=True):
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-4)
        for contrast in DIXON:
            np.testing.assert_array_equal(got.images[contrast], want.images[contrast])


@pytest.mark.parametrize("form", FORMS)
def test_each_form_alone(tmp_path: Path, form: str) -> None:
    stations = summed_stations(3)
    FORMS[form].write(tmp_path / "raw", SCAN, stations)
    (tmp_path / "raw" / "desktop.ini").write_text("[.ShellClassInfo]")
    (tmp_path / "raw" / "lost+found").mkdir(mode=0)  # of a disk; its owner alone may look in
    (tmp_path / "raw" / "$RECYCLE.BIN").mkdir()
    (tmp_path / "raw" / "$RECYCLE.BIN" / "$R1.zip").write_bytes(b"thrown away")
    (row,) = accounted_for([source_of(form, tmp_path / "raw")], tmp_path)
    scan = replace(SCAN, session="1") if form == "bids_no_sessions" else SCAN
    assert row.scan == scan
    assert_read(row, stations, FORMS[form].composed)


@FEW
@given(order=st.permutations(sorted(FORMS)))
def test_all_forms_mixed(tmp_path: Path, order: list[str]) -> None:
    """Forms of one layout share a folder; each participant comes in another form."""
    shutil.rmtree(tmp_path / "raw", ignore_errors=True)
    each = {}
    for number, form in enumerate(order[:6]):
        each[f"{100020 + number}"] = (form, summed_stations(3, seed=number))
        FORMS[form].write(
            tmp_path / "raw" / FORMS[form].layout, ScanId(f"{100020 + number}", "30"), each[f"{100020 + number}"][1]
        )
    layouts = {FORMS[form].layout: form for form, _ in each.values()}
    rows = accounted_for([source_of(form, tmp_path / "raw" / layout) for layout, form in layouts.items()], tmp_path)
    assert len(rows) == len(each)
    for row in rows:
        form, stations = each[row.scan.participant]
        assert_read(row, stations, FORMS[form].composed)


@pytest.mark.parametrize("missing", ["3D_GRE_TRA_W", "3D_GRE_TRA_opp"])
def test_a_scan_out_of_four_zips_of_which_one_is_missing_or_broken(tmp_path: Path, missing: str) -> None:
    stations = summed_stations(3)
    paths = write_nako_sequences(tmp_path / "raw", SCAN, stations)
    (victim,) = (path for path in paths if path.parent.name == missing)
    cut_off(victim)
    (row,) = accounted_for([source_of("nako_sequences", tmp_path / "raw")], tmp_path)
    assert row.reason is Reason.UNREADABLE_FILE
    assert "of 4: not a readable zip" in row.message
    victim.unlink()
    (row,) = accounted_for([source_of("nako_sequences", tmp_path / "raw")], tmp_path)
    assert row.reason is Reason.MISSING_CONTRAST
    # delivered once more, in a folder of its own
    later = tmp_path / "later"
    write_nako_sequences(later, SCAN, stations)
    sources = [source_of("nako_sequences", tmp_path / "raw"), source_of("nako_sequences", later)]
    (row,) = accounted_for(sources, tmp_path)
    assert_read(row, stations)
    assert row.note == "found 2 times with equal content"


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_later_delivery_replaces_what_it_holds(tmp_path: Path, all_of_it: bool) -> None:
    first, second = summed_stations(3, seed=1), summed_stations(3, seed=1)
    for station in second[1:]:  # the second station of the first delivery is of another scan
        for contrast in DIXON:
            station.images[contrast][:] = summed_stations(3, seed=2)[station.index].images[contrast]
    old = write_nako_sequences(tmp_path / "first", SCAN, first)
    new = write_nako_sequences(tmp_path / "second", SCAN, second)
    if not all_of_it:
        for path in [*new[1:]]:
            path.unlink()
    plain = [source_of("nako_sequences", tmp_path / "first"), source_of("nako_sequences", tmp_path / "second")]
    (row,) = accounted_for(plain, tmp_path)
    assert row.reason is Reason.DUPLICATE_SCAN
    sources = [plain[0], replace(plain[1], supersedes=tmp_path / "first")]
    (row,) = accounted_for(sources, tmp_path)
    replaced = 4 if all_of_it else 1
    assert len(row.superseded) == replaced
    assert set(row.superseded) <= set(old)
    if all_of_it:
        assert_read(row, second)
        assert row.note.startswith("4 of its files are replaced by those of a later delivery, in ")
        assert row.note.endswith(str(sources[1].folder))
    else:
        assert isinstance(row.entry, RawScan)
        assert row.entry.paths == tuple(sorted([*old[1:], new[0]]))
        assert row.note.endswith(f"in {sources[1].folder}")


def test_a_whole_zip_replaces_the_parts_of_an_earlier_delivery(tmp_path: Path) -> None:
    stations = summed_stations(3)
    for path in write_nako_sequences(tmp_path / "first", SCAN, summed_stations(3, seed=9)):
        cut_off(path)
    write_nako(tmp_path / "second", SCAN, stations)
    later = replace(source_of("nako_zip", tmp_path / "second"), supersedes=tmp_path / "first")
    (row,) = accounted_for([source_of("nako_sequences", tmp_path / "first"), later], tmp_path)
    assert_read(row, stations)
    assert len(row.superseded) == 4


def test_a_zip_and_nifti_of_one_scan_are_two_of_it(tmp_path: Path) -> None:
    """They are not put together; which one is meant nobody can say."""
    for form in ("nako_zip", "nako_nifti"):
        FORMS[form].write(tmp_path / "raw", SCAN, summed_stations(3))
    (row,) = accounted_for([source_of("nako_zip", tmp_path / "raw")], tmp_path)
    assert (row.reason, row.message) == (Reason.DUPLICATE_SCAN, "found 2 times, with different content: keep one")


def test_two_array_indices_are_parts_of_one_scan(tmp_path: Path) -> None:
    stations = summed_stations(3)
    write_ukb(tmp_path / "raw", SCAN, stations[:2])
    write_ukb_array_1(tmp_path / "raw", SCAN, [stations[2]])
    (row,) = accounted_for([source_of("ukb_zip", tmp_path / "raw")], tmp_path)
    assert_read(row, stations)


def test_a_zip_whose_name_says_another_contrast_contradicts(tmp_path: Path) -> None:
    paths = write_nako_sequences(tmp_path / "raw", SCAN, summed_stations(3))
    water, fat = paths[0], paths[1]
    swap = tmp_path / "swap.zip"
    water.rename(swap)
    fat.rename(water)
    swap.rename(fat)
    (row,) = accounted_for([source_of("nako_sequences", tmp_path / "raw")], tmp_path)
    assert row.reason is Reason.CONTRAST_MISMATCH
    assert "the name of its zip or folder says" in row.message


def test_a_sequence_that_is_not_known_is_told(tmp_path: Path) -> None:
    write_nako_sequences(tmp_path / "raw", SCAN, summed_stations(3))
    (tmp_path / "raw" / "other").mkdir()
    shutil.copy(next((tmp_path / "raw").rglob("*_W.zip")), tmp_path / "raw" / "other" / "100012_30_T1_MPRAGE.zip")
    rows = accounted_for([source_of("nako_sequences", tmp_path / "raw")], tmp_path)
    assert [(row.reason, row.message) for row in rows] == [
        (Reason.NONE, ""),
        (Reason.UNPARSABLE_NAME, "the name has a sequence that is not known"),
    ]


@pytest.mark.parametrize("visit", ["20", "25", "30", "60"])
def test_every_visit_of_nako(tmp_path: Path, visit: str) -> None:
    write_nako_sequences(tmp_path / "raw", ScanId("100012", visit), summed_stations(3))
    (row,) = accounted_for([source_of("nako_sequences", tmp_path / "raw")], tmp_path)
    assert (row.scan, row.status) == (ScanId("100012", visit), Status.OK)


def test_a_manifest_that_lists_files_that_are_not_there(tmp_path: Path) -> None:
    stations = summed_stations(3)
    FORMS["ukb_folder"].write(tmp_path / "raw", SCAN, stations)
    folder = next((tmp_path / "raw").iterdir())
    manifest = next(folder.glob("manifest.*"))
    manifest.rename(folder / "Manifest.CSV")
    (row,) = accounted_for([source_of("ukb_folder", tmp_path / "raw")], tmp_path)
    assert_read(row, stations)
    # the last slice of one station, in all contrasts: nothing but the manifest tells that it is missing
    import pydicom

    lowest = {}
    for path in folder.glob("*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        if (int(ds.SeriesNumber) - 5) // 4 == 2:
            lowest.setdefault(float(ds.ImagePositionPatient[2]), []).append(path)
    for path in lowest[min(lowest)]:
        path.unlink()
    (row,) = accounted_for([source_of("ukb_folder", tmp_path / "raw")], tmp_path)
    assert row.reason is Reason.MISSING_SLICE
    assert "4 of the files that its manifest lists are missing" in row.message


@pytest.mark.parametrize("form", ["ukb_folder", "ukb_zip"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 200, b"filename,modality\n", b'"' + b"x" * 200_000])
def test_a_manifest_that_cannot_be_read_is_a_note(tmp_path: Path, form: str, content: bytes) -> None:
    stations = summed_stations(3)
    FORMS[form].write(tmp_path / "raw", SCAN, stations)
    (place,) = (tmp_path / "raw").iterdir()
    if form == "ukb_folder":
        next(place.glob("manifest.*")).write_bytes(content)
    else:
        with zipfile.ZipFile(place) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, content if name.startswith("manifest") else data)
    (row,) = accounted_for([source_of(form, tmp_path / "raw")], tmp_path)
    assert_read(row, stations)
    assert "a manifest cannot be read and was not compared" in row.note


def test_only_scans_on_the_list_are_included(tmp_path: Path) -> None:
    for number in range(4):
        write_ukb(tmp_path / "raw", ScanId(f"10{number}", "2"), summed_stations(3, seed=number))
    write_ukb(tmp_path / "raw", ScanId("103", "3"), summed_stations(3, seed=9))
    path = tmp_path / "pilot.txt"
    path.write_text("eid\n101\nsub-103_ses-3\n999,2\n# a remark\n")
    included = read_included(path)
    assert included == Included(frozenset({"101"}), frozenset({("103", "3"), ("999", "2")}))
    sources = [source_of("ukb_zip", tmp_path / "raw")]
    rows = accounted_for(sources, tmp_path, included=included)
    assert [row.scan for row in rows] == [ScanId("101", "2"), ScanId("103", "3")]
    table = read_table(tmp_path / "scans.parquet", COHORT_SCANS).to_pandas()
    with pytest.raises(ConservationError, match="5 scans, the table has 2 rows"):
        check_conservation(sources, table)
    for text in ("", "# nothing\n", "1 2 3\n", "Müller\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError):
            read_included(path)


def test_loose_files_that_match_no_scan_have_a_row_per_folder(tmp_path: Path) -> None:
    stations = summed_stations(3)
    FORMS["dicom_loose"].write(tmp_path / "raw", SCAN, stations)
    (tmp_path / "raw" / "unsorted" / "deep").mkdir(parents=True)
    for name in ("unsorted/IM1", "unsorted/IM2", "unsorted/deep/IM3"):
        (tmp_path / "raw" / name).write_bytes(b"x")
    rows = accounted_for([source_of("dicom_loose", tmp_path / "raw")], tmp_path)
    assert_read(rows[0], stations)
    assert [str(row.entry.path.relative_to(tmp_path)) for row in rows[1:]] == ["raw/unsorted", "raw/unsorted/deep"]
    assert {row.reason for row in rows[1:]} == {Reason.UNPARSABLE_NAME}


def test_two_participants_in_one_folder_of_loose_files(tmp_path: Path) -> None:
    each = [summed_stations(3, seed=seed) for seed in range(2)]
    for number, stations in enumerate(each):
        FORMS["dicom_loose"].write(tmp_path / "made", ScanId(f"10{number}", "1"), stations)
    flat = tmp_path / "raw" / "all"
    flat.mkdir(parents=True)
    for path in (tmp_path / "made").rglob("IM*"):
        relative = path.relative_to(tmp_path / "made")
        shutil.copy(path, flat / "-".join(relative.parts))
    source = Source(
        Layout.DICOM, tmp_path / "raw", r"all/(?P<participant>[0-9]+)_(?P<session>[0-9]+)", options=ReadOptions(3)
    )
    rows = accounted_for([source], tmp_path)
    for row, stations in zip(rows, each, strict=True):
        assert_read(row, stations)


def test_a_session_in_two_kinds_of_sources_is_a_duplicate(tmp_path: Path) -> None:
    stations = summed_stations(3)
    write_ukb(tmp_path / "ukb", SCAN, stations)
    write_bids(tmp_path / "bids", SCAN, stations)
    sources = [source_of("ukb_zip", tmp_path / "ukb"), source_of("bids", tmp_path / "bids")]
    (row,) = accounted_for(sources, tmp_path)
    assert row.reason is Reason.DUPLICATE_SCAN
