"""Equal images are known again, whatever they are packed in and called; the fingerprints of scans stay as they were."""

import gzip
import hashlib
import io
import itertools
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from delivered_cohort import accounted_for, source_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_stations import summed_stations
from raw_scan_files import encode, scan_slices

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.table import CohortScan, read_scans, table_digest
from dixonflow.imaging.nifti import write_nifti
from dixonflow.phantom.writers.deliveries import FORMS
from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.vocabulary import DIXON, Contrast, Layout, Reason, ScanId, ScanSequence

FEW = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Files = list[tuple[str, bytes]]


@cache
def slices(seed: int = 0) -> tuple[bytes, ...]:
    return tuple(encode(each.ds) for each in scan_slices(summed_stations(2, seed)))


def zipped(path: Path, files: Files) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: a zip may hold other separators than those of this system
            archive.writestr(info, content)


def unpacked(path: Path, files: Files) -> None:
    for name, content in files:
        file = path.with_suffix("") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def named(form: str, reverse: bool = False) -> Callable[[tuple[bytes, ...]], Files]:
    def files(contents: tuple[bytes, ...]) -> Files:
        found = [(form.format(number), content) for number, content in enumerate(contents)]
        return found[::-1] if reverse else found

    return files


PACKED: dict[str, Callable[[Path, tuple[bytes, ...]], None]] = {
    "zip": lambda path, contents: zipped(path, named("{:04d}.dcm")(contents)),
    "zip in another order, other names": lambda path, contents: zipped(path, named("IM{:05d}", True)(contents)),
    "zip with a top folder": lambda path, contents: zipped(path, named("scan/{:04d}.dcm")(contents)),
    "zip made by Windows": lambda path, contents: zipped(path, named("scan\\{:04d}.dcm")(contents)),
    "zip with a note": lambda path, contents: zipped(path, [("a.txt", b"x"), *named("{:04d}.dcm")(contents)]),
    "folder": lambda path, contents: unpacked(path, named("{:04d}.dcm")(contents)),
    "folder of folders": lambda path, contents: unpacked(path, named("a/{:04d}")(contents)),
}


def ukb_rows(folder: Path) -> tuple[CohortScan, ...]:
    return accounted_for([Source(Layout.UKB, folder / "raw", options=ReadOptions(stations=2))], folder)


def ukb_name(participant: str) -> str:
    return f"{participant}_20201_2_0.zip"


@FEW
@given(pair=st.sampled_from(list(itertools.combinations(PACKED, 2))))
def test_the_images_of_one_participant_under_another_exclude_both_in_any_packing(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    shutil.rmtree(tmp_path / "raw", ignore_errors=True)
    PACKED[pair[0]](tmp_path / "raw" / ukb_name("1"), slices())
    PACKED[pair[1]](tmp_path / "raw" / ukb_name("2"), slices())
    PACKED[pair[1]](tmp_path / "raw" / ukb_name("3"), slices(1))
    assert [row.reason for row in ukb_rows(tmp_path)] == [*[Reason.IDENTITY_MISMATCH] * 2, Reason.NONE]


@FEW
@given(pair=st.sampled_from(list(itertools.combinations(PACKED, 2))))
def test_one_scan_in_two_packings_counts_once(tmp_path: Path, pair: tuple[str, str]) -> None:
    shutil.rmtree(tmp_path / "raw", ignore_errors=True)
    for place, packing in zip("ab", pair, strict=True):
        PACKED[packing](tmp_path / "raw" / place / ukb_name("1"), slices())
    (row,) = ukb_rows(tmp_path)
    assert (row.reason, row.note) == (Reason.NONE, "found 2 times with equal content"), row.message
    assert row.entry.path.suffix == (".zip" if any("zip" in packing for packing in pair) else "")
    assert len(row.others) == 1


@pytest.mark.parametrize("packing", ["zip", "zip with a top folder", "folder"])
def test_one_byte_is_another_content(tmp_path: Path, packing: str) -> None:
    other = (*slices()[:-1], slices()[-1][:-1] + bytes([slices()[-1][-1] ^ 1]))
    PACKED["zip"](tmp_path / "raw" / "a" / ukb_name("1"), slices())
    PACKED[packing](tmp_path / "raw" / "b" / ukb_name("1"), other)
    assert [row.reason for row in ukb_rows(tmp_path)] == [Reason.DUPLICATE_SCAN]


@pytest.mark.parametrize(
    ("one", "other"),
    [("dicom_loose", "ukb_folder"), ("dicom_loose", "ukb_array"), ("nako_sequences", "nako_unnamed")],
)
def test_a_scan_in_two_forms_of_the_same_files_counts_once(tmp_path: Path, one: str, other: str) -> None:
    for form in (one, other):
        FORMS[form].write(tmp_path / form, ScanId("100012", "30"), summed_stations(3))
    (row,) = accounted_for([source_of(form, tmp_path / form) for form in (one, other)], tmp_path)
    assert (row.reason, row.note) == (Reason.NONE, "found 2 times with equal content"), row.message


def in_members(content: bytes) -> bytes:
    """A gzip file of three members and padding, as some parallel compressors write it."""
    third = len(content) // 3
    pieces = (content[:third], content[third : 2 * third], content[2 * third :])
    return b"".join(gzip.compress(piece) for piece in pieces) + bytes(64)


PACKED_IMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    ".nii": (".nii", bytes),
    ".nii.gz": (".nii.gz", gzip.compress),
    ".nii.gz, not compressed": (".nii.gz", lambda content: gzip.compress(content, 0)),
    ".nii.gz of several members": (".nii.gz", in_members),
}


