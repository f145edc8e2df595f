"""Pictures of cases: what is drawn, where, and what is said of what is missing."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from reviewable_run import AFFINE, SHAPE, write_small_run
from synthetic_tables import MODEL

from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.paths import Results
from dixonflow.review.images import ImageCache, ReviewImagesError, read_case_images
from dixonflow.review.pictures import Picture, PictureCache, Plane, draw_slice
from dixonflow.vocabulary import Contrast, ScanId

LIVER = MODEL.regions["liver"]
SEAM = (255, 214, 64)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(original, tmp_path):
    """A copy that a test may spoil."""
    results, scans = original
    return Results(shutil.copytree(results.root, tmp_path / "results")), scans


@pytest.fixture
def images(run):
    return read_case_images(run[0], run[1][0], "demo")


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))


def test_a_slice_is_shown_plain_labelled_and_in_fat(images):
    picture = draw_slice(images, [], Plane.AXIAL)
    assert picture.panels == ("water", "label map on in-phase", "fat") and picture.notes == ()
    drawn = pixels(picture)
    plain, labelled, fat = np.array_split(drawn, 3, axis=1)
    coloured = [np.ptp(panel.astype(int), axis=2).max() for panel in (plain, labelled, fat)]
    assert coloured[0] == 0 == coloured[2] and coloured[1] > 40
    middle = tuple(length // 2 for length in plain.shape[:2])
    assert plain[middle].max() > 90 > fat[middle].max()


def test_it_is_cropped_to_the_structure_with_a_margin_through_its_largest_slice(images):
    picture = draw_slice(images, LIVER, Plane.CORONAL)
    mask = np.isin(images.labels, LIVER)
    extent = np.ptp(np.nonzero(mask.any((0, 2)))[0]) + 1
    assert extent < picture.slices < SHAPE[1]
    centre = draw_slice(images, LIVER, Plane.AXIAL)
    first = np.nonzero(mask.any((0, 1)))[0][0] - int(np.ceil(30 / 8))
    assert centre.index + first == mask.sum((0, 1)).argmax()
    assert draw_slice(images, LIVER, Plane.AXIAL, 10**4).index == centre.slices - 1


def test_the_right_side_of_the_patient_is_on_the_left(run):
    results, scans = run
    images = read_case_images(results, scans[0], "demo")
    water = np.zeros(SHAPE, np.int16)
    water[SHAPE[0] // 2 + 5 :] = 500  # x grows to the right
    marked = type(images)({Contrast.WATER: water}, None, images.affine, (), (), "", {Contrast.WATER: 500.0})
    drawn = pixels(draw_slice(marked, [], Plane.CORONAL)).mean(axis=2)
    half = drawn.shape[1] // 2
    assert drawn[:, : half // 2].mean() > 200
    assert drawn[40:, -half // 2 :].mean() < 20


def test_dashed_lines_are_drawn_where_stations_meet(images):
    assert images.seams == pytest.approx([(0 + 500) / 8])
    drawn = pixels(draw_slice(images, [], Plane.SAGITTAL))
    (rows,) = np.nonzero((drawn == SEAM).all(axis=2).any(axis=1))
    assert rows.tolist() == pytest.approx([(SHAPE[2] - 0.5 - images.seams[0]) / SHAPE[2] * drawn.shape[0]], abs=1)
    assert not (pixels(draw_slice(images, [], Plane.AXIAL)) == SEAM).all(axis=2).any()


def damage(path, how):
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"no image" * 100)


@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "text"])
@pytest.mark.parametrize("which", ["fat", "water", "labels"])
def test_what_is_missing_or_damaged_is_said_and_the_rest_is_shown(run, which, how):
    results, scans = run
    scan = scans[1]
    path = results.labels(scan, "demo") if which == "labels" else results.stitched(scan, Contrast(which))
    damage(path, how)
    picture = draw_slice(read_case_images(results, scan, "demo"), LIVER, Plane.AXIAL)
    word = {"labels": "label map"}.get(which, which)
    assert any(word in note for note in picture.notes if "structure" not in note)
    assert not any(scan.participant in note for note in picture.notes)
    assert len(picture.panels) == {"fat": 2, "water": 3, "labels": 2}[which]


def test_without_any_image_there_is_a_reason(run):
    with pytest.raises(ReviewImagesError, match="the water image is not there"):
        read_case_images(run[0], ScanId("1000008", "2"), "demo")


def test_images_and_label_maps_of_other_grids_are_not_drawn(run):
    results, scans = run
    shifted = AFFINE.copy()
    shifted[0, 3] += 5
    write_nifti(results.stitched(scans[2], Contrast.FAT), np.zeros(SHAPE, np.int16), shifted)
    write_labels(results.labels(scans[2], "demo"), np.zeros((4, 4, 4), np.uint8), AFFINE)
    images = read_case_images(results, scans[2], "demo")
    assert images.labels is None and Contrast.FAT not in images.images
    assert sum("not on the grid" in problem for problem in images.problems) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"stations": 5}', '{"stations": [{"low_mm": null}]}', "{" * 10**5])
def test_a_damaged_sidecar_costs_the_lines_alone(run, content):
    results, scans = run
    results.stitched_sidecar(scans[0]).write_text(content)
    assert read_case_images(results, scans[0], "demo").seams == ()


def test_a_label_map_that_is_computed_again_is_read_again(run):
    results, scans = run
    cache = ImageCache(results)
    first = cache.get(scans[0], "demo")
    assert cache.get(scans[0], "demo") is first
    write_labels(results.labels(scans[0], "demo"), np.zeros(SHAPE, np.uint8), AFFINE)
    results.labels_sidecar(scans[0], "demo").write_text(json.dumps({"content_key": "ab"}))
    again = cache.get(scans[0], "demo")
    assert not again.labels.any() and again.label_key == "ab" != first.label_key
    assert draw_slice(again, LIVER, Plane.AXIAL).notes == ("the label map does not have this structure",)


def test_caches_forget_what_was_used_longest_ago(run):
    results, scans = run
    cache = ImageCache(results, largest=1)
    first = cache.get(scans[0], "demo")
    cache.get(scans[1], "demo")
    assert cache.get(scans[0], "demo") is not first
    drawn = []

    def draw():
        drawn.append(1)
        return Picture(b"x" * 60, 0, 1, (), (), "")

    pictures = PictureCache(largest=100)
    for key in ("a", "a", "b", "a"):
        pictures.get(key, draw)
    assert len(drawn) == 3
