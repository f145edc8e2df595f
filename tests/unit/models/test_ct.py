"""CT: one image in Hounsfield units, from the raw folder to volumes and means; what is no such image is said."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from measured_body import whole
from PIL import Image
from small_models import rule, small_model

from dixonflow.cohort.build import build_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.discover import discover
from dixonflow.config import demo_config
from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.measure.checks.of_model import CHECKS, expected_checks
from dixonflow.measure.scan import measure
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.scanner.ct import ct_image
from dixonflow.phantom.writers.bids import write_ct
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.report.contact_sheet import contact_sheet
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.tables.measurements import expected_rows
from dixonflow.tables.wide import wide_tables
from dixonflow.vocabulary import DIXON, Contrast, Layout, Reason, ScanId, ScanSequence, Stage

SCAN = ScanId("0042", "2", ScanSequence.CT)
CT = {"modality": "ct", "input_contrasts": (Contrast.CT,)}


def ct_model(names: dict[int, str]) -> Model:
    rules = {label: rule(name, "all") for label, name in names.items()}
    return small_model(rules, **CT, group_contrasts={"all": (Contrast.CT,)})


@pytest.fixture(scope="module")
def body():
    """A phantom on voxels of 6 mm and its CT."""
    participant = draw_participant(31)
    anatomy = render_anatomy(participant, 6.0)
    return anatomy, ct_image(participant, anatomy)


@pytest.fixture
def raw(tmp_path, body):
    anatomy, image = body
    write_ct(tmp_path / "raw", SCAN, image, anatomy.affine)
    return tmp_path / "raw"


def entry(raw: Path) -> RawScan:
    (found,) = discover([Source(Layout.CT, raw)]).scans
    assert found.problem is None
    return found.raw


def image_of(raw: Path) -> Path:
    (path,) = raw.rglob("*_ct.nii.gz")
    return path


def test_a_scan_is_found_and_stitching_changes_no_number(raw, body, tmp_path):
    anatomy, image = body
    scan = entry(raw)
    summary = inspect(scan)
    assert (summary.n_stations, summary.n_slices) == (1, image.shape[2])
    context = StageContext(demo_config(), (), ct_model({1: "spleen"}), Results(tmp_path), "shard")
    stage_work(Stage.STITCH, context).by_hand(scan)
    results = context.results
    stitched = read_nifti(results.stitched(SCAN, Contrast.CT))
    np.testing.assert_array_equal(stitched.data, image)
    np.testing.assert_allclose(stitched.affine, anatomy.affine, atol=1e-4)
    sidecar = json.loads(results.stitched_sidecar(SCAN).read_text())
    (station,) = sidecar["stations"]
    low = anatomy.affine[:3, 3] - anatomy.spacing_mm / 2
    np.testing.assert_allclose(station["low_mm"], low, atol=1e-3)
    np.testing.assert_allclose(station["high_mm"], low + anatomy.spacing_mm * np.array(image.shape), atol=1e-2)
    assert {path.name for path in results.anat(SCAN).iterdir()} == {
        "sub-0042_ses-2_acq-ct_desc-stitched_ct.nii.gz",
        "sub-0042_ses-2_acq-ct_desc-stitched_ct.json",
    }


def test_an_image_in_another_orientation_is_turned_and_keeps_its_numbers(raw, body):
    anatomy, image = body
    path = image_of(raw)
    loaded = nibabel.load(path)
    whole_image = nibabel.Nifti1Image(np.asarray(loaded.dataobj), loaded.affine)
    turned = whole_image.as_reoriented([[1, -1], [0, -1], [2, 1]])
    path.unlink()
    nibabel.save(turned, path)
    (station,) = read_stations(entry(raw))
    np.testing.assert_array_equal(station.images[Contrast.CT], image)
    np.testing.assert_allclose(station.affine, anatomy.affine, atol=1e-3)


def test_volumes_and_means_of_the_true_labels(body):
    anatomy, image = body
    model = ct_model({int(each): each.published_name for each in Structure})
    measured = measure(anatomy.labels, {Contrast.CT: image}, anatomy.affine, whole(image.shape, anatomy.affine), model)
    rows = measured.measurements
    keys = ["structure", "measure", "model"]
    assert set(rows[keys].itertuples(index=False, name=None)) == expected_rows(model)
    value = rows.set_index(["structure", "measure"])["value"]
    voxels = np.bincount(anatomy.labels.ravel(), minlength=256)
    for structure in Structure:
        name = structure.published_name
        assert value[name, "volume"] == pytest.approx(voxels[structure] * 0.216)
        assert value[name, "hounsfield_mean"] == pytest.approx(image[anatomy.labels == structure].mean())
    assert value["subcutaneous_fat", "hounsfield_median"] == pytest.approx(-100, abs=20)
    assert value["lung_lower_lobe_left", "hounsfield_median"] == pytest.approx(-800, abs=20)
    assert set(rows.loc[rows["measure"].eq("hounsfield_sd"), "unit"]) == {"HU"}
    checks = measured.quality[["check", "structure", "model"]]
    assert set(checks.itertuples(index=False, name=None)) == expected_checks(model, [model])
    assert not {name for name in checks["check"] if CHECKS[name].of_dixon}
    quality = measured.quality.set_index("check")
    assert quality.at["liver_right_of_spleen", "grade"] == "pass"
    assert quality.at["kidney_sides", "grade"] == "pass"


def test_volumes_and_means_are_those_that_totalsegmentator_reports(shared_data):
    folder = shared_data / "totalsegmentator"
    segmentation = nibabel.load(folder / "example_seg_fast.nii.gz")
    expected = json.loads((folder / "example_seg_fast_statistics.json").read_text())
    labels = np.asarray(segmentation.dataobj)
    ct = np.asarray(nibabel.load(folder / "example_ct_sm.nii.gz").dataobj)
    model = ct_model(dict(enumerate(expected, start=1)))
    boxes = whole(labels.shape, segmentation.affine)
    rows = measure(labels, {Contrast.CT: ct}, segmentation.affine, boxes, model).measurements
    value = rows.set_index(["structure", "measure"])["value"]
    present = [name for name, theirs in expected.items() if theirs["volume"] > 0]
    assert len(present) > 20
    for name in present:
        assert value[name, "volume"] == expected[name]["volume"] / 1000
        assert value[name, "hounsfield_mean"] == pytest.approx(expected[name]["intensity"], abs=5.1e-6)


def test_images_of_the_other_kind_are_refused(body):
    anatomy, image = body
    dixon = small_model({1: rule("spleen", "all")})
    boxes = whole(image.shape, anatomy.affine)
    labels = np.zeros_like(anatomy.labels)
    with pytest.raises(ValueError, match="does not take the images ct"):
        measure(labels, {Contrast.CT: image}, anatomy.affine, boxes, dixon)
    with pytest.raises(ValueError, match="does not take the images water"):
        measure(labels, dict.fromkeys(DIXON, image), anatomy.affine, boxes, ct_model({1: "spleen"}))
    with pytest.raises(ValueError, match="does not take the images ct, water"):
        images = {Contrast.CT: image, Contrast.WATER: image}
        measure(labels, images, anatomy.affine, boxes, ct_model({1: "spleen"}))


def test_a_run_of_ct_has_volumes_and_no_fat():
    assert [each.table.name for each in wide_tables([ct_model({1: "spleen"})])] == ["volumes_ct"]


def test_the_picture_shows_soft_tissue(body, tmp_path):
    anatomy, image = body
    path = tmp_path / "sheet.png"
    path.write_bytes(contact_sheet({Contrast.CT: image}, anatomy.labels, anatomy.affine))
    grey = np.asarray(Image.open(path).convert("L"))
    assert np.percentile(grey, 95) > 120
    assert grey.min() < 20


@pytest.mark.parametrize(
    ("offset", "message"),
    [(1024, "values from .* are not Hounsfield units"), (40000, "are not Hounsfield units")],
)
def test_numbers_that_are_no_hounsfield_units_exclude_the_scan(raw, body, tmp_path, offset, message):
    anatomy, image = body
    path = image_of(raw)
    path.unlink()
    write_nifti(path, image.astype(np.float32) + offset, anatomy.affine)
    context = StageContext(demo_config(), (), ct_model({1: "spleen"}), Results(tmp_path), "shard")
    with pytest.raises(ScanExcluded, match=message) as excluded:
        stage_work(Stage.STITCH, context).by_hand(entry(raw))
    assert excluded.value.reason is Reason.CONTRAST_MISMATCH


def broken(raw: Path, how: str) -> None:
    path = image_of(raw)
    match how:
        case "two":
            path.with_name(f"{SCAN.session_name}_rec-2_ct.nii.gz").write_bytes(path.read_bytes())
        case "another's":
            path.rename(path.with_name("sub-0043_ses-2_ct.nii.gz"))
        case "nameless":
            path.rename(path.with_name("scan_ct.nii.gz"))
        case "cut off":
            path.write_bytes(path.read_bytes()[:40])
        case "no image":
            path.write_bytes(gzip.compress(b"nothing"))
        case "four of them":
            image = nibabel.load(path)
            four = np.repeat(np.asarray(image.dataobj)[..., None], 4, -1)
            path.unlink()
            nibabel.save(nibabel.Nifti1Image(four, image.affine), path)
        case "gone":
            path.unlink()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("two", Reason.DUPLICATE_SCAN),
        ("another's", Reason.IDENTITY_MISMATCH),
        ("nameless", Reason.UNPARSABLE_NAME),
        ("cut off", Reason.UNREADABLE_FILE),
        ("no image", Reason.UNREADABLE_FILE),
        ("four of them", Reason.UNEXPECTED_GEOMETRY),
        ("gone", Reason.MISSING_CONTRAST),
    ],
)
def test_what_is_no_ct_is_a_row_with_its_reason_and_nobody_is_lost(raw, body, how, reason):
    anatomy, image = body
    write_ct(raw, ScanId("0077", "1", ScanSequence.CT), image + np.int16(1), anatomy.affine)
    broken_session = raw / "sub-0042"
    broken(broken_session, how)
    sources = [Source(Layout.CT, raw)]
    cohort = build_cohort(sources)
    rows = {row.scan.participant: row for row in cohort.scans}
    assert (rows["0042"].reason, rows["0077"].reason) == (reason, Reason.NONE)
    assert [scan.scan.participant for shard in cohort.shards for scan in shard.scans] == ["0077"]


def test_the_raw_folder_is_counted_by_the_law_of_conservation(raw, body):
    table = pd.DataFrame(
        {
            **{"participant_id": ["0042"], "session_id": ["2"], "sequence": ["ct"]},
            **{"source": [str(raw / "sub-0042/ses-2")], "status": ["ok"]},
        }
    )
    assert check_conservation([Source(Layout.CT, raw)], table).n_raw == 1