@cache
def image(station: int, contrast: Contrast, seed: int = 0) -> bytes:
    each = summed_stations(2, seed)[station]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii.gz"
        write_nifti(path, each.images[contrast], each.affine)
        return gzip.decompress(path.read_bytes())


def write_bids(
    folder: Path,
    packing: str,
    participant: str,
    session: str = "",
    first: int = 1,
    swapped: bool = False,
    seed: int = 0,
) -> None:
    ending, packed = PACKED_IMAGES[packing]
    stem = f"sub-{participant}" + (f"_ses-{session}" if session else "")
    place = folder / "raw" / stem.replace("_", "/") / "anat"
    place.mkdir(parents=True)
    for station, contrast in itertools.product(range(2), DIXON):
        held = {Contrast.WATER: Contrast.FAT, Contrast.FAT: Contrast.WATER}.get(contrast, contrast)
        name = f"{stem}_acq-{contrast.acq}_chunk-{station + first}_VIBE{ending}"
        (place / name).write_bytes(packed(image(station, held if swapped else contrast, seed)))


def bids_rows(folder: Path) -> tuple[CohortScan, ...]:
    return accounted_for([Source(Layout.BIDS, folder / "raw")], folder)


@pytest.mark.parametrize("packing", PACKED_IMAGES)
@pytest.mark.parametrize("session", ["", "2"])
def test_images_under_two_names_exclude_both_with_and_without_sessions(
    tmp_path: Path, packing: str, session: str
) -> None:
    write_bids(tmp_path, ".nii.gz", "01", session)
    write_bids(tmp_path, packing, "02", session, first=0)
    write_bids(tmp_path, packing, "03", seed=1)
    assert [row.reason for row in bids_rows(tmp_path)] == [*[Reason.IDENTITY_MISMATCH] * 2, Reason.NONE]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_session_with_and_without_its_folder_counts_once_if_its_names_agree(tmp_path: Path, swapped: bool) -> None:
    write_bids(tmp_path, ".nii", "01")
    write_bids(tmp_path, ".nii.gz", "01", "1", swapped=swapped)
    (row,) = bids_rows(tmp_path)
    assert row.reason is (Reason.DUPLICATE_SCAN if swapped else Reason.NONE), row.message


def test_the_fingerprints_that_results_stand_under_do_not_change(tmp_path: Path) -> None:
    PACKED["zip made by Windows"](tmp_path / "raw" / ukb_name("1"), slices())
    unpacked(tmp_path / "raw" / ukb_name("2"), named("{:04d}.dcm")(slices(1)))
    first, second = ukb_rows(tmp_path)
    with zipfile.ZipFile(io.BytesIO((tmp_path / "raw" / ukb_name("1")).read_bytes())) as archive:
        lines = sorted(f"{each.filename}\0{each.file_size}\0{each.CRC:08x}\n" for each in archive.infolist())
    assert first.entry.raw_key == hashlib.sha256("".join(lines).encode()).hexdigest()
    plain = [
        f"{number:04d}.dcm".encode() + b"\0" + hashlib.sha256(each).digest() for number, each in enumerate(slices(1))
    ]
    assert second.entry.raw_key == hashlib.sha256(b"".join(plain)).hexdigest()
    write_bids(tmp_path / "bids", ".nii.gz", "01", "2")
    (third,) = bids_rows(tmp_path / "bids")
    digest = hashlib.sha256()
    for path in sorted((tmp_path / "bids").rglob("*.nii.gz")):
        digest.update(path.name.removeprefix("sub-01_ses-2_").encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    assert third.entry.raw_key == digest.hexdigest()


def of_equal_checksum(content: bytes) -> bytes:
    """Other bytes in the middle, with the same CRC-32: its bits are linear in those of the content."""
    zeros, place = bytes(len(content)), len(content) // 2
    found: list[tuple[int, int]] = []  # what some flipped bits do to the checksum, and which they are
    for bit in range(64):
        flipped = zeros[:place] + (1 << bit).to_bytes(8, "little") + zeros[place + 8 :]
        effect, bits = zlib.crc32(flipped) ^ zlib.crc32(zeros), 1 << bit
        for other, its_bits in found:
            if effect ^ other < effect:
                effect, bits = effect ^ other, bits ^ its_bits
        if effect == 0:
            changed = int.from_bytes(content[place : place + 8], "little") ^ bits
            return content[:place] + changed.to_bytes(8, "little") + content[place + 8 :]
        found.append((effect, bits))
        found.sort(reverse=True)
    raise AssertionError


@pytest.mark.parametrize("packing", PACKED_IMAGES)
@pytest.mark.parametrize("equal", [True, False])
def test_one_checksum_alone_does_not_make_a_single_image_equal(tmp_path: Path, packing: str, equal: bool) -> None:
    content = image(0, Contrast.WATER)
    other = content if equal else of_equal_checksum(content)
    assert zlib.crc32(other) == zlib.crc32(content)
    for participant, held, packed in (("1", content, ".nii.gz"), ("2", other, packing)):
        place = tmp_path / "raw" / f"sub-{participant}" / "anat"
        place.mkdir(parents=True)
        (place / f"sub-{participant}_PDw{PACKED_IMAGES[packed][0]}").write_bytes(PACKED_IMAGES[packed][1](held))
    source = Source(Layout.BIDS, tmp_path / "raw", sequences=(ScanSequence.PD,))
    rows = build_cohort([source]).scans
    assert {row.reason for row in rows} == {Reason.IDENTITY_MISMATCH if equal else Reason.NONE}, rows


@pytest.mark.parametrize("equal", [True, False])
def test_a_zip_of_one_file_is_compared_by_its_bytes(tmp_path: Path, equal: bool) -> None:
    content = slices()[0]
    other = content if equal else of_equal_checksum(content)
    zipped(tmp_path / "raw" / ukb_name("1"), [("a.dcm", content)])
    unpacked(tmp_path / "raw" / ukb_name("2"), [("b.dcm", other)])
    found = {row.reason for row in ukb_rows(tmp_path)}
    assert (found == {Reason.IDENTITY_MISMATCH}) is equal, found


def test_a_cohort_of_the_version_before_is_compared_and_not_inspected_again(tmp_path: Path) -> None:
    for participant, packing in zip("123", ["zip", "folder", "zip with a top folder"], strict=True):
        PACKED[packing](tmp_path / "raw" / ukb_name(participant), slices(int(participant) // 2))
    sources = [Source(Layout.UKB, tmp_path / "raw", options=ReadOptions(stations=2))]
    current = build_cohort(sources)
    write_cohort(current, tmp_path / "scans.parquet", tmp_path / "shards")
    before = [replace(row, images="") for row in read_scans(tmp_path / "scans.parquet")]
    again = build_cohort(sources, previous=before)
    assert again.n_inspected == 0
    assert again.scans == current.scans
    assert [row.reason for row in again.scans] == [Reason.NONE, *[Reason.IDENTITY_MISMATCH] * 2]
    assert table_digest(before) == table_digest(current.scans)
